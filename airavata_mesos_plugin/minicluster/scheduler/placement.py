"""Whether a task may run on a host, and what speaks against it (Aurora 0.22)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount

_DEDICATED = "dedicated"
_DEDICATED_SCORE, _MAINTENANCE_SCORE, _CONSTRAINT_SCORE, _RESOURCE_SCORE = 1_000_000, 100_000, 10_000, 1_000
_LEAVING = {"DRAINING": "draining", "DRAINED": "drained"}
_INSUFFICIENT = (("cpu", "CPU"), ("ram", "RAM"), ("disk", "disk"), ("ports", "ports"), ("gpus", "GPU"))


class Veto(NamedTuple):
    text: str
    score: int


class Limits:
    """How many active tasks of one job sit on hosts that share an attribute's value."""

    def __init__(self, used: Iterable[Host] = ()) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        for host in used:
            self.add(host)

    def add(self, host: Host) -> None:
        self._counts.update((name, value) for name, values in host.attributes.items() for value in values)

    def count(self, attribute: str, host: Host) -> int:
        return max((self._counts[attribute, value] for value in host.attributes[attribute]), default=0)


def _satisfied(constraint: Any, host: Host, limits: Limits) -> bool:
    present = host.attributes.get(constraint.name, frozenset())
    kind = constraint.constraint
    if kind.value is not None:
        return bool(present & kind.value.values) != bool(kind.value.negated)
    return bool(present) and bool(limits.count(constraint.name, host) < kind.limit.limit)


def vetoes(
    needs: Amount, constraints: Iterable[Any], host: Host, limits: Limits, free: Amount | None = None
) -> list[Veto]:
    """Empty when the task fits (into `free`, if given, instead of what is free). A step that objects hides
    the later ones; of the constraints the first one that fails is named, value constraints before limits."""
    usable = [constraint for constraint in constraints if constraint.constraint is not None]
    if _DEDICATED in host.attributes and all(constraint.name != _DEDICATED for constraint in usable):
        return [Veto("Host is dedicated", _DEDICATED_SCORE)]
    if host.mode in _LEAVING:
        return [Veto(f"Host {_LEAVING[host.mode]} for maintenance", _MAINTENANCE_SCORE)]
    for constraint in sorted(usable, key=lambda c: (c.constraint.value is None, c.name)):
        if not _satisfied(constraint, host, limits):
            is_value = constraint.constraint.value is not None
            missing = is_value or constraint.name not in host.attributes
            kind = "Constraint" if missing else "Limit"
            return [Veto(f"{kind} not satisfied: {constraint.name}", _CONSTRAINT_SCORE)]
    found = []
    for field, name in _INSUFFICIENT:
        need, left, total = (getattr(a, field) for a in (needs, free or host.free, host.total))
        if need > left:
            score = min(_RESOURCE_SCORE, -(-_RESOURCE_SCORE * (need - left) // max(1, total)))
            found.append(Veto(f"Insufficient: {name}", score))
    return found


class Attempt(NamedTuple):
    """Either a host, or the objections of the host that came nearest (empty without hosts)."""

    host: Host | None
    nearest: tuple[str, ...]


def first_fit(needs: Amount, constraints: Iterable[Any], hosts: Iterable[Host], limits: Limits) -> Attempt:
    best: list[Veto] | None = None
    for host in hosts:
        found = vetoes(needs, constraints, host, limits)
        if not found:
            return Attempt(host, ())
        if best is None or sum(v.score for v in found) < sum(v.score for v in best):
            best = found
    return Attempt(None, tuple(veto.text for veto in best or ()))
