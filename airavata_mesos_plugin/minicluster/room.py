"""Who holds how much of an agent: the one truth that all schedulers of a cluster share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airavata_mesos_plugin.minicluster.scheduler.resources import Amount

OFFERED = "offered"
"""Owner of what lies in offers."""
PortRanges = tuple[tuple[int, int], ...]
"""First and last port of each range."""


class Room:
    """One agent's resources. What an owner holds is held from all others; nobody checks whether it fits."""

    def __init__(self, total: Amount, ports: tuple[int, int]) -> None:
        self.total = total
        self.port_range = ports
        self.free = total
        self.on_freed: Callable[[], object] = lambda: None
        """Called when something was given back."""
        self._held: dict[str, Amount] = {}
        self._ports: dict[str, set[int]] = {}

    def held(self, owner: str) -> Amount:
        return self._held.get(owner, Amount())

    def hold(self, owner: str, amount: Amount, ports: Iterable[int] = ()) -> None:
        self._held[owner] = self.held(owner).plus(amount)
        self._ports.setdefault(owner, set()).update(ports)
        self.free = self.free.minus(amount)

    def give_back(self, owner: str, amount: Amount, ports: Iterable[int] = ()) -> None:
        """Part of what the owner held."""
        self._held[owner] = self.held(owner).minus(amount)
        self._ports.setdefault(owner, set()).difference_update(ports)
        self.free = self.free.plus(amount)
        self.on_freed()

    def forget(self, owner: str) -> None:
        """The owner holds nothing any more.  Harmless when it did not."""
        self.free = self.free.plus(self._held.pop(owner, Amount()))
        self._ports.pop(owner, None)
        self.on_freed()

    def port_is_free(self, port: int) -> bool:
        first, last = self.port_range
        return first <= port <= last and not any(port in ports for ports in self._ports.values())

    def free_ports(self) -> PortRanges:
        """All ports that nobody holds, as few ranges as possible."""
        taken = sorted(port for ports in self._ports.values() for port in ports)
        found = []
        first, last = self.port_range
        for port in taken:
            if first < port:
                found.append((first, port - 1))
            first = port + 1
        if first <= last:
            found.append((first, last))
        return tuple(found)
