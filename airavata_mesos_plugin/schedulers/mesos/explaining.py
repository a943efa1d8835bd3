"""Why a waiting job waits, in words for its owner. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airavata_mesos_plugin.schedulers.mesos.amounts import PORTS, Need, Pool
from airavata_mesos_plugin.schedulers.mesos.matching import Agent, Reservation, Wanted

_UNITS = {
    "cpus": "CPUs",
    "mem": "MiB of memory",
    "disk": "MiB of disk",
    "gpus": "GPUs",
    PORTS: "ports",
}


def explain(
    job: Wanted,
    agents: Sequence[Agent],
    *,
    avoid: frozenset[str] = frozenset(),
    reservations: Sequence[Reservation] = (),
) -> str:
    """One sentence. ``agents`` are all that are registered now."""
    if not agents:
        return "no agent is registered at the Mesos master"
    allowed = [agent for agent in agents if job.allows(agent.place)]
    if not allowed:
        return "no node has what the job asks for: " + _conditions(job)
    need = max(job.needs, key=lambda one: (one.scalars.get("cpus", 0), one.scalars.get("mem", 0)))
    few = _too_few(job, need, allowed, lambda agent: agent.total, "node")
    if few:
        return few
    usable = [agent for agent in allowed if agent.place.agent_id not in avoid]
    if len(usable) < len(job.needs):
        return "jobs failed on the nodes that could run it, which are left alone for a while"
    few = _too_few(job, need, usable, lambda agent: agent.free, "free node")
    if few:
        return few
    for reservation in reservations:
        if reservation.key != job.key and reservation.role == job.role:
            return f"the nodes that are free are kept for {reservation.key.name}, which waits longer"
    return "waiting for the Mesos master to offer what is free"


def _too_few(
    job: Wanted, need: Need, agents: Sequence[Agent], pool: Callable[[Agent], Pool], what: str
) -> str:
    """What is missing when not enough agents have room for a task; empty when enough have."""
    fitting = [agent for agent in agents if not pool(agent).lacks(need)]
    wanted = len(job.needs) if job.spread else 1
    if len(fitting) >= wanted:
        return ""
    if fitting or len(job.needs) > 1:
        return f"{len(fitting)} {what}s are large enough, the job needs {wanted}"
    best = max(agents, key=lambda agent: _satisfied(pool(agent), need))
    lacking = pool(best).lacks(need)[0]
    largest = max(_amount(pool(agent), lacking) for agent in agents)
    least = need.ports if lacking == PORTS else need.scalars[lacking] / 1000
    unit = _UNITS.get(lacking, lacking)
    if largest >= least:
        return f"no {what} has all at once that the job needs; {unit} are short first"
    return f"the largest {what} has {largest:g} {unit}, the job needs {least:g}"


def _satisfied(pool: Pool, need: Need) -> tuple[int, int]:
    return -len(pool.lacks(need)), pool.scalar("cpus")


def _amount(pool: Pool, name: str) -> float:
    return pool.port_count() if name == PORTS else pool.scalar(name) / 1000


def _conditions(job: Wanted) -> str:
    parts = [f"{name}={text}" for name, text in sorted(job.constraints.items())]
    if job.nodes:
        parts.append(f"one of the nodes {', '.join(sorted(job.nodes))}")
    if job.exclude_nodes:
        parts.append(f"none of the nodes {', '.join(sorted(job.exclude_nodes))}")
    return "; ".join(parts) or "a node"
