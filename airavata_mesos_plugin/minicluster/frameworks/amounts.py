"""Resources between v1 JSON and what a `Room` counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from airavata_mesos_plugin.minicluster.frameworks.values import number, objects, part, text
from airavata_mesos_plugin.minicluster.room import PortRanges
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount

_MOST = 2.0**40
_LAST_PORT = 65535
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


class Resource(NamedTuple):
    """One of a task, read and not judged."""

    name: str
    value: float | None
    ranges: PortRanges


def read(resource: Mapping[str, Any]) -> Resource:
    """Raises Refused for what is no resource."""
    value = None
    if "scalar" in resource:
        value = number(part(resource, "scalar"), "value", 0.0)
    ranges = objects(part(resource, "ranges"), "range")
    return Resource(
        name=text(resource, "name"),
        value=value,
        ranges=tuple((int(number(one, "begin", 0)), int(number(one, "end", 0))) for one in ranges),
    )


def wanted(resources: Sequence[Resource]) -> Wanted:
    """The sum of a task's resources.  Raises BadResources."""
    counts = dict.fromkeys(("cpu", "ram", "disk", "gpus"), 0)
    ports: list[int] = []
    for resource in resources:
        if resource.name == "ports":
            ports += _ports(resource.ranges)
        elif resource.name in _SCALARS:
            counts[_SCALARS[resource.name]] += _scalar(resource)
        else:
            raise BadResources(f"Task uses the resource {resource.name}, which no agent has")
    if len(set(ports)) < len(ports):
        raise BadResources("Task uses a port twice")
    return Wanted(Amount(ports=len(ports), **counts), tuple(ports))


def _scalar(resource: Resource) -> int:
    name, value = resource.name, resource.value
    if value is None or not 0 <= value < _MOST:
        raise BadResources(f"Task uses invalid resources: {name} is {value}")
    if name == "gpus" and value != int(value):
        raise BadResources("Task uses invalid resources: The 'gpus' resource must be an unsigned integer")
    # Half a MiB more or less is nothing that an agent counts.
    return round(value * 1000) if name == "cpus" else round(value)


def _ports(ranges: PortRanges) -> list[int]:
    if not all(0 < begin <= end <= _LAST_PORT for begin, end in ranges):
        raise BadResources("Task uses invalid resources: not a range of ports")
    return [port for begin, end in ranges for port in range(begin, end + 1)]


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
