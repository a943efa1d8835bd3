"""What the master tells of its agents, as `matching` sees them (Mesos 1.5 to 1.11, ``/slaves``). No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airavata_mesos_plugin.schedulers.mesos.amounts import PORTS, Pool
from airavata_mesos_plugin.schedulers.mesos.matching import Agent, Place

_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


def agents_of(agents: Iterable[Mapping[str, Any]], roles: Collection[str]) -> list[Agent]:
    """The active agents with what of them frameworks of these roles can be offered."""
    found = []
    for agent in agents:
        if not agent.get("id") or not agent.get("active", True) or agent.get("deactivated", False):
            continue
        reserved = _mapping(agent, "reserved_resources")
        total = _scalars(_mapping(agent, "unreserved_resources") or _mapping(agent, "resources"))
        for role in roles:
            for name, amount in _scalars(_mapping(reserved, role)).items():
                total[name] = total.get(name, 0.0) + amount
        used = _scalars(_mapping(agent, "used_resources"))
        free = {name: max(0.0, amount - used.get(name, 0.0)) for name, amount in total.items()}
        ports, taken = _ports(agent, "resources"), _ports(agent, "used_resources")
        unused = _pool(free, ports, taken=sum(last - first + 1 for first, last in taken))
        place = Place(str(agent["id"]), str(agent.get("hostname", "")), _attributes(agent))
        found.append(Agent(place, total=_pool(total, ports), free=unused, reach=unused))
    return found


def _pool(scalars: Mapping[str, float], ports: list[tuple[int, int]], taken: int = 0) -> Pool:
    resources: list[dict[str, Any]] = [
        {"name": name, "type": "SCALAR", "scalar": {"value": amount}} for name, amount in scalars.items()
    ]
    # Only how many are free matters here, not which.
    count = sum(last - first + 1 for first, last in ports) - taken
    if count > 0:
        resources.append({"name": PORTS, "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": count}]}})
    return Pool.of(resources)


def _scalars(amounts: Mapping[str, Any]) -> dict[str, float]:
    return {
        str(name): float(amount)
        for name, amount in amounts.items()
        if isinstance(amount, (int, float)) and not isinstance(amount, bool)
    }


def _ports(agent: Mapping[str, Any], member: str) -> list[tuple[int, int]]:
    text = _mapping(agent, member).get(PORTS, "")
    return [(int(first), int(last)) for first, last in _RANGE.findall(str(text))]


def _attributes(agent: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        str(name): (f"{value:g}" if isinstance(value, (int, float)) else str(value),)
        for name, value in _mapping(agent, "attributes").items()
    }


def _mapping(document: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    found = document.get(member)
    return found if isinstance(found, Mapping) else {}
