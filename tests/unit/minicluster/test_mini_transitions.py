"""Every pair of states is tried on a real state manager and held against Aurora 0.22's documented table."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import events
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from tests.unit.minicluster.bench import Bench

MakeBench = Callable[..., Bench]

ALLOWED = {
    "THROTTLED": "PENDING KILLING",
    "PENDING": "ASSIGNED KILLING",
    "ASSIGNED": "STARTING RUNNING FINISHED FAILED RESTARTING DRAINING KILLED KILLING LOST PREEMPTING",
    "STARTING": "RUNNING FINISHED FAILED RESTARTING DRAINING KILLING KILLED LOST PREEMPTING PARTITIONED",
    "RUNNING": "FINISHED RESTARTING DRAINING FAILED KILLING KILLED LOST PREEMPTING PARTITIONED",
    "PREEMPTING": "FINISHED FAILED KILLING KILLED LOST PARTITIONED",
    "RESTARTING": "FINISHED FAILED KILLING KILLED LOST PARTITIONED",
    "DRAINING": "FINISHED FAILED KILLING KILLED LOST PARTITIONED",
    "KILLING": "FINISHED FAILED KILLED LOST DELETED PARTITIONED",
    "PARTITIONED": "LOST FAILED FINISHED RUNNING ASSIGNED STARTING RESTARTING DRAINING PREEMPTING KILLING",
    "FINISHED": "DELETED",
    "FAILED": "DELETED",
    "KILLED": "DELETED",
    "LOST": "DELETED",
}
WAY_TO = {
    "PENDING": "",
    "ASSIGNED": "ASSIGNED",
    "STARTING": "ASSIGNED STARTING",
    "RUNNING": "ASSIGNED STARTING RUNNING",
    **{
        state: f"ASSIGNED STARTING RUNNING {state}"
        for state in (
            "PREEMPTING", "RESTARTING", "DRAINING", "KILLING", "PARTITIONED",
            "FINISHED", "FAILED", "KILLED", "LOST",
        )
    },
}  # fmt: skip
ON_HOST = ("ASSIGNED", "STARTING", "RUNNING")
LEAVING = ("PREEMPTING", "RESTARTING", "DRAINING")
TERMINAL = ("FINISHED", "FAILED", "KILLED", "LOST")


class Outcome(NamedTuple):
    state: str
    """`gone` for a task that was removed."""
    replaced: bool = False
    kills: int = 0
    failures: int = 0


def expected(before: str, to: str, service: bool) -> Outcome:
    """For a task that is retried for ever (`maxTaskFailures` -1) or, if `service` is false, never."""
    if to not in ALLOWED[before].split():
        # A dead task that shows signs of life is killed.
        stray = to in ON_HOST and (before in TERMINAL or before == "KILLING")
        return Outcome(before, kills=int(stray))
    if to == "DELETED" or (before in ("PENDING", "THROTTLED") and to == "KILLING"):
        return Outcome("gone")
    if before in ON_HOST:
        if to == "FINISHED":
            return Outcome(to, replaced=service)
        if to == "FAILED":
            return Outcome(to, replaced=service, failures=1)
        if to == "KILLED":
            return Outcome(to, replaced=True)
        if to == "LOST":
            return Outcome(to, replaced=True, kills=int(before == "ASSIGNED"))
        return Outcome(to, kills=int(to == "KILLING" or to in LEAVING))
    if before in LEAVING:
        if to == "PARTITIONED":
            return Outcome("LOST", replaced=True, kills=1)
        return Outcome(to, replaced=to in TERMINAL, kills=int(to == "LOST"))
    if before == "KILLING":
        return Outcome("LOST" if to == "PARTITIONED" else to, kills=int(to == "PARTITIONED"))
    if before == "PARTITIONED":
        if to == "FAILED":
            return Outcome(to, replaced=service, failures=1)
        if to == "LOST" or to in LEAVING:
            return Outcome("LOST", replaced=True, kills=1)
        if to == "KILLING":
            return Outcome("LOST")
    return Outcome(to)


def brought_to(b: Bench, state: str, service: bool) -> Task:
    b.created(
        "j",
        isService=service,
        cpus=100,  # no place: the test moves it
        partitionPolicy=api.PartitionPolicy(reschedule=False),
    )
    (task,) = b.of("j")
    if state == "THROTTLED":
        task.status = Status.THROTTLED
        b.scheduler.queue.remove(task)
    for step in WAY_TO.get(state, "").split():
        if step == "ASSIGNED":
            b.scheduler.manager.assign(task, "S0", "node1", {})
        else:
            assert b.scheduler.manager.change(task, Status[step])
    b.driver.reset_mock()
    return task


NAMES = [status.name for status in Status if status is not Status.INIT]


@pytest.mark.parametrize("service", [True, False])
@pytest.mark.parametrize(("before", "to"), list(product(ALLOWED, NAMES)))
def test_every_pair(bench: MakeBench, before: str, to: str, service: bool) -> None:
    b = bench()
    task = brought_to(b, before, service)
    # A replacement made on the way must not be mistaken for one made by the last step.
    known = {t.task_id for t in b.of("j")}
    failures = task.failures
    number = len(task.events)
    if before != to:
        b.scheduler.manager.change(task, Status[to], "text")
    want = expected(before, to, service) if before != to else Outcome(before)
    gone = b.scheduler.store.get(task.task_id) is None
    fresh = [t for t in b.of("j") if t.task_id not in known]
    assert (
        Outcome(
            "gone" if gone else task.status.name,
            bool(fresh),
            len({call.args for call in b.driver.kill.call_args_list}),
            task.failures - failures,
        )
        == want
    )
    if fresh:
        (replacement,) = fresh
        assert replacement.ancestor_id == task.task_id
        assert (replacement.instance, replacement.failures) == (task.instance, task.failures)
        assert (replacement.agent_id, replacement.host, replacement.ports) == (None, None, {})
        assert events(replacement.struct())[0] == ("PENDING", "Rescheduled")
    changed = want.state != before and not gone
    assert (len(task.events) > number) == changed
    if changed:
        assert task.events[-1].status == task.status


def test_what_was_killed_while_partitioned_is_not_replaced_and_says_why(bench: MakeBench) -> None:
    b = bench()
    task = brought_to(b, "PARTITIONED", service=True)
    b.scheduler.manager.change(task, Status.KILLING, "Killed by UNSECURE")
    assert events(task.struct())[-2:] == [
        ("KILLING", "Killed by UNSECURE"),
        ("LOST", "Action performed on partitioned task, marking as LOST."),
    ]
    assert len(b.of("j")) == 1


def test_only_the_latest_partition_is_told(bench: MakeBench) -> None:
    b = bench()
    task = brought_to(b, "RUNNING", service=False)
    for _ in range(3):
        b.scheduler.manager.change(task, Status.PARTITIONED)
        b.scheduler.manager.change(task, Status.RUNNING)
    assert [name for name, _ in events(task.struct())] == [
        "PENDING", "ASSIGNED", "STARTING", "RUNNING", "PARTITIONED", "RUNNING",
    ]  # fmt: skip
    assert task.times_partitioned == 3
