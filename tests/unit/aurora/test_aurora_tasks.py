from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import ProtocolError
from airavata_mesos_plugin.gen.aurora import ttypes as t
from airavata_mesos_plugin.job_metadata import NODES
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.aurora.tasks import native_name, newest, observe, phase_of
from airavata_mesos_plugin.schedulers.base import NodeTask
from airavata_mesos_plugin.states import AURORA_PHASES

S = t.ScheduleStatus
KEY = JobKey("www", "prod", "job")
BASE = 1_700_000_000_000


def task(
    name: str,
    *events: tuple[int, int],
    ancestor: str | None = None,
    instance: int = 0,
    failures: int = 0,
    key: JobKey = KEY,
    message: str | None = None,
    agent: str = "agent-1",
    nodes: int = 1,
) -> Any:
    """A task with events (ms after BASE, status); its status is the last one's."""
    made = [t.TaskEvent(timestamp=BASE + at, status=status) for at, status in events]
    if made and message is not None:
        made[-1] = t.TaskEvent(timestamp=made[-1].timestamp, status=made[-1].status, message=message)
    config = t.TaskConfig(
        job=t.JobKey(role=key.role, environment=key.environment, name=key.name),
        metadata={t.Metadata(NODES, str(nodes))} if nodes > 1 else None,
    )
    return t.ScheduledTask(
        assignedTask=t.AssignedTask(
            taskId=name, slaveId=agent, slaveHost="node1", task=config, instanceId=instance
        ),
        status=events[-1][1] if events else S.PENDING,
        failureCount=failures,
        taskEvents=made,
        ancestorId=ancestor,
    )


def one(*tasks: Any) -> Any:
    (observation,) = observe(tasks, now=5.0).values()
    return observation


def test_every_status_of_the_idl_has_its_phase() -> None:
    assert set(S._NAMES_TO_VALUES) == set(AURORA_PHASES)
    for number, name in S._VALUES_TO_NAMES.items():
        assert native_name(number) == name
        assert phase_of(number) is AURORA_PHASES[name]


def test_status_of_a_later_release_counts_as_running() -> None:
    observation = one(task("a", (0, S.PENDING), (1, 99)))
    assert (observation.native_state, observation.phase) == ("UNKNOWN_99", JobPhase.RUNNING)


def test_all_that_is_known_is_told() -> None:
    observation = one(
        task(
            "id-1",
            (0, S.PENDING),
            (1500, S.ASSIGNED),
            (2500, S.RUNNING),
            (9250, S.FAILED),
            message="Task failed.",
        )
    )
    assert observation.key == KEY
    assert (observation.task_id, observation.run) == ("id-1", 0)
    assert (observation.host, observation.agent_id) == ("node1", "agent-1")
    assert (observation.queued_at, observation.started_at) == (BASE / 1000, BASE / 1000 + 2.5)
    assert observation.changed_at == BASE / 1000 + 9.25
    assert (observation.native_state, observation.phase) == ("FAILED", JobPhase.FAILED)
    assert observation.message == "Task failed."
    assert not observation.kill_seen


def test_task_without_events_is_told_as_of_now() -> None:
    observation = one(task("a"))
    assert (observation.changed_at, observation.queued_at, observation.started_at) == (5.0, None, None)


def test_kill_stays_visible_after_the_end() -> None:
    assert one(task("a", (0, S.RUNNING), (1, S.KILLING), (2, S.KILLED))).kill_seen
    assert not one(task("a", (0, S.RUNNING), (2, S.KILLED))).kill_seen


def test_message_is_that_of_the_last_event() -> None:
    assert one(task("a", (0, S.PENDING), (1, S.LOST))).message == ""


def test_replacement_is_newer_even_in_the_same_millisecond() -> None:
    old = task("z", (0, S.PENDING), (9, S.LOST))
    new = task("a", (9, S.PENDING), ancestor="z")
    assert one(old, new).task_id == one(new, old).task_id == "a"
    assert one(old, new).run == 1


def test_replacement_is_newer_when_clocks_disagree() -> None:
    old = task("old", (1000, S.PENDING), (2000, S.LOST))
    new = task("new", (10, S.PENDING), (20, S.FAILED), ancestor="old", failures=1)
    assert one(old, new).task_id == "new"


def test_active_task_is_the_newest() -> None:
    active = task("active", (0, S.PENDING), (1, S.RUNNING))
    ended = task("ended", (5, S.PENDING), (6, S.FINISHED))
    assert newest([active, ended]) is active


