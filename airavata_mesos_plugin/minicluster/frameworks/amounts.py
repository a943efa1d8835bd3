"""Resources between v1 JSON and what a `Room` counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from airavata_mesos_plugin.minicluster.room import PortRanges
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount

_SCALARS = {"cpus": "cpu", "mem": "ram", "disk": "disk", "gpus": "gpus"}


class BadResources(Exception):
    """The text is what Mesos says of a task."""


class Wanted(NamedTuple):
    """What a task asks for."""

    amount: Amount
    ports: tuple[int, ...]


def described(amount: Amount, ports: PortRanges, more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resources of an offer; each of them has ``more``."""
    found: list[dict[str, Any]] = []
    for name, field in _SCALARS.items():
        value = getattr(amount, field) / 1000 if name == "cpus" else float(getattr(amount, field))
        if value > 0:
            found.append({"name": name, "type": "SCALAR", "scalar": {"value": value}, **more})
    if ports:
        ranges = [{"begin": first, "end": last} for first, last in ports]
        found.append({"name": "ports", "type": "RANGES", "ranges": {"range": ranges}, **more})
    return found


def wanted(resources: Sequence[Any]) -> Wanted:
    """The sum of a task's resources.  Raises BadResources."""
    counts = dict.fromkeys(("cpu", "ram", "disk", "gpus"), 0)
    ports: list[int] = []
    for resource in resources:
        name = resource.get("name") if isinstance(resource, dict) else None
        if name == "ports":
            ports += _ports(resource)
        elif name in _SCALARS:
            counts[_SCALARS[name]] += _scalar(name, resource)
        else:
            raise BadResources(f"Task uses the resource {name}, which no agent has")
    if len(set(ports)) < len(ports):
        raise BadResources("Task uses a port twice")
    return Wanted(Amount(ports=len(ports), **counts), tuple(ports))


def _scalar(name: str, resource: dict[str, Any]) -> int:
    value = (resource.get("scalar") or {}).get("value")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**40:
        raise BadResources(f"Task uses invalid resources: {name} is {value!r}")
    if name == "gpus" and value != int(value):
        raise BadResources("Task uses invalid resources: The 'gpus' resource must be an unsigned integer")
    # Half a MiB more or less is nothing that an agent counts.
    return round(value * 1000) if name == "cpus" else round(value)


def _ports(resource: dict[str, Any]) -> list[int]:
    found: list[int] = []
    for one in (resource.get("ranges") or {}).get("range", ()):
        begin, end = one.get("begin"), one.get("end")
        if not isinstance(begin, int) or not isinstance(end, int) or not 0 < begin <= end < 65536:
            raise BadResources("Task uses invalid resources: not a range of ports")
        found += range(begin, end + 1)
    return found


def fits(needs: Amount, free: Amount) -> bool:
    return all(need <= left for need, left in zip(needs, free, strict=True))


@dataclass
class Basket:
    """What lies in the offers of one ACCEPT, and is not taken yet."""

    amount: Amount
    ports: set[int]

    @classmethod
    def of(cls, parts: Iterable[tuple[Amount, PortRanges]]) -> Basket:
        basket = cls(Amount(), set())
        for amount, ranges in parts:
            basket.amount = basket.amount.plus(amount)
            for first, last in ranges:
                basket.ports.update(range(first, last + 1))
        return basket

    def take(self, wanted: Wanted) -> None:
        """Raises BadResources, and has taken nothing."""
        if not fits(wanted.amount, self.amount):
            raise BadResources(f"Task uses more resources {wanted.amount} than available {self.amount}")
        if not self.ports.issuperset(wanted.ports):
            raise BadResources(f"Task uses ports that are not in the offer: {sorted(wanted.ports)}")
        self.amount = self.amount.minus(wanted.amount)
        self.ports.difference_update(wanted.ports)
