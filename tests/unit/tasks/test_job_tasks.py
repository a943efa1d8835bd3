"""Submission, monitoring, cancel and the end: one job for each task, and states that Airavata accepts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airavata_mesos_plugin.airavata.tasks import (
    CompletingTask,
    DefaultJobSubmissionTask,
    MonitoringTask,
    RemoteJobCancellationTask,
)
from airavata_mesos_plugin.airavata.tasks.jobs import history
from airavata_mesos_plugin.airavata.tasks.model import (
    DataType,
    JobState,
    JobSubmission,
    OutputDataObject,
    ProcessState,
    Scheduling,
    TaskState,
    TaskTypes,
)
from airavata_mesos_plugin.errors import ConfigurationError, LedgerError
from airavata_mesos_plugin.jobs import JobEvent, JobPhase
from airavata_mesos_plugin.states import may_follow
from airavata_mesos_plugin.store import JobSelection
from tests.unit.tasks.conftest import COMPLETE_ORDER, World, done, failed

P = JobPhase
TO_THE_END = (P.SUBMITTING, P.QUEUED, P.RUNNING, P.FETCHING, P.COMPLETED)


def submit(world: World, task_id: str = "TASK_1") -> int:
    assert "submitted" in done(DefaultJobSubmissionTask().execute(world.context(task_id)))
    return world.provider.jobs(JobSelection())[0].id


def test_a_job_is_submitted_with_what_the_user_chose(world: World) -> None:
    outputs = (OutputDataObject("o", type=DataType.STDOUT), OutputDataObject("e", "err.txt", DataType.STDERR))
    scheduling = Scheduling("long", 1, 3, 90, 5000, "project")
    process = world.process(outputs=outputs, scheduling=scheduling)
    status = DefaultJobSubmissionTask().execute(world.context("TASK_1", JobSubmission(), process))

    assert done(status) == "submitted as job 1"
    assert status.time_of_state_change == 1_700_000_000_500
    request = world.provider.job(1).request
    assert (request.name, request.queue, request.tasks, request.resources.cpus) == ("A42", "long", 3, 3)
    assert (request.wall_time_seconds, request.resources.memory_mb, request.account) == (
        5400,
        5000,
        "project",
    )
    assert (request.stdout, request.stderr) == ("Echo.stdout", "err.txt")
    assert dict(request.labels)["airavata.process"] == "PROCESS_1"
    assert world.provider.script(1) == process.script
    (model,) = world.memory.jobs.values()
    assert (model.job_id, model.task_id, model.job_description) == ("1", "TASK_1", process.script)
    assert world.states(1) == ["SUBMITTED"]
    assert [each.state for each in world.memory.tasks["TASK_1"]] == [TaskState.EXECUTING, TaskState.COMPLETED]


def test_the_wall_time_of_the_task_wins(world: World) -> None:
    done(DefaultJobSubmissionTask().execute(world.context(model=JobSubmission(wall_time=7))))
    assert world.provider.job(1).request.wall_time_seconds == 420


@pytest.mark.parametrize("again", ["execute", "recover"])
@pytest.mark.parametrize("phases", [(), TO_THE_END[:3], TO_THE_END], ids=["new", "running", "over"])
def test_a_task_never_submits_twice(world: World, again: str, phases: tuple[JobPhase, ...]) -> None:
    job_id = submit(world)
    world.move(job_id, *phases)
    task = DefaultJobSubmissionTask()
    assert done(getattr(task, again)(world.context())) == "job 1 was submitted before"
    assert len(world.provider.jobs(JobSelection())) == 1
    assert len(world.memory.jobs) == 1


def test_recover_finds_the_job_although_nobody_else_heard_of_it(world: World) -> None:
    """The caller dies between the ledger's answer and its own registry; its directory changes meanwhile."""
    submit(world)
    world.memory.jobs.clear()
    world.memory.states.clear()
    world.move(1, P.SUBMITTING, P.QUEUED, P.RUNNING)
    changed = world.process(script="#!/bin/sh\necho rendered anew\n", working_directory="/gone")
    assert done(DefaultJobSubmissionTask().recover(world.context(process=changed))) == (
        "job 1 was submitted before"
    )
    assert list(world.memory.jobs) == [("1", "TASK_1")]
    assert world.states(1) == ["SUBMITTED", "QUEUED", "ACTIVE"]


def test_recover_submits_when_nothing_was_ever_sent(world: World) -> None:
    assert done(DefaultJobSubmissionTask().recover(world.context())) == "submitted as job 1"


def test_a_registry_that_fails_costs_no_second_job(world: World, mocker: MockerFixture) -> None:
    away = mocker.patch.object(world.memory, "add_job", autospec=True)
    away.side_effect = LedgerError("the registry is away")
    assert "registry is away" in failed(DefaultJobSubmissionTask().execute(world.context()))
    mocker.stop(away)
    assert "before" in done(DefaultJobSubmissionTask().recover(world.context()))
    assert len(world.provider.jobs(JobSelection())) == 1


