"""Amounts of resources in offers: how much is there, and how a part of it is taken. No I/O.

Mesos computes with three decimals (1.11), so all amounts here are whole thousandths.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Resource = Mapping[str, Any]
"""One resource of an offer in v1 JSON."""

PORTS = "ports"


def thousandths(amount: float) -> int:
    """An amount in thousandths, as Mesos rounds it."""
    return round(amount * 1000)


@dataclass(frozen=True)
class Need:
    """What one task takes from one agent: thousandths of each scalar, and a number of ports."""

    scalars: Mapping[str, int]
    ports: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scalars", {name: n for name, n in self.scalars.items() if n > 0})


@dataclass
class Pool:
    """What the offers of one agent for one role hold together; parts are taken out of it."""

    _parts: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> Pool:
        """A pool of all resources that a job may use.

        Volumes, disks of their own, oversubscribed and shared resources stay out: a job asks for none.
        """
        pool = cls()
        for resource in resources:
            if any(name in resource for name in ("revocable", "shared", "provider_id")):
                continue
            if resource.get("name") == "disk" and _special(resource.get("disk")):
                continue
            pool._parts.append(dict(resource))
        # What is reserved for the role is used up first; others can use what is not.
        pool._parts.sort(key=lambda part: not part.get("reservations"))
        return pool

    def plus(self, needs: Iterable[Need]) -> Pool:
        """A pool with these amounts besides; for counting only, since the ports in it have no numbers."""
        pool = Pool([dict(part) for part in self._parts])
        for need in needs:
            for name, amount in need.scalars.items():
                pool._parts.append({"name": name, "type": "SCALAR", "scalar": {"value": amount / 1000}})
            if need.ports:
                ranges = {"range": [{"begin": 1, "end": need.ports}]}
                pool._parts.append({"name": PORTS, "type": "RANGES", "ranges": ranges})
        return pool

    def scalar(self, name: str) -> int:
        """Thousandths that are left of a scalar."""
        return sum(_value(part) for part in self._parts if part.get("name") == name)

    def port_count(self) -> int:
        """How many ports are left."""
        return sum(last - first + 1 for part in self._parts for first, last in _ranges(part))

    def lacks(self, need: Need) -> list[str]:
        """Names of what is not enough; empty when ``need`` fits."""
        short = [name for name, amount in need.scalars.items() if self.scalar(name) < amount]
        return [*short, PORTS] if self.port_count() < need.ports else short

    def take(self, need: Need) -> list[dict[str, Any]]:
        """Take the parts that ``need`` asks for out of the pool, as resources of a task.

        Raises ValueError, and takes nothing, when they are not there.
        """
        short = self.lacks(need)
        if short:
            raise ValueError(f"not enough {', '.join(short)}")
        taken = []
        for name, amount in need.scalars.items():
            taken += self._take_scalar(name, amount)
        return taken + self._take_ports(need.ports)

    def _take_scalar(self, name: str, amount: int) -> list[dict[str, Any]]:
        taken = []
        for part in self._parts:
            here = min(amount, _value(part)) if part.get("name") == name else 0
            if here > 0:
                left = _value(part) - here
                taken.append({**part, "scalar": {"value": here / 1000}})
                part["scalar"] = {"value": left / 1000}
                amount -= here
        return taken

    def _take_ports(self, count: int) -> list[dict[str, Any]]:
        taken = []
        for part in self._parts:
            chosen, rest = [], []
            for first, last in _ranges(part):
                here = min(count, last - first + 1)
                if here > 0:
                    chosen.append({"begin": first, "end": first + here - 1})
                    count -= here
                if first + here <= last:
                    rest.append({"begin": first + here, "end": last})
            if chosen:
                taken.append({**part, "ranges": {"range": chosen}})
                part["ranges"] = {"range": rest}
        return taken


def ports_in(resources: Sequence[Resource]) -> list[int]:
    """Every port among resources, in their order."""
    return [port for part in resources for first, last in _ranges(part) for port in range(first, last + 1)]


def _special(disk: object) -> bool:
    return isinstance(disk, Mapping) and any(name in disk for name in ("persistence", "volume", "source"))


def _value(part: Resource) -> int:
    scalar = part.get("scalar")
    value = scalar.get("value", 0) if isinstance(scalar, Mapping) else 0
    return thousandths(value) if isinstance(value, (int, float)) else 0


def _ranges(part: Resource) -> list[tuple[int, int]]:
    if part.get("name") != PORTS:
        return []
    ranges = part.get("ranges")
    found = ranges.get("range", []) if isinstance(ranges, Mapping) else []
    return [(int(one["begin"]), int(one["end"])) for one in found if one["begin"] <= one["end"]]
