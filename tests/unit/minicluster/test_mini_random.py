"""Random sequences of calls, reports, lost agents and passing time, after each of which everything must fit
together."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any
from unittest.mock import create_autospec

from hypothesis import given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import ManualClock
from airavata_mesos_plugin.minicluster.probe import job, job_key
from airavata_mesos_plugin.minicluster.scheduler.core import Driver, Scheduler
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from tests.unit.minicluster.bench import Bench
from tests.unit.minicluster.test_mini_transitions import ALLOWED, TERMINAL

NAMES = ("a", "b")
REPORTS = ("STARTING", "RUNNING", "FINISHED", "FAILED", "KILLED", "LOST", "UNREACHABLE")
FORCED = [int(status) for status in Status if status is not Status.DELETED]

names = st.sampled_from(NAMES)
small = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.just("create"), names, small, st.sampled_from([0.1, 1.5]), st.booleans(), st.booleans()),
    st.tuples(st.just("kill"), names, small),
    st.tuples(st.just("restart"), names, small),
    st.tuples(st.just("add"), names, small),
    st.tuples(st.just("report"), st.integers(0, 50), st.sampled_from(REPORTS)),
    st.tuples(st.just("force"), st.integers(0, 50), st.sampled_from(FORCED)),
    st.tuples(st.just("advance"), st.sampled_from([0.01, 1.0, 61.0, 400.0])),
    st.tuples(st.just("drain"), st.integers(0, 1)),
    st.tuples(st.just("end maintenance"), st.integers(0, 1)),
    st.tuples(st.just("lose"), st.integers(0, 1)),
    st.tuples(st.just("prune"), names),
)


def take(b: Bench, step: tuple[Any, ...]) -> None:
    what, *rest = step
    tasks = list(b.scheduler.store.all())
    if what == "create":
        name, count, cpus, service, patient = rest
        policy = api.PartitionPolicy(reschedule=False) if patient else None
        b.create(
            job(
                name, "{}", instances=count, cpus=cpus, ports=("http",), isService=service,
                maxTaskFailures=2, partitionPolicy=policy,
            )
        )  # fmt: skip
    elif what == "kill":
        b.call("killTasks", job=job_key(rest[0]), instances=frozenset({rest[1]}), message=None)
    elif what == "restart":
        b.call("restartShards", job=job_key(rest[0]), shardIds=frozenset({rest[1]}))
    elif what == "add":
        key = api.InstanceKey(jobKey=job_key(rest[0]), instanceId=rest[1])
        b.call("addInstances", key=key, count=1)
    elif what == "report" and tasks:
        b.scheduler.status_update(tasks[rest[0] % len(tasks)].task_id, f"TASK_{rest[1]}", None)
    elif what == "force" and tasks:
        b.call("forceTaskState", taskId=tasks[rest[0] % len(tasks)].task_id, status=rest[1])
    elif what == "advance":
        b.clock.advance(rest[0])
    elif what == "drain":
        b.call("drainHosts", hosts=api.Hosts(hostNames=frozenset({f"node{rest[0] + 1}"})))
    elif what == "end maintenance":
        b.call("endMaintenance", hosts=api.Hosts(hostNames=frozenset({f"node{rest[0] + 1}"})))
    elif what == "lose":
        agent = f"S{rest[0]}"
        b.scheduler.remove_host(agent)
        for task in tasks:
            if task.agent_id == agent and task.active:
                b.scheduler.status_update(task.task_id, "TASK_LOST", None)
        b.add_host(rest[0])
    elif what == "prune":
        b.call("pruneTasks", query=api.TaskQuery(role="www", environment="devel", jobName=rest[0]))


def follows(before: str, after: str) -> bool:
    # Earlier times away are left out of the list of events: one may hide between two entries.
    hidden = "PARTITIONED" in ALLOWED.get(before, "").split() and after in ALLOWED["PARTITIONED"].split()
    return after in ALLOWED[before].split() or hidden


def check(b: Bench) -> None:
    store = b.scheduler.store
    tasks = list(store.all())
    active = [task for task in tasks if task.active]
    assert {task.task_id for task in store.active()} == {task.task_id for task in active}
    places = Counter((task.key, task.instance) for task in active)
    assert not places or max(places.values()) == 1
    by_id = {task.task_id: task for task in tasks}
    for task in tasks:
        seen = [Status(event.status).name for event in task.events]
        assert seen[-1] == task.status.name
        assert seen[0] in ("PENDING", "THROTTLED")
        assert all(follows(one, other) for one, other in pairwise(seen)), seen
        times = [event.timestamp for event in task.events]
        assert times == sorted(times)
        ancestor = by_id.get(task.ancestor_id or "")
        if ancestor is not None:
            assert ancestor.status.name in TERMINAL
            assert all(event.status != Status.KILLING for event in ancestor.events)
            assert task.failures == ancestor.failures
    waiting = {task.task_id for task in tasks if task.status is Status.PENDING}
    assert len(b.scheduler.queue) == len(waiting)
    for host in b.scheduler.hosts.values():
        there = [task for task in active if task.agent_id == host.agent_id]
        used = [sum(part) for part in zip((0,) * 5, *(task.needs for task in there), strict=True)]
        assert list(host.total.minus(host.free)) == used
        ports = [port for task in there for port in task.ports.values()]
        assert len(ports) == len(set(ports))
    for key in (JobKey("www", "devel", name) for name in NAMES):
        assert {t.task_id for t in store.of_job(key)} == {t.task_id for t in tasks if t.key == key}


def check_that_it_can_be_restored(b: Bench) -> None:
    kept: dict[str, list[tuple[str, bytes]]] = {}
    for kind, key, value in b.scheduler.remembered():
        kept.setdefault(kind, []).append((key, value))
    clock = ManualClock(b.clock.now_ms())
    again = Scheduler(b.settings, clock, create_autospec(Driver, instance=True), "scheduler-2")
    again.restore(kept)
    assert {t.struct() for t in again.store.all()} == {t.struct() for t in b.scheduler.store.all()}
    assert [t.task_id for t in again.store.ended()] == [
        t.task_id for t in sorted(b.scheduler.store.ended(), key=lambda t: (t.changed_ms, t.sequence))
    ]
    assert len(again.queue) == len(b.scheduler.queue)
    assert again.maintenance.all() == b.scheduler.maintenance.all()


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=30))
def test_everything_fits_together_whatever_happens(sequence: list[tuple[Any, ...]]) -> None:
    b = Bench(create_autospec(Driver, instance=True))
    b.add_host(1)
    for step in sequence:
        take(b, step)
        check(b)
    check_that_it_can_be_restored(b)