def test_one_instance_serves_many_processes_at_once(world: World) -> None:
    task = DefaultJobSubmissionTask()
    contexts = [
        world.context(f"TASK_{number % 10}", process=world.process(f"PROCESS_{number % 10}"))
        for number in range(40)
    ]
    with ThreadPoolExecutor(8) as pool:
        for status in pool.map(task.execute, contexts):
            done(status)
    records = world.provider.jobs(JobSelection())
    assert sorted(dict(record.request.labels)["airavata.process"] for record in records) == [
        f"PROCESS_{number}" for number in range(10)
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scheduling": Scheduling("nowhere", 1, 1, 1)}, "invalid partition"),
        ({"scheduling": Scheduling("default", 2, 2, 1)}, "on one node, not on 2"),
        ({"scheduling": Scheduling("default", 1, 9, 1)}, "at most 8 CPUs"),
        ({"scheduling": Scheduling("default", 1, 1, 601)}, "at most 10:00:00"),
        ({"script": "echo"}, "does not begin with #!"),
        ({"working_directory": "/not/there"}, "No such file"),
        ({"outputs": (OutputDataObject("o", "../x", DataType.STDOUT),)}, "leads out"),
    ],
)
def test_what_cannot_be_submitted_fails_with_a_reason(
    world: World, change: dict[str, Any], text: str
) -> None:
    assert text in failed(DefaultJobSubmissionTask().execute(world.context(process=world.process(**change))))
    assert world.provider.jobs(JobSelection()) == []
    ((task_id, error),) = world.memory.errors
    assert (task_id, error.transient_or_persistent) == ("TASK_1", False)
    assert text in error.actual_error_message


@pytest.mark.parametrize(
    ("phases", "before"),
    [((), "SUBMITTED"), (TO_THE_END[:2], "QUEUED"), (TO_THE_END[:3], "ACTIVE"), (TO_THE_END, "COMPLETE")],
)
def test_cancel_gives_the_state_before(world: World, phases: tuple[JobPhase, ...], before: str) -> None:
    context = world.context()
    job_id = submit(world)
    world.move(job_id, *phases)
    status = DefaultJobSubmissionTask().cancel(context)
    assert status is not None
    assert status.job_state.name == before
    assert (world.provider.job(job_id).cancel_requested_at is None) == (before == "COMPLETE")
    assert DefaultJobSubmissionTask().cancel(context) == status
    assert context.process.cancelled.is_set()


def test_a_process_that_is_cancelled_submits_nothing_later(world: World) -> None:
    context = world.context()
    assert DefaultJobSubmissionTask().cancel(context) is None
    assert "cancelled" in failed(DefaultJobSubmissionTask().execute(context))
    assert world.provider.jobs(JobSelection()) == []


def test_a_job_of_another_account_is_not_ours(world: World) -> None:
    submit(world)
    stranger = world.process(uid=world.process().uid + 1)
    assert MonitoringTask().cancel(world.context("TASK_2", process=stranger)) is None
    assert world.provider.job(1).cancel_requested_at is None


def test_monitoring_tells_each_state_once_and_ends_with_the_job(world: World, mocker: MockerFixture) -> None:
    job_id = submit(world)
    steps = iter(TO_THE_END)

    def wait(event: threading.Event, seconds: float) -> bool:
        assert seconds == 2.5
        world.move(job_id, next(steps))
        return event.is_set()

    mocker.patch.object(world.clock, "wait", wait)
    task = MonitoringTask()
    task.init({"poll_interval_seconds": "2.5"})
    assert done(task.execute(world.context("TASK_2"))) == "job 1 is complete"
    assert world.states(job_id) == COMPLETE_ORDER
    assert done(task.recover(world.context("TASK_2"))) == "job 1 is complete"
    assert world.states(job_id) == COMPLETE_ORDER
    times = [status.time_of_state_change for status in world.memory.job_statuses("1", "TASK_1")]
    assert times == sorted(set(times))


@pytest.mark.parametrize("end", [P.FAILED, P.TIMEOUT, P.CANCELLED, P.LOST])
def test_monitoring_fails_with_the_job(world: World, end: JobPhase) -> None:
    job_id = submit(world)
    world.move(job_id, *TO_THE_END[:4], end)
    assert f"ended as {end.value}" in failed(MonitoringTask().execute(world.context("TASK_2")))
    assert world.states(job_id)[-1] == ("CANCELED" if end is P.CANCELLED else "FAILED")


def test_monitoring_without_a_job_says_so(world: World) -> None:
    assert "PROCESS_1 has no job" in failed(MonitoringTask().execute(world.context("TASK_2")))


def test_monitoring_stops_when_the_process_is_cancelled(world: World) -> None:
    submit(world)
    context = world.context("TASK_2")
    status = MonitoringTask().cancel(context)
    assert status is not None
    assert status.job_state is JobState.SUBMITTED
    assert "cancelled" in failed(MonitoringTask().execute(context))


