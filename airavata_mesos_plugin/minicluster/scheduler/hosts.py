"""What the scheduler knows of the agents: attributes, and what is still free on each."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from random import Random

from airavata_mesos_plugin.minicluster.room import Room
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount

OWNER = "aurora"
"""As whom the scheduler holds what its tasks need."""


class NoPortFree(Exception):
    """Every port of the range is taken, by tasks or by other programs of this machine."""


def _usable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Host:
    """One agent.  `free` never goes below zero as long as only what fits is taken."""

    def __init__(
        self,
        agent_id: str,
        name: str,
        attributes: Mapping[str, tuple[str, ...]],
        total: Amount,
        port_range: tuple[int, int],
        room: Room | None = None,
    ) -> None:
        """With a `room` that is shared with others; what the scheduler held there before is given back."""
        self.agent_id = agent_id
        self.name = name
        self.attributes = {key: frozenset(values) for key, values in attributes.items()}
        self.total = total
        self.mode = "NONE"
        """Name of the maintenance mode."""
        self._room = Room(total, port_range) if room is None else room
        self._room.forget(OWNER)
        self._random = Random()

    @property
    def free(self) -> Amount:
        return self._room.free

    def take(self, needs: Amount) -> None:
        self._room.hold(OWNER, needs)

    def hold(self, needs: Amount, ports: Mapping[str, int]) -> None:
        """Count a task that is on the host already."""
        self._room.hold(OWNER, needs, ports.values())

    def give_back(self, needs: Amount, ports: Mapping[str, int]) -> None:
        self._room.give_back(OWNER, needs, ports.values())

    def take_ports(self, names: list[str]) -> dict[str, int]:
        """A number for each name, not used by a task or by another program. Raises NoPortFree, having taken
        none."""
        first, last = self._room.port_range
        size = last - first + 1
        start = self._random.randrange(size) if names else 0
        candidates = (first + (start + step) % size for step in range(size))
        usable = (port for port in candidates if self._room.port_is_free(port) and _usable(port))
        taken = dict(zip(names, usable, strict=False))
        if len(taken) < len(names):
            raise NoPortFree(f"no free port between {first} and {last} for {', '.join(names)}")
        self._room.hold(OWNER, Amount(), taken.values())
        return taken
