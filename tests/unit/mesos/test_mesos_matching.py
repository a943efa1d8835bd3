"""What the matching promises, for any jobs and offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.mesos.amounts import Need, Pool, ports_in
from airavata_mesos_plugin.schedulers.mesos.matching import (
    Agent,
    Offered,
    Place,
    Plan,
    Reservation,
    Wanted,
    match,
    satisfies,
)


def resources(cpus: float, mem: float = 1000, ports: int = 0, **more: Any) -> tuple[dict[str, Any], ...]:
    made: list[dict[str, Any]] = [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}, **more},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}, **more},
    ]
    if ports:
        ranges = {"range": [{"begin": 31000, "end": 30999 + ports}]}
        made.append({"name": "ports", "type": "RANGES", "ranges": ranges, **more})
    return tuple(made)


def offer(
    number: int, agent: str, cpus: float, mem: float = 1000, ports: int = 0, role: str = "*"
) -> Offered:
    return Offered(f"O{number}", agent, f"host-{agent}", role, resources(cpus, mem, ports))


def need(cpus: float, mem: float = 1, ports: int = 0) -> Need:
    return Need({"cpus": round(cpus * 1000), "mem": round(mem * 1000)}, ports)


def job(name: str, *cpus: float, **more: Any) -> Wanted:
    return Wanted(JobKey("www", "prod", name), tuple(need(one) for one in cpus), **more)


def agent(name: str, total: float, free: float | None = None, reach: float | None = None) -> Agent:
    return Agent(
        Place(name, f"host-{name}"),
        total=Pool.of(resources(total)),
        free=Pool.of(resources(total if free is None else free)),
        reach=Pool.of(resources(total if reach is None else reach)),
    )


def started(plan: Plan) -> dict[str, list[str]]:
    """For each job that is launched the agents of its tasks."""
    found: dict[str, list[tuple[int, str]]] = {}
    for launch in plan.launches:
        for one in launch.assignments:
            found.setdefault(one.key.name, []).append((one.index, one.agent_id))
    return {name: [where for _, where in sorted(tasks)] for name, tasks in found.items()}


def taken(plan: Plan, name: str) -> Counter[str]:
    amounts: Counter[str] = Counter()
    for launch in plan.launches:
        for one in launch.assignments:
            for part in one.resources:
                if part["name"] == name:
                    amounts[launch.agent_id] += round(part["scalar"]["value"] * 1000)
    return amounts


names = st.integers(0, 10**6).map(str)
needs = st.builds(
    need, st.sampled_from([0.1, 0.5, 1, 2, 4]), st.sampled_from([1, 10, 600]), st.integers(0, 3)
)
jobs = st.lists(
    st.builds(
        lambda name, needs, role, spread, since: Wanted(
            JobKey("www", "prod", name), tuple(needs), role=role, spread=spread, since=since
        ),
        names,
        st.lists(needs, min_size=1, max_size=4),
        st.sampled_from(["*", "batch"]),
        st.booleans(),
        st.sampled_from([0.0, 100.0]),
    ),
    max_size=12,
    unique_by=lambda one: one.key,
)
offers = st.lists(
    st.builds(
        lambda cpus, mem, ports, agent, role: offer(0, agent, cpus, mem, ports, role),
        st.sampled_from([0.05, 0.5, 1, 3, 8]),
        st.sampled_from([5, 100, 2000]),
        st.integers(0, 4),
        st.sampled_from(["A", "B", "C", "D"]),
        st.sampled_from(["*", "batch"]),
    ),
    max_size=10,
).map(lambda some: [replace(one, id=f"O{number}") for number, one in enumerate(some)])


@given(jobs, offers, st.frozensets(st.sampled_from("AB")))
def test_every_offer_has_one_fate_and_nothing_is_given_out_twice(
    wanted: list[Wanted], offered: list[Offered], avoid: frozenset[str]
) -> None:
    plan = match(wanted, offered, agents=[agent(name, 8) for name in "ABCD"], avoid=avoid, now=100.0)
    used = [id for launch in plan.launches for id in launch.offer_ids]
    assert sorted([*used, *plan.keep, *plan.decline]) == sorted(one.id for one in offered)
    for resource in ("cpus", "mem"):
        there: Counter[str] = Counter()
        for one in offered:
            value = next(part["scalar"]["value"] for part in one.resources if part["name"] == resource)
            there[one.agent_id] += round(value * 1000)
        assert all(amount <= there[where] for where, amount in taken(plan, resource).items())
    assert not avoid & {launch.agent_id for launch in plan.launches}


@given(jobs, offers)
def test_a_job_starts_whole_or_not_at_all_with_all_that_it_needs(
    wanted: list[Wanted], offered: list[Offered]
) -> None:
    plan = match(wanted, offered)
    by_key = {one.key.name: one for one in wanted}
    for name, places in started(plan).items():
        assert len(places) == len(by_key[name].needs)
        if by_key[name].spread:
            assert len(set(places)) == len(places)
    for launch in plan.launches:
        ports: list[int] = []
        for one in launch.assignments:
            mine = by_key[one.key.name]
            assert launch.role == mine.role
            got = Pool.of(one.resources)
            assert got.scalar("cpus") == mine.needs[one.index].scalars["cpus"]
            assert got.scalar("mem") == mine.needs[one.index].scalars["mem"]
            ports += ports_in(one.resources)
            assert len(ports_in(one.resources)) == mine.needs[one.index].ports
        assert launch.assignments


@given(jobs, offers)
def test_no_single_job_is_left_that_would_still_fit(wanted: list[Wanted], offered: list[Offered]) -> None:
    """Without reservations nobody waits in front of something that is free."""
    plan = match(wanted, offered)
    left = match(
        [one for one in wanted if one.key.name not in started(plan)],
        [one for one in offered if one.id in plan.decline],
    )
    assert started(left) == {}


@given(offers, st.lists(st.sampled_from([0.1, 1, 2]), min_size=1, max_size=8))
def test_the_first_in_the_order_is_never_passed_over(offered: list[Offered], sizes: list[float]) -> None:
    wanted = [job(str(number), size) for number, size in enumerate(sizes)]
    alone = match(wanted[:1], offered)
    assert started(match(wanted, offered)).get("0") == started(alone).get("0")


def test_small_pieces_go_where_little_is_left() -> None:
    plan = match([job("small", 1)], [offer(1, "A", 8), offer(2, "B", 1)])
    assert started(plan) == {"small": ["B"]}
    assert plan.decline == ("O1",)


def test_several_offers_of_an_agent_are_one() -> None:
    plan = match([job("large", 5)], [offer(1, "A", 3), offer(2, "A", 3)])
    (launch,) = plan.launches
    assert launch.offer_ids == ("O1", "O2")
    assert taken(plan, "cpus") == {"A": 5000}


def test_a_gang_waits_until_all_its_tasks_have_a_place() -> None:
    gang = job("gang", 2, 2, 2)
    assert started(match([gang], [offer(1, "A", 8), offer(2, "B", 2)])) == {}
    assert started(match([gang], [offer(1, "A", 8), offer(2, "B", 2), offer(3, "C", 2)])) == {
        "gang": ["B", "C", "A"]
    }
    assert started(match([replace(gang, spread=False)], [offer(1, "A", 8)])) == {"gang": ["A", "A", "A"]}


def test_a_large_job_gets_a_node_kept_and_gives_it_back() -> None:
    """Small jobs pass by for a while, then a node is filled no more, and the others go on."""
    large, agents = job("large", 8), [agent("A", 8, free=2), agent("B", 8, free=5)]
    small = [job(f"small-{number}", 1, since=50) for number in range(9)]
    pieces = [offer(1, "A", 2), offer(2, "B", 5)]
    before = match([large, *small], pieces, agents=agents, now=59, patience_seconds=60)
    assert before.reservations == ()
    assert len(started(before)) == 7
    first = match([large], pieces, agents=agents, now=60, patience_seconds=60)
    assert first.reservations == (Reservation(large.key, "*", frozenset("B")),)
    assert (first.keep, first.decline) == (("O2",), ("O1",))
    more = [offer(2, "B", 5), offer(3, "A", 1)]
    then = match([large, *small], more, agents=agents, reservations=first.reservations, now=61)
    assert started(then) == {"small-0": ["A"]}
    assert then.keep == ("O2",)
    last = match(
        [large, *small],
        [offer(2, "B", 5), offer(4, "B", 3)],
        agents=agents,
        reservations=then.reservations,
        now=62,
    )
    assert started(last) == {"large": ["B"]}
    assert last.reservations == ()


def test_a_reservation_ends_with_its_job_and_moves_when_a_node_goes() -> None:
    large = job("large", 8)
    held = [Reservation(large.key, "*", frozenset("B"))]
    gone = match([], [offer(1, "B", 4)], agents=[agent("B", 8)], reservations=held, now=100)
    assert (gone.reservations, gone.decline) == ((), ("O1",))
    moved = match([large], [offer(1, "A", 4)], agents=[agent("A", 8, 4)], reservations=held, now=100)
    assert moved.reservations == (Reservation(large.key, "*", frozenset("A")),)
    assert moved.keep == ("O1",)


def test_nothing_is_kept_where_others_have_what_is_missing() -> None:
    """They may have it for ever."""
    large, agents = job("large", 8), [agent("A", 8, free=5, reach=6), agent("B", 8, free=2, reach=8)]
    plan = match([large], [offer(1, "A", 5), offer(2, "B", 2)], agents=agents, now=100)
    assert plan.reservations == (Reservation(large.key, "*", frozenset("B")),)
    assert (plan.keep, plan.decline) == (("O2",), ("O1",))


def test_nothing_is_kept_for_a_job_that_no_node_can_run() -> None:
    plan = match([job("huge", 99)], [offer(1, "A", 8)], agents=[agent("A", 8)], now=1000)
    assert (plan.reservations, plan.decline) == ((), ("O1",))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.data())
def test_gangs_that_need_more_than_there_is_all_run_in_the_end(
    widths: list[int], data: st.DataObject
) -> None:
    """Four nodes of one CPU; tasks end in any order; small jobs keep coming for a while."""
    waiting = [job(f"gang-{number}", *[1.0] * width) for number, width in enumerate(widths)]
    running: list[str] = []  # the agent of each task that runs
    reservations: Sequence[Reservation] = ()
    held: list[str] = []
    done: list[str] = []
    for step in range(400):
        if step < 20:
            waiting.append(job(f"small-{step}", 1.0, since=float(step)))
        free = [name for name in "ABCD" if name not in running]
        plan = match(
            waiting,
            [offer(number, name, 1) for number, name in enumerate(free)],
            agents=[agent(name, 1, 0 if name in running else 1) for name in "ABCD"],
            reservations=reservations,
            now=float(step),
            patience_seconds=3,
        )
        reservations, held = plan.reservations, [*plan.keep]
        begun = started(plan)
        waiting = [one for one in waiting if one.key.name not in begun]
        running += [where for places in begun.values() for where in places]
        done += begun
        if not waiting:
            break
        if running:
            running.remove(data.draw(st.sampled_from(sorted(running))))
    assert waiting == []
    assert held == []


def test_places_are_chosen_by_attributes_and_names() -> None:
    place = Place("A", "host-a", {"rack": ("r1",), "disk": ("ssd", "hdd")})
    assert job("j", 1, constraints={"rack": "r1,r2"}).allows(place)
    assert not job("j", 1, constraints={"rack": "r2"}).allows(place)
    assert not job("j", 1, constraints={"rack": "!r1"}).allows(place)
    assert job("j", 1, constraints={"zone": "!z1"}).allows(place)
    assert job("j", 1, constraints={"disk": "ssd", "host": "host-a"}).allows(place)
    assert not job("j", 1, nodes=frozenset({"host-b"})).allows(place)
    assert not job("j", 1, exclude_nodes=frozenset({"host-a"})).allows(place)
    assert not job("j", 1, avoid=frozenset("A")).allows(place)
    assert not satisfies("x", ())


def test_what_is_reserved_for_the_role_is_used_first_and_keeps_its_marks() -> None:
    reserved = resources(1, 100, reservations=[{"type": "STATIC", "role": "batch"}])
    marks: dict[str, Any] = {"allocation_info": {"role": "batch"}}
    offered = Offered("O1", "A", "a", "batch", (*resources(2, 100, **marks), *reserved))
    plan = match([job("j", 1.5, role="batch")], [offered])
    parts = plan.launches[0].assignments[0].resources
    cpus = [part for part in parts if part["name"] == "cpus"]
    assert [part["scalar"]["value"] for part in cpus] == [1.0, 0.5]
    assert cpus[0]["reservations"] == [{"type": "STATIC", "role": "batch"}]
    assert cpus[1]["allocation_info"] == {"role": "batch"}


def test_what_no_job_asks_for_is_left_alone() -> None:
    odd = [
        {"name": "cpus", "scalar": {"value": 4}, "revocable": {}},
        {"name": "disk", "scalar": {"value": 100}, "disk": {"persistence": {"id": "x"}}},
        {"name": "cpus", "scalar": {"value": 4}, "shared": {}},
    ]
    pool = Pool.of(odd)
    assert (pool.scalar("cpus"), pool.scalar("disk")) == (0, 0)
