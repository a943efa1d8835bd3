"""The Mesos masters of a cluster: each has a port of its own, one leads, the others send clients to it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Protocol

from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST

_LOG = logging.getLogger(__name__)


class Reign(Protocol):
    """What ends and begins with a leader."""

    def master_gone(self) -> None:
        """All connections to it break."""

    def master_elected(self) -> None:
        """Another one begins, and knows nothing but the agents that there were."""


class Ballot(Protocol):
    """Where masters announce themselves.  All calls block, and raise OSError when it is not to be reached."""

    def stand(self, number: int, port: int) -> None:
        """Announce a master, behind those that are announced already."""

    def withdraw(self, number: int) -> None:
        """Harmless when it is not announced."""

    def expire(self) -> None:
        """The announcements end as if their session had timed out, and are made anew."""

    def close(self) -> None:
        """All announcements end.  May be repeated."""


class Masters:
    """All methods are for the event loop's thread."""

    def __init__(self, master: Master, reign: Reign) -> None:
        self._master = master
        self._reign = reign
        self._ballot: Ballot | None = None
        self._order: list[int] = []
        """Numbers of the masters, the next leader first."""
        self.ports: list[int] = []
        self.leading: int | None = None

    @property
    def urls(self) -> list[str]:
        return [f"http://{LISTEN_HOST}:{port}" for port in self.ports]

    async def start(self, ports: list[int], ballot: Ballot | None) -> None:
        """The first one leads.  Raises OSError when the masters cannot be announced."""
        self.ports, self._ballot = ports, ballot
        self._order = list(range(len(ports)))
        for number in self._order:
            await self._announce(number)
        self._lead(self._order[0])

    async def stop(self) -> None:
        """May be repeated."""
        if self._ballot is not None:
            await asyncio.to_thread(self._ballot.close)
            self._ballot = None

    async def vacate(self) -> None:
        """The leader is gone, and none is elected until `elect`.  Harmless when repeated."""
        gone, self.leading = self.leading, None
        if gone is None:
            return
        self._reign.master_gone()
        if self._ballot is not None:
            await asyncio.to_thread(self._ballot.withdraw, gone)
        # It comes back at once, as its supervisor starts it again, and stands behind the others.
        self._order.remove(gone)
        self._order.append(gone)

    async def elect(self) -> None:
        """The next master leads; the only one does so anew.  Harmless when one leads."""
        if self.leading is None:
            await self._announce(self._order[-1])
            self._master.begin_anew(str(uuid.uuid4()))
            self._lead(self._order[0])
            self._reign.master_elected()
            _LOG.info("master %s leads", self.urls[self._order[0]])

    async def fail_over(self) -> None:
        await self.vacate()
        await self.elect()

    async def expire(self) -> None:
        """ZooKeeper ends the session that announces the masters.  Harmless without one."""
        if self._ballot is not None:
            await asyncio.to_thread(self._ballot.expire)

    async def _announce(self, number: int) -> None:
        if self._ballot is not None:
            await asyncio.to_thread(self._ballot.stand, number, self.ports[number])

    def _lead(self, number: int) -> None:
        self.leading = number
        self._master.port = self.ports[number]