def test_a_rerun_goes_over_the_states_that_airavata_accepts(world: World) -> None:
    job_id = submit(world)
    world.move(job_id, *TO_THE_END[:3])
    world.move(job_id, P.QUEUED, P.RUNNING, P.FETCHING, P.COMPLETED, run=1)
    done(MonitoringTask().execute(world.context("TASK_2")))
    assert world.states(job_id) == [
        *("SUBMITTED", "QUEUED", "ACTIVE"),
        *("NON_CRITICAL_FAIL", "QUEUED", "ACTIVE", "COMPLETE"),
    ]


LEGAL = {
    None: set(JobState),
    JobState.SUBMITTED: set(JobState) - {JobState.SUBMITTED},
    JobState.QUEUED: set(JobState) - {JobState.SUBMITTED, JobState.QUEUED},
    JobState.ACTIVE: set(JobState) - {JobState.SUBMITTED, JobState.QUEUED, JobState.ACTIVE},
    JobState.NON_CRITICAL_FAIL: set(JobState) - {JobState.SUBMITTED, JobState.NON_CRITICAL_FAIL},
}
"""What Airavata develop accepts after a state; nothing after those that are missing."""


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(list(JobPhase))), max_size=30))
def test_whatever_happens_to_a_job_is_told_legally(steps: list[tuple[int, JobPhase]]) -> None:
    run, phase = 0, P.ACCEPTED
    events = [JobEvent(1, 1, 0.0, phase, "test", "")]
    for more, following in steps:
        if may_follow(run, phase, run + more, following) or following is phase:
            run, phase = run + more, following
            events.append(JobEvent(1, len(events) + 1, float(len(events)), phase, "test", ""))
    told = [status.job_state for status in history(events)]
    for before, after in zip([None, *told], told, strict=False):
        assert after in LEGAL.get(before, set()), told
    assert not {JobState.SUSPENDED, JobState.UNKNOWN} & set(told)
    assert told[0] is JobState.SUBMITTED


def test_cancellation_waits_for_the_end_and_tells_the_truth(world: World, mocker: MockerFixture) -> None:
    first, second, third = (submit(world, f"TASK_{number}") for number in (1, 2, 3))
    world.move(first, *TO_THE_END)
    world.move(second, *TO_THE_END[:3])
    ends = iter([(second, P.FETCHING), (second, P.COMPLETED), (third, P.CANCELLED)])
    asked = {}

    def wait(event: threading.Event, _seconds: float) -> bool:
        assert not event.is_set()
        job_id, phase = next(ends)
        asked[job_id] = world.provider.job(job_id).cancel_requested_at is not None
        world.move(job_id, phase)
        return False

    mocker.patch.object(world.clock, "wait", wait)
    context = world.context("TASK_9")
    reason = done(RemoteJobCancellationTask().execute(context))
    assert reason == "job 3 ended as cancelled; job 2 ended as completed; job 1 ended as completed"
    assert asked == {second: True, third: True}
    assert world.provider.job(first).cancel_requested_at is None
    assert [world.states(number, f"TASK_{number}")[-1] for number in (1, 2, 3)] == [
        *("COMPLETE", "COMPLETE", "CANCELED")
    ]
    assert context.process.cancelled.is_set()


def test_a_cancellation_that_takes_too_long_may_be_repeated(world: World) -> None:
    submit(world)
    task = RemoteJobCancellationTask()
    task.init({"wait_seconds": "10"})
    assert "not over yet: 1" in failed(task.execute(world.context("TASK_9")))
    assert world.clock.monotonic() == pytest.approx(1_700_000_010.5)
    assert world.memory.errors[-1][1].transient_or_persistent
    world.move(1, P.CANCELLED)
    assert done(task.execute(world.context("TASK_9"))) == "job 1 ended as cancelled"


def test_completing_needs_all_jobs_over(world: World) -> None:
    submit(world)
    assert "not over yet: 1" in failed(CompletingTask().execute(world.context("TASK_9")))
    assert world.memory.processes == []
    world.move(1, *TO_THE_END)
    done(CompletingTask().execute(world.context("TASK_9")))
    cancelled = world.process()
    cancelled.cancelled.set()
    done(CompletingTask().execute(world.context("TASK_9", process=cancelled)))
    assert [status.state for status in world.memory.processes] == [
        ProcessState.COMPLETED,
        ProcessState.CANCELED,
    ]


def test_types_and_properties() -> None:
    assert DefaultJobSubmissionTask().get_type() is TaskTypes.JOB_SUBMISSION
    assert MonitoringTask().get_type() is TaskTypes.MONITORING
    assert CompletingTask().get_type() is None
    for properties in ({"unknown": "1"}, {"poll_interval_seconds": "soon"}, {"poll_interval_seconds": "-1"}):
        with pytest.raises(ConfigurationError):
            MonitoringTask().init(properties)
