"""Jobs that are kept back: held, waiting for a time, for other jobs, for the limit of their array."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airavata_mesos_plugin.errors import InvalidRequest, Refused
from airavata_mesos_plugin.jobs import Hold, JobPhase, JobRequest, Resources
from airavata_mesos_plugin.provider import dependencies
from airavata_mesos_plugin.provider.dependencies import Condition, State, parse
from airavata_mesos_plugin.provider.eligibility import judge_targets
from airavata_mesos_plugin.store import JobSelection, Target
from tests.unit.provider.test_life_cycle import Stage

OVER = {
    "ok": JobPhase.COMPLETED,
    "failed": JobPhase.FAILED,
    "cancelled": JobPhase.CANCELLED,
    "timeout": JobPhase.TIMEOUT,
}


@pytest.fixture
def stage(tmp_path: Path, mocker: MockerFixture) -> Iterator[Stage]:
    stage = Stage(tmp_path, mocker)
    yield stage
    stage.ledger.close()


@pytest.fixture
def submit(stage: Stage) -> Callable[..., int]:
    def accept(name: str = "A1", **more: object) -> int:
        members: dict[str, object] = {
            "name": name,
            "user": "alice",
            "uid": 5001,
            "queue": "default",
            "working_directory": str(stage.work),
            "resources": Resources(cpus=1, memory_mb=512, disk_mb=100),
            "wall_time_seconds": 600,
            **more,
        }
        return stage.provider.submit(JobRequest.model_validate(members), "#!/bin/sh\n").id

    return accept


def turn(stage: Stage) -> None:
    stage.provider.eligibility.step("c")
    stage.step()


def end(stage: Stage, job_id: int, phase: JobPhase) -> None:
    stage.ledger.advance(job_id, phase, source="test", fields={"ended_at": stage.clock.now()})


def waiting(stage: Stage, job_id: int) -> str:
    job = stage.provider.job(job_id)
    assert job.phase is JobPhase.ACCEPTED
    return job.wait_reason


def test_a_held_job_waits_for_its_release(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit(hold=True)
    turn(stage)
    assert waiting(stage, job_id) == "JobHeldUser"
    stage.provider.control.release(job_id, 5001)
    turn(stage)
    job = stage.provider.job(job_id)
    assert (job.phase, job.wait_reason, job.eligible_at) == (JobPhase.QUEUED, "", stage.clock.now())


def test_hold_and_release_know_who_is_who(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit()
    with pytest.raises(Refused):
        stage.provider.control.hold(job_id, 5002)
    stage.provider.control.hold(job_id, 0, as_admin=True)
    turn(stage)
    assert waiting(stage, job_id) == "JobHeldAdmin"
    assert stage.provider.job(job_id).held is Hold.ADMIN
    with pytest.raises(Refused):
        stage.provider.control.release(job_id, 5001)
    stage.provider.control.release(job_id, 0)
    turn(stage)
    assert stage.provider.job(job_id).phase is JobPhase.QUEUED
    end(stage, job_id, JobPhase.COMPLETED)
    for step in (stage.provider.control.hold, stage.provider.control.release):
        with pytest.raises(InvalidRequest):
            step(job_id, 5001)


def test_a_job_that_waits_at_the_scheduler_is_taken_back(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit()
    turn(stage)
    old = stage.provider.job(job_id)
    stage.provider.control.hold(job_id, 5001)
    stage.round()
    assert [list(call.args[0]) for call in stage.scheduler.cancel.call_args_list] == [[old.key]]
    stage.clock.advance(1)
    stage.round()
    stage.provider.collector.collect(job_id)
    turn(stage)
    assert waiting(stage, job_id) == "JobHeldUser"
    assert stage.provider.past_attempts([job_id]) == []
    stage.provider.control.release(job_id, 5001)
    turn(stage)
    job = stage.provider.job(job_id)
    assert (job.phase, job.attempt) == (JobPhase.QUEUED, 2)
    assert job.key != old.key


def test_a_job_begins_at_its_time(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit(begin_at=stage.clock.now() + 60)
    turn(stage)
    assert waiting(stage, job_id) == "BeginTime"
    stage.clock.advance(59)
    turn(stage)
    assert waiting(stage, job_id) == "BeginTime"
    stage.clock.advance(1)
    turn(stage)
    assert stage.provider.job(job_id).phase is JobPhase.QUEUED


def test_a_time_that_is_past_is_now(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit(begin_at=stage.clock.now() - 60)
    turn(stage)
    assert stage.provider.job(job_id).phase is JobPhase.QUEUED


def test_a_cancelled_job_that_is_kept_back_ends(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit(hold=True)
    stage.provider.request_cancel(job_id, "alice", 5001)
    turn(stage)
    job = stage.provider.job(job_id)
    assert (job.phase, job.cancel_requested_uid) == (JobPhase.CANCELLED, 5001)


@pytest.mark.parametrize(
    ("kind", "ending", "after"),
    [
        ("afterok", "ok", JobPhase.QUEUED),
        ("afterok", "failed", JobPhase.CANCELLED),
        ("afterok", "cancelled", JobPhase.CANCELLED),
        ("afternotok", "ok", JobPhase.CANCELLED),
        ("afternotok", "failed", JobPhase.QUEUED),
        ("afternotok", "timeout", JobPhase.QUEUED),
        ("afterany", "ok", JobPhase.QUEUED),
        ("afterany", "cancelled", JobPhase.QUEUED),
        ("afterburstbuffer", "failed", JobPhase.QUEUED),
        ("aftercorr", "ok", JobPhase.QUEUED),
        ("after", "cancelled", JobPhase.QUEUED),
    ],
)
def test_dependencies(
    stage: Stage, submit: Callable[..., int], kind: str, ending: str, after: JobPhase
) -> None:
    first = submit()
    second = submit(dependency=f"{kind}:{first}")
    turn(stage)
    assert waiting(stage, second) == "Dependency"
    end(stage, first, OVER[ending])
    turn(stage)
    job = stage.provider.job(second)
    assert job.phase is after
    assert job.reason == ("DependencyNeverSatisfied" if after is JobPhase.CANCELLED else "")


def test_all_or_any(stage: Stage, submit: Callable[..., int]) -> None:
    a, b = submit("a"), submit("b")
    both = submit("both", dependency=f"afterok:{a},afterok:{b}")
    either = submit("either", dependency=f"afterok:{a}?afterok:{b}")
    end(stage, b, JobPhase.COMPLETED)
    turn(stage)
    assert stage.provider.job(either).phase is JobPhase.QUEUED
    assert stage.provider.job(both).dependency == f"afterok:{a}"
    end(stage, a, JobPhase.FAILED)
    turn(stage)
    assert stage.provider.job(both).phase is JobPhase.CANCELLED


def test_minutes_after_the_start(stage: Stage, submit: Callable[..., int]) -> None:
    first = submit()
    second = submit(dependency=f"after:{first}+5")
    turn(stage)
    stage.ledger.advance(first, JobPhase.RUNNING, source="t", fields={"started_at": stage.clock.now()})
    turn(stage)
    assert waiting(stage, second) == "Dependency"
    stage.clock.advance(300)
    turn(stage)
    assert stage.provider.job(second).phase is JobPhase.QUEUED


def test_singleton(stage: Stage, submit: Callable[..., int]) -> None:
    first = submit("same")
    submit("other")
    second = submit("same", dependency="singleton")
    turn(stage)
    assert waiting(stage, second) == "Dependency"
    end(stage, first, JobPhase.FAILED)
    turn(stage)
    assert stage.provider.job(second).phase is JobPhase.QUEUED


def test_an_unknown_job_counts_as_fulfilled(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit(dependency="afterok:999999")
    turn(stage)
    assert stage.provider.job(job_id).phase is JobPhase.QUEUED


def test_the_ids_of_an_array(stage: Stage, submit: Callable[..., int]) -> None:
    """As real SLURM prints them: the last index has the id of the array."""
    before = submit()
    array = submit(array="3-5")
    assert array == before + 1
    tasks = stage.provider.jobs(JobSelection(families=frozenset({array})))
    assert {job.array_index: job.id for job in tasks} == {5: array, 3: array + 1, 4: array + 2}
    assert {job.array_id for job in tasks} == {array}
    assert len({job.key for job in tasks}) == 3
    assert {stage.provider.script(job.id) for job in tasks} == {"#!/bin/sh\n"}


def test_the_limit_of_an_array(stage: Stage, submit: Callable[..., int]) -> None:
    array = submit(array="0-4", array_limit=2)

    def phases() -> list[str]:
        tasks = stage.provider.jobs(JobSelection(families=frozenset({array})))
        tasks.sort(key=lambda job: job.array_index or 0)
        return [job.wait_reason or job.phase.value for job in tasks]

    turn(stage)
    limit = "JobArrayTaskLimit"
    assert phases() == ["queued", "queued", limit, limit, limit]
    turn(stage)
    assert phases() == ["queued", "queued", limit, limit, limit]
    end(stage, array + 2, JobPhase.COMPLETED)
    turn(stage)
    assert phases() == ["queued", "completed", "queued", limit, limit]


def test_corresponding_tasks(stage: Stage, submit: Callable[..., int]) -> None:
    first = submit(array="1-2")
    second = submit(array="1-2", dependency=f"aftercorr:{first}")
    turn(stage)
    end(stage, first + 1, JobPhase.COMPLETED)
    turn(stage)
    assert stage.provider.job(second + 1).phase is JobPhase.QUEUED
    assert waiting(stage, second) == "Dependency"
    end(stage, first, JobPhase.FAILED)
    turn(stage)
    assert stage.provider.job(second).phase is JobPhase.CANCELLED


def test_whole_arrays_and_single_tasks(stage: Stage, submit: Callable[..., int]) -> None:
    array = submit(array="1-2")
    whole = submit("whole", dependency=f"afterok:{array}")
    task = submit("task", dependency=f"afterok:{array}_1")
    turn(stage)
    end(stage, array + 1, JobPhase.COMPLETED)
    turn(stage)
    assert stage.provider.job(task).phase is JobPhase.QUEUED
    assert waiting(stage, whole) == "Dependency"
    end(stage, array, JobPhase.COMPLETED)
    turn(stage)
    assert stage.provider.job(whole).phase is JobPhase.QUEUED


def test_many_jobs_are_looked_at_in_bulk(
    stage: Stage, submit: Callable[..., int], mocker: MockerFixture
) -> None:
    first = submit()
    for _ in range(2):
        submit(array="0-999", dependency=f"afterok:{first}")
        submit(array="0-999", hold=True)
    questions = mocker.spy(stage.ledger, "_reader")
    begin = time.process_time()
    assert stage.provider.eligibility.step("c") == 0
    spent = time.process_time() - begin
    assert questions.call_count <= 4
    assert spent < 1, "4,000 waiting jobs should cost some hundredths of a second"
    end(stage, first, JobPhase.COMPLETED)
    assert stage.provider.eligibility.step("c") == 2000


def test_a_running_job_is_started_again(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit()
    turn(stage)
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, started_at=1001.0)
    stage.round()
    old = stage.provider.job(job_id)
    stage.clock.advance(10)
    stage.provider.control.requeue(job_id, "alice", 5001)
    stage.provider.control.requeue(job_id, "alice", 5001)
    stage.round()
    assert [list(call.args[0]) for call in stage.scheduler.cancel.call_args_list] == [[old.key]]
    assert stage.provider.job(job_id).phase is JobPhase.RUNNING, "the old attempt has to end first"
    stage.see(job_id, "KILLED", JobPhase.CANCELLED, kill_seen=True)
    stage.round()
    stage.provider.collector.collect(job_id)
    job = stage.provider.job(job_id)
    assert (job.phase, job.attempt, job.started_at, job.submitted_at) == (
        JobPhase.ACCEPTED,
        2,
        None,
        stage.clock.now(),
    )
    assert job.key != old.key
    (past,) = stage.provider.past_attempts([job_id])
    assert (past.state, past.attempt, past.submitted_at) == ("REQUEUED", 1, old.accepted_at)
    turn(stage)
    assert stage.provider.job(job_id).phase is JobPhase.QUEUED


def test_a_cancel_beats_a_requeue(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit()
    turn(stage)
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, started_at=1001.0)
    stage.round()
    stage.provider.control.requeue(job_id, "alice", 5001)
    stage.provider.request_cancel(job_id, "alice", 5001)
    stage.see(job_id, "KILLED", JobPhase.CANCELLED, kill_seen=True)
    stage.round()
    stage.provider.collector.collect(job_id)
    assert stage.provider.job(job_id).phase is JobPhase.CANCELLED


def test_a_finished_job_is_started_again_and_held(stage: Stage, submit: Callable[..., int]) -> None:
    job_id = submit()
    end(stage, job_id, JobPhase.COMPLETED)
    stage.provider.control.requeue(job_id, "alice", 5001, hold=True)
    turn(stage)
    assert waiting(stage, job_id) == "JobHeldUser"
    (past,) = stage.provider.past_attempts([job_id])
    assert past.state == "COMPLETED"


def test_who_may_requeue_what(stage: Stage, submit: Callable[..., int]) -> None:
    pending, fixed = submit(), submit(requeue=False)
    end(stage, fixed, JobPhase.FAILED)
    for job_id, uid, error in ((pending, 5001, InvalidRequest), (fixed, 5001, InvalidRequest)):
        with pytest.raises(error):
            stage.provider.control.requeue(job_id, "alice", uid)
    with pytest.raises(Refused):
        stage.provider.control.requeue(pending, "bob", 5002)


@pytest.mark.parametrize(("wish", "attempts"), [(True, 2), (None, 1), (False, 1)])
def test_a_lost_job_is_started_again_if_that_was_asked_for(
    stage: Stage, submit: Callable[..., int], wish: bool | None, attempts: int
) -> None:
    job_id = submit(requeue=wish)
    turn(stage)
    stage.see(job_id, "LOST", JobPhase.LOST)
    stage.round()
    stage.provider.collector.collect(job_id)
    job = stage.provider.job(job_id)
    assert job.attempt == attempts
    assert job.phase is (JobPhase.ACCEPTED if wish else JobPhase.LOST)
    assert [past.state for past in stage.provider.past_attempts([job_id])] == (["NODE_FAIL"] if wish else [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("after:7", "after:7"),
        ("afterok:7:8", "afterok:7,afterok:8"),
        ("afterok:7,afterany:8", "afterok:7,afterany:8"),
        ("afterok:7?afterany:8", "afterok:7?afterany:8"),
        ("singleton", "singleton"),
        ("after:7+5", "after:7+5"),
        ("7", "afterany:7"),
        ("afterok:7_3", "afterok:7_3"),
        ("", ""),
    ],
)
def test_forms(text: str, shown: str) -> None:
    assert str(parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("nonsense", "afterok", "afterok:", "afterok:abc", "nosuch:7", "AFTEROK:7", "afterok:7, afterok:8"),
        *("afterok:7,", "afterok:0", "afterok:7+5", "afterok:99999999999", "a,b?c", ",", "?", "-1"),
    ],
)
def test_wrong_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


targets = st.builds(
    Target,
    id=st.just(7),
    phase=st.sampled_from(JobPhase),
    started_at=st.none() | st.just(0.0),
    array_id=st.none(),
    array_index=st.none(),
)


@given(st.sampled_from(["after", "afterany", "afterok", "afternotok", "aftercorr"]), targets)
def test_a_job_that_is_over_leaves_nothing_open(kind: str, target: Target) -> None:
    state = judge_targets(Condition(kind, 7), None, {7: [target]}, 1e9)
    if target.phase.final:
        assert state is not State.OPEN
    if state is State.NEVER:
        assert target.phase.final


@given(st.text(max_size=40))
def test_any_text_is_a_dependency_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert parse(str(found)) == found
    assert dependencies.parse(str(found)).shown().count("(unfulfilled)") == len(found.conditions)