def test_later_created_of_two_ended_is_the_newest() -> None:
    slow = task("slow", (0, S.PENDING), (100, S.FAILED))
    later = task("later", (5, S.PENDING), (6, S.FINISHED))
    assert newest([slow, later]) is later


def test_run_counts_ancestors_that_were_pruned() -> None:
    assert one(task("c", (5, S.RUNNING), ancestor="b")).run == 1
    kept = task("b", (0, S.PENDING), (4, S.LOST), ancestor="a")
    assert one(task("c", (5, S.RUNNING), ancestor="b"), kept).run == 2
    assert one(task("d", (5, S.RUNNING), ancestor="c", failures=3)).run == 3


def test_own_failure_is_no_earlier_run() -> None:
    assert one(task("a", (0, S.RUNNING), (1, S.FAILED), failures=1)).run == 0


def test_ancestors_in_a_circle_do_not_hang() -> None:
    a = task("a", (0, S.RUNNING), ancestor="b")
    b = task("b", (1, S.RUNNING), ancestor="a")
    assert one(a, b).task_id == "b"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([S.FINISHED, S.FINISHED], "FINISHED"),
        ([S.FINISHED, S.FAILED], "FAILED"),
        ([S.FAILED, S.RUNNING], "RUNNING"),
        ([S.PENDING, S.RUNNING], "RUNNING"),
        ([S.FINISHED, S.PENDING], "PENDING"),
    ],
)
def test_job_of_several_instances(states: list[int], expected: str) -> None:
    tasks = [task(f"t{n}", (n, status), instance=n) for n, status in enumerate(states)]
    assert one(*tasks).native_state == expected


def test_restart_of_any_instance_is_a_new_run() -> None:
    first = task("a", (0, S.RUNNING), instance=0)
    old = task("b", (0, S.PENDING), (1, S.LOST), instance=1)
    new = task("c", (1, S.PENDING), instance=1, ancestor="b")
    assert one(first, old, new).run == 1


@given(st.integers(1, 8), st.randoms(use_true_random=False), st.integers(0, 7))
def test_end_of_a_chain_is_found_in_any_order(length: int, order: Any, pruned: int) -> None:
    """However the answer is sorted and whatever has been pruned, the last of the chain speaks."""
    chain = [
        task(
            f"t{n}",
            (n * 10, S.PENDING),
            (n * 10 + 10, S.LOST if n < length - 1 else S.FINISHED),
            ancestor=f"t{n - 1}" if n else None,
        )
        for n in range(length)
    ]
    kept = chain[min(pruned, length - 1) :]
    noise = task("other", (500, S.RUNNING), key=JobKey("www", "prod", "other"))
    answer = [*kept, noise]
    order.shuffle(answer)
    observation = observe(answer, now=0)[KEY]
    assert observation.task_id == f"t{length - 1}"
    assert observation.phase is JobPhase.COMPLETED
    assert min(len(kept) - 1, length - 1) <= observation.run <= length - 1


@pytest.mark.parametrize(
    "assigned",
    [
        None,
        t.AssignedTask(taskId="a"),
        t.AssignedTask(taskId="a", task=t.TaskConfig()),
        t.AssignedTask(task=t.TaskConfig(job=t.JobKey(role="a", environment="b", name="c"))),
    ],
)
def test_task_of_nobody_is_refused(assigned: Any) -> None:
    with pytest.raises(ProtocolError, match="without job key or task id"):
        observe([t.ScheduledTask(assignedTask=assigned, status=S.RUNNING)], now=0)


def test_the_tasks_of_all_nodes_of_a_job_are_told() -> None:
    def node(name: str, number: int, *events: tuple[int, int], ancestor: str | None = None) -> Any:
        return task(name, *events, instance=number, ancestor=ancestor, agent=f"agent-of-{name}", nodes=3)

    runs = ((0, S.PENDING), (1, S.RUNNING))
    first = node("first", 0, *runs)
    lost = node("lost", 2, *runs, (2, S.LOST))
    again = node("again", 2, (3, S.PENDING), (4, S.RUNNING), ancestor="lost")
    third = NodeTask("again", "agent-of-again")
    assert one(again, lost, first).nodes == (NodeTask("first", "agent-of-first"), NodeTask(), third)
    assert one(again, lost, first, node("second", 1, *runs)).nodes[1].task_id == "second"
    assert one(task("serial", *runs)).nodes == ()
