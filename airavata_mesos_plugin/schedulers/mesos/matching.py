"""Which waiting job starts on which offers. Pure: no I/O, no clock, no state between two calls.

A job is a list of needs, one for each of its tasks, and starts whole or not at all: that is all that makes a
gang. A job over several nodes is a `Wanted` with several needs; `match` places it only when every need has
its place, each on an agent of its own when ``spread`` is set, and the launches of one job, spread over the
agents, are in one `Plan`. A gang never holds a part of what it needs while others wait, except as the one
owner of the reservation:

Jobs come in their order (priority, then age), and one that fits starts, however many before it do not fit:
small jobs fill what large ones leave. So that large ones are not overtaken for ever, the first job in the
order that has waited for ``patience_seconds`` in vain gets a reservation: agents that are large enough for
it, and whose offers are kept for it alone until they suffice. There is one reservation at a time and role, so
two gangs that need more than there is cannot wait for each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.mesos.amounts import Need, Pool, Resource


@dataclass(frozen=True)
class Offered:
    """One offer. ``attributes`` are the agent's, as texts; one that appears twice has several."""

    id: str
    agent_id: str
    host: str
    role: str
    resources: Sequence[Resource]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """What of an agent decides whether a job may run there, besides amounts."""

    agent_id: str
    host: str
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Agent:
    """An agent as the master knows it: all that it has, what of it nobody uses now, and what may come to us.

    ``reach`` is what is free or used by jobs of ours: others may use the rest for ever.
    """

    place: Place
    total: Pool
    free: Pool
    reach: Pool


@dataclass(frozen=True)
class Wanted:
    """A waiting job. ``avoid`` are agents on which it must not start; ``image`` is what its tasks run in."""

    key: JobKey
    needs: tuple[Need, ...]
    role: str = "*"
    constraints: Mapping[str, str] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()
    exclude_nodes: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()
    spread: bool = True
    image: str = ""
    since: float = 0.0  # when it began to wait, in seconds of the clock that `match` is given

    @cached_property
    def shape(self) -> Hashable:
        """Equal for jobs that fit in the same places."""
        return (
            tuple((tuple(sorted(need.scalars.items())), need.ports) for need in self.needs),
            self.role,
            tuple(sorted(self.constraints.items())),
            self.nodes,
            self.exclude_nodes,
            self.avoid,
            self.spread,
        )

    def allows(self, place: Place) -> bool:
        """Whether the job may run at a place, amounts aside."""
        if self.nodes and place.host not in self.nodes:
            return False
        if place.host in self.exclude_nodes or place.agent_id in self.avoid:
            return False
        return all(
            satisfies(text, place.attributes.get(name, (place.host,) if name == "host" else ()))
            for name, text in self.constraints.items()
        )


def satisfies(constraint: str, values: Sequence[str]) -> bool:
    """Whether an agent with these values of an attribute meets a constraint such as ``a,b`` or ``!a``."""
    negated = constraint.startswith("!")
    wanted = constraint.removeprefix("!").split(",")
    return any(value in wanted for value in values) != negated


@dataclass(frozen=True)
class Assignment:
    """One task of a job on one agent, with the resources it takes there."""

    key: JobKey
    index: int  # which need of the job
    agent_id: str
    host: str
    resources: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Launch:
    """What is started with one ACCEPT: offers of one agent for one role, and all tasks on them."""

    agent_id: str
    role: str
    offer_ids: tuple[str, ...]
    assignments: tuple[Assignment, ...]


@dataclass(frozen=True)
class Reservation:
    """Agents whose offers are kept for one job."""

    key: JobKey
    role: str
    agent_ids: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """What to do with the offers. Each offer is in exactly one of the three."""

    launches: tuple[Launch, ...]
    keep: tuple[str, ...]  # offers that stay with us, for the reservation
    decline: tuple[str, ...]
    reservations: tuple[Reservation, ...]


@dataclass
class _Stock:
    """The offers of one agent for one role, while the plan is made."""

    place: Place
    role: str
    offer_ids: list[str]
    pool: Pool
    assignments: list[Assignment] = field(default_factory=list)


def match(
    wanted: Sequence[Wanted],
    offers: Sequence[Offered],
    *,
    agents: Sequence[Agent] = (),
    reservations: Sequence[Reservation] = (),
    avoid: frozenset[str] = frozenset(),
    now: float = 0.0,
    patience_seconds: float = 60.0,
) -> Plan:
    """The plan for ``wanted``, whose order is the order of their right, on ``offers``.

    ``agents`` is all that is known of the cluster; reservations are made on what is there. ``reservations``
    are those of the plan before. Nothing starts on the agents in ``avoid``.
    """
    stocks = _stocks(offers)
    held = _still_good(reservations, wanted, agents, avoid)
    waiting: list[Wanted] = []
    in_vain: set[Hashable] = set()  # pools only shrink, so what did not fit does not fit later
    for job in wanted:
        own = held.get(job.role)
        owner = own is not None and own.key == job.key
        if not owner and job.shape in in_vain:
            waiting.append(job)
        elif not _place(job, stocks, own, avoid):
            waiting.append(job)
            in_vain.add(job.shape)
        elif owner:
            del held[job.role]  # its agents are free again for all that come after it
            in_vain.clear()
    for job in waiting:
        if job.role not in held and now - job.since >= patience_seconds:
            made = _reserve(job, agents, avoid)
            if made is not None:
                held[job.role] = made
    launches, keep, decline = [], [], []
    for stock in stocks:
        reserved = held.get(stock.role)
        if stock.assignments:
            launches.append(
                Launch(stock.place.agent_id, stock.role, tuple(stock.offer_ids), tuple(stock.assignments))
            )
        elif reserved is not None and stock.place.agent_id in reserved.agent_ids:
            keep += stock.offer_ids
        else:
            decline += stock.offer_ids
    return Plan(tuple(launches), tuple(keep), tuple(decline), tuple(held.values()))


