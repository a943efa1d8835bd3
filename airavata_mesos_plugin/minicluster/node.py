"""One scheduler process's place in the cluster: whether it leads, and who does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import Protocol

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
from airavata_mesos_plugin.minicluster.zookeeper import TROUBLE, Session

_LOG = logging.getLogger(__name__)
_RETRY = 0.2


class Throne(Protocol):
    """What a leader takes over and hands on: the state and the agents."""

    token: str
    """Tells candidates of this process from others."""

    async def ascend(self, url: str) -> Scheduler | None:
        """For the scheduler at `url`: the state, loaded and at work; None while another process holds it.
        Raises OSError."""

    async def descend(self, scheduler: Scheduler) -> None:
        """Keep everything, and stop."""

    def yield_state(self) -> Awaitable[None]:
        """Another process leads: leave the state and the agents' tasks to it.  Harmless when repeated."""


class Node:
    """`scheduler` is set while this node leads."""

    def __init__(self, settings: ClusterSettings, clock: Clock, throne: Throne) -> None:
        self.settings = settings
        self.scheduler: Scheduler | None = None
        self.url = ""
        self._clock = clock
        self._throne = throne
        self._session: Session | None = None
        self._members: list[str] = []
        self._news = asyncio.Event()
        self._leave = asyncio.Event()
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    def leader_url(self) -> str | None:
        """Where the leader is; None when nobody leads, or more than one claims to."""
        if self.scheduler is not None:
            return self.url
        known = set(self._members) - {self.url}
        return known.pop() if len(known) == 1 else None

    async def start(self) -> None:
        """Lead at once, or stand for election when there is a ZooKeeper. Raises OSError when the state
        cannot be used."""
        if self.settings.zookeeper:
            self._task = asyncio.create_task(self._campaign())
            return
        self.scheduler = await self._throne.ascend(self.url)
        if self.scheduler is None:
            raise OSError(f"another minicluster uses the state in {self.settings.state_path}")

    async def stop(self) -> None:
        """Step down for good.  May be repeated."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._step_down()

    def resign(self) -> None:
        """Give up leadership or candidacy, and stand again.  Harmless without ZooKeeper."""
        self._leave.set()
        self._news.set()

    def begin_again(self) -> None:
        """End the scheduler as a crash of its process would, and lead, or stand for election, anew."""
        if self.settings.zookeeper:
            self.resign()
        else:
            self._task = asyncio.create_task(self._ascend_again())

    async def _ascend_again(self) -> None:
        await self._step_down()
        self.scheduler = await self._throne.ascend(self.url)

    async def expire(self) -> None:
        """Have the ZooKeeper session end.  Raises OSError when the ensemble is not to be reached."""
        if self._session is not None:
            try:
                await asyncio.to_thread(self._session.expire)
            except TROUBLE as error:
                raise OSError(f"cannot end the session: {error}") from error

    async def _campaign(self) -> None:
        while True:
            try:
                await self._stand()
            except TROUBLE as error:
                _LOG.info("scheduler %s: %s: %s", self.url, type(error).__name__, error)
                await asyncio.sleep(_RETRY)

    async def _stand(self) -> None:
        """One candidacy, up to the end of its session."""
        self._leave.clear()
        self._lost = False
        session = Session(self.settings, self._on_change, self._on_loss)
        self._session = session
        try:
            await session.connect()
            await asyncio.to_thread(session.stand, self._throne.token)
            while not self._over():
                if session.first and self.scheduler is None:
                    await self._lead(session)
                elif session.candidates and session.candidates[0][1] not in ("", self._throne.token):
                    await self._throne.yield_state()
                await self._news.wait()
                self._news.clear()
        finally:
            await self._step_down()
            self._session = None
            await asyncio.to_thread(session.close)

    def _over(self) -> bool:
        return self._lost or self._leave.is_set()

    async def _lead(self, session: Session) -> None:
        scheduler = await self._throne.ascend(self.url)
        while scheduler is None and not self._over():
            await asyncio.sleep(_RETRY)
            scheduler = await self._throne.ascend(self.url)
        if scheduler is None:
            return
        self.scheduler = scheduler
        await asyncio.to_thread(session.announce, self.url)
        _LOG.info("scheduler %s leads", self.url)
        self._clock.call_later(self.settings.max_leading_duration, lambda: self._led_enough(scheduler))

    def _led_enough(self, scheduler: Scheduler) -> None:
        if self.scheduler is scheduler:
            self.resign()

    async def _step_down(self) -> None:
        scheduler, self.scheduler = self.scheduler, None
        if scheduler is not None:
            await self._throne.descend(scheduler)

    def _on_change(self) -> None:
        if self._session is not None:
            self._members = self._session.members
        self._news.set()

    def _on_loss(self) -> None:
        self._lost = True
        self._news.set()