def would_start(
    wanted: Sequence[Wanted],
    agents: Sequence[Agent],
    *,
    reservations: Sequence[Reservation] = (),
    avoid: frozenset[str] = frozenset(),
    most_shapes: int = 20,
) -> bool:
    """Whether a job of several tasks has room in what is free, if only all of it were offered at once.

    Of jobs that ask for the same one is looked at, and no more than ``most_shapes``, the first in the order.
    """
    shapes: set[Hashable] = set()
    for job in wanted:
        if len(job.needs) == 1 or job.shape in shapes:
            continue
        if len(shapes) == most_shapes:
            return False
        shapes.add(job.shape)
        kept = {id for one in reservations if one.key != job.key for id in one.agent_ids}
        usable = [
            (agent, agent.free)
            for agent in agents
            if agent.place.agent_id not in avoid | kept and job.allows(agent.place)
        ]
        if _choose(job, usable) is not None:
            return True
    return False


def _stocks(offers: Sequence[Offered]) -> list[_Stock]:
    grouped: dict[tuple[str, str], list[Offered]] = {}
    for offer in offers:
        grouped.setdefault((offer.agent_id, offer.role), []).append(offer)
    return [
        _Stock(
            place=Place(agent_id, some[0].host, some[0].attributes),
            role=role,
            offer_ids=[offer.id for offer in some],
            pool=Pool.of(resource for offer in some for resource in offer.resources),
        )
        for (agent_id, role), some in grouped.items()
    ]


def _place(
    job: Wanted, stocks: Sequence[_Stock], reservation: Reservation | None, avoid: frozenset[str]
) -> bool:
    """Place every task of the job, or none."""
    others = reservation.agent_ids if reservation is not None and reservation.key != job.key else frozenset()
    usable = [
        stock
        for stock in stocks
        if stock.role == job.role
        and stock.place.agent_id not in avoid
        and stock.place.agent_id not in others
        and job.allows(stock.place)
    ]
    chosen = _choose(job, [(stock, stock.pool) for stock in usable])
    if chosen is None:
        return False
    for index, stock in enumerate(chosen):
        resources = tuple(stock.pool.take(job.needs[index]))
        stock.assignments.append(
            Assignment(job.key, index, stock.place.agent_id, stock.place.host, resources)
        )
    return True


def _choose(job: Wanted, stocks: Sequence[tuple[Any, Pool]]) -> list[Any] | None:
    """For each need the stock that it goes to; None when not all have one. Takes nothing.

    The fullest agent on which a task fits is filled first, so that large pieces stay large. The needs of a
    gang are alike, or nearly so: the largest are placed first.
    """
    left = [_Trial(owner, pool) for owner, pool in stocks]
    chosen: list[Any] = [None] * len(job.needs)
    for index in sorted(range(len(job.needs)), key=lambda i: _size(job.needs[i]), reverse=True):
        need = job.needs[index]
        fitting = [trial for trial in left if trial.takes(need)]
        if not fitting:
            return None
        best = min(fitting, key=_Trial.room)
        best.count(need)
        chosen[index] = best.owner
        if job.spread:
            left.remove(best)
    return chosen


class _Trial:
    """A pool from which amounts are taken on trial."""

    def __init__(self, owner: Any, pool: Pool) -> None:
        self.owner = owner
        self._pool = pool
        self._used: dict[str, int] = {}
        self._ports = 0

    def takes(self, need: Need) -> bool:
        more = {name: amount + self._used.get(name, 0) for name, amount in need.scalars.items()}
        return not self._pool.lacks(Need(more, need.ports + self._ports))

    def count(self, need: Need) -> None:
        for name, amount in need.scalars.items():
            self._used[name] = self._used.get(name, 0) + amount
        self._ports += need.ports

    def room(self) -> tuple[int, int]:
        return (
            self._pool.scalar("cpus") - self._used.get("cpus", 0),
            self._pool.scalar("mem") - self._used.get("mem", 0),
        )


def _size(need: Need) -> tuple[int, int]:
    return need.scalars.get("cpus", 0), need.scalars.get("mem", 0)


def _still_good(
    reservations: Sequence[Reservation],
    wanted: Sequence[Wanted],
    agents: Sequence[Agent],
    avoid: frozenset[str],
) -> dict[str, Reservation]:
    """Reservations whose job still waits and whose agents are all still there, by role."""
    waiting = {job.key: job for job in wanted}
    there = {agent.place.agent_id: agent for agent in agents if agent.place.agent_id not in avoid}
    good = {}
    for one in reservations:
        job = waiting.get(one.key)
        if job is not None and all(id in there and job.allows(there[id].place) for id in one.agent_ids):
            good[one.role] = one
    return good


def _reserve(job: Wanted, agents: Sequence[Agent], avoid: frozenset[str]) -> Reservation | None:
    """The agents that will be large enough and have most free now; None when there are too few."""
    usable = [a for a in agents if a.place.agent_id not in avoid and job.allows(a.place)]
    usable.sort(key=lambda a: (a.free.scalar("cpus"), a.free.scalar("mem")), reverse=True)
    most = len(job.needs)
    # As few agents as will do: each that is kept waits idle.
    for count in range(1 if not job.spread else most, len(usable) + 1):
        chosen = _choose(job, [(agent, agent.reach) for agent in usable[:count]])
        if chosen is not None:
            return Reservation(job.key, job.role, frozenset(agent.place.agent_id for agent in chosen))
    return None
