"""What status updates make of a job, in any order, and that nothing of it is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import NodeTask
from airavata_mesos_plugin.schedulers.mesos.jobform import parse
from airavata_mesos_plugin.schedulers.mesos.tracking import (
    FIRST_TASK_SECONDS,
    MOST_RELAUNCHES,
    TrackedJob,
)
from airavata_mesos_plugin.states import MESOS_PHASES, MESOS_REASONS, MESOS_SOURCES, Blame, mesos_phase

KEY = JobKey("www", "prod", "job")


def made(count: int = 1, **members: Any) -> TrackedJob:
    task = {"arguments": ["true"], "resources": {"cpus": 1, "mem": 1}}
    document = {"role": "www", "environment": "prod", "name": "job", "tasks": [task] * count, **members}
    return TrackedJob(KEY, parse(document), accepted_at=100.0, queued_at=100.0, changed_at=100.0)


def launched(count: int = 1, **members: Any) -> TrackedJob:
    job = made(count, **members)
    job.begin_launch([(f"S{number}", f"host{number}") for number in range(count)], 101.0)
    return job


def tell(job: TrackedJob, state: str, reason: str = "", *, index: int = 0, **members: Any) -> bool:
    status = {"state": f"TASK_{state}", "reason": f"REASON_{reason}" if reason else "", **members}
    return job.update(job.task_id(index), status, 110.0)


def test_a_job_from_its_submission_to_its_end() -> None:
    job = made()
    seen = job.observation()
    assert (seen.phase, seen.native_state, seen.task_id) == (JobPhase.QUEUED, "PENDING", "www.prod.job.0")
    assert (seen.agent_id, seen.started_at) == ("", None)
    job.begin_launch([("S1", "host1")], 101.0)
    assert (job.observation().phase, job.observation().native_state) == (JobPhase.QUEUED, "LAUNCHING")
    assert tell(job, "STARTING", timestamp=104.0)
    assert job.observation().phase is JobPhase.QUEUED
    assert tell(job, "RUNNING", timestamp=105.0)
    seen = job.observation()
    assert (seen.phase, seen.started_at, seen.host, seen.agent_id) == (JobPhase.RUNNING, 105.0, "host1", "S1")
    assert tell(job, "FINISHED", message="done", timestamp=109.0)
    seen = job.observation()
    assert (seen.phase, seen.run, seen.changed_at, seen.message) == (JobPhase.COMPLETED, 0, 109.0, "done")


@pytest.mark.parametrize(
    ("state", "reason", "phase"),
    [
        ("FAILED", "", JobPhase.FAILED),
        ("FAILED", "CONTAINER_LIMITATION_MEMORY", JobPhase.FAILED),
        ("FAILED", "EXECUTOR_TERMINATED", JobPhase.LOST),
        ("FAILED", "A_REASON_TO_COME", JobPhase.FAILED),
        ("KILLED", "", JobPhase.CANCELLED),
        ("KILLED", "AGENT_DRAINING", JobPhase.LOST),
        ("ERROR", "TASK_INVALID", JobPhase.FAILED),
        ("GONE_BY_OPERATOR", "", JobPhase.LOST),
    ],
)
def test_ends_and_what_they_are_put_down_to(state: str, reason: str, phase: JobPhase) -> None:
    job = launched()
    tell(job, "RUNNING")
    tell(job, state, reason, message="because", source="SOURCE_AGENT")
    seen = job.observation()
    assert (seen.phase, seen.native_state) == (phase, f"TASK_{state}")
    assert "because" in seen.message
    assert "(the agent says so)" in seen.message


def test_an_error_has_no_sandbox() -> None:
    job = launched()
    tell(job, "ERROR", "TASK_INVALID")
    assert job.observation().agent_id == ""


@pytest.mark.parametrize("state", ["UNREACHABLE", "UNKNOWN", "LOST"])
def test_what_may_come_back_is_no_end(state: str) -> None:
    job = launched()
    tell(job, "RUNNING")
    tell(job, state)
    seen = job.observation()
    assert (seen.phase, seen.native_state) == (JobPhase.RUNNING, f"TASK_{state}")
    assert job.members[0].suspect_since == 110.0
    tell(job, "RUNNING", "AGENT_REREGISTERED")
    assert job.observation().native_state == "TASK_RUNNING"
    (member,) = job.members
    assert member.suspect_since is None
    tell(job, state)
    tell(job, "FINISHED")
    assert job.ended is JobPhase.COMPLETED


def test_a_job_that_is_cut_off_before_it_began_does_not_count_as_running() -> None:
    job = launched()
    tell(job, "UNREACHABLE")
    assert job.observation().phase is JobPhase.QUEUED


@pytest.mark.parametrize("state", ["DROPPED", "GONE"])
def test_what_never_ran_is_launched_again_under_another_id(state: str) -> None:
    job = launched()
    tell(job, state, message="offers are no longer valid")
    assert job.waiting
    seen = job.observation()
    assert (seen.task_id, seen.run, seen.phase) == ("www.prod.job.1", 1, JobPhase.QUEUED)
    assert (seen.queued_at or 0) > 100.0
    assert job.not_before <= 110.0
    assert "offers are no longer valid" in seen.message


def test_what_ran_is_not_launched_again() -> None:
    job = launched()
    tell(job, "STARTING")
    tell(job, "GONE")
    assert job.ended is JobPhase.LOST


def test_nothing_is_launched_for_ever() -> None:
    job = made()
    for _ in range(MOST_RELAUNCHES):
        job.begin_launch([("S", "host")], 110.0)
        tell(job, "DROPPED")
        assert job.waiting
    assert job.not_before > 150.0
    job.begin_launch([("S", "host")], 110.0)
    tell(job, "DROPPED")
    assert job.ended is JobPhase.LOST


def test_failures_are_repeated_as_often_as_the_queue_says() -> None:
    job = launched(max_task_failures=2)
    tell(job, "RUNNING")
    tell(job, "FAILED", message="exited with status 1")
    assert (job.waiting, job.launch) == (True, 1)
    job.begin_launch([("S", "host")], 120.0)
    tell(job, "FAILED")
    assert job.ended is JobPhase.FAILED


def test_a_cancel_before_a_launch_after_it_and_while_it_runs() -> None:
    job = made()
    assert job.request_kill("why", 105.0)
    assert not job.request_kill("again", 106.0)
    assert (job.ended, job.taken_back) == (JobPhase.CANCELLED, True)
    job = launched()
    job.request_kill("why", 105.0)
    assert job.alive()
    tell(job, "GONE")
    seen = job.observation()
    assert (seen.phase, seen.kill_seen) == (JobPhase.CANCELLED, True)
    job = launched()
    tell(job, "RUNNING")
    job.request_kill("why", 105.0)
    tell(job, "KILLING")
    tell(job, "KILLED")
    seen = job.observation()
    assert (seen.phase, seen.kill_seen) == (JobPhase.CANCELLED, True)


def test_a_job_that_ends_before_its_kill_ended_by_itself() -> None:
    job = launched()
    tell(job, "RUNNING")
    job.request_kill("why", 105.0)
    tell(job, "FINISHED")
    seen = job.observation()
    assert (seen.phase, seen.kill_seen) == (JobPhase.COMPLETED, False)


def test_a_word_about_an_earlier_launch_changes_nothing() -> None:
    job = launched()
    old = job.task_id()
    tell(job, "DROPPED")
    job.begin_launch([("S", "host")], 120.0)
    assert not job.update(old, {"state": "TASK_FINISHED"}, 121.0)
    assert not job.update(job.task_id(), {"state": "TASK_OF_LATER_RELEASES"}, 121.0)
    assert job.observation().native_state == "LAUNCHING"


def test_an_answer_about_a_task_keeps_what_was_said_of_its_end() -> None:
    job = launched(max_task_failures=1)
    tell(job, "FAILED", message="exited with status 3")
    assert not tell(job, "FAILED", "RECONCILIATION", message="Reconciliation: Latest task state")
    assert "status 3" in job.observation().message


def test_clocks_of_agents_do_not_turn_time_back() -> None:
    job = launched()
    tell(job, "RUNNING", timestamp=3.0)
    assert job.observation().started_at == 100.0
    tell(job, "FINISHED", timestamp=9e9)
    assert job.observation().changed_at == 110.0


def test_a_gang_runs_when_all_its_tasks_do_and_ends_with_the_first() -> None:
    job = launched(3)
    assert [job.task_id(index) for index in range(3)] == [f"www.prod.job.0-{index}" for index in range(3)]
    for index in range(2):
        tell(job, "RUNNING", index=index)
    assert job.observation().phase is JobPhase.QUEUED
    tell(job, "RUNNING", index=2)
    assert job.observation().phase is JobPhase.RUNNING
    tell(job, "FAILED", index=1, message="exited with status 9")
    assert (job.ended, len(job.alive())) == (None, 2)
    assert job.observation().phase is JobPhase.RUNNING
    tell(job, "KILLED", index=0)
    tell(job, "KILLED", index=2)
    seen = job.observation()
    assert (job.ended, seen.task_id) == (JobPhase.FAILED, "www.prod.job.0-0")
    assert "status 9" in seen.message


@pytest.mark.parametrize("end", ["FINISHED", "FAILED"])
def test_the_first_task_of_a_gang_has_a_while_when_another_one_has_ended(end: str) -> None:
    job = launched(3)
    for index in range(3):
        tell(job, "RUNNING", index=index)
    assert not job.others_shall_end(1000)
    tell(job, end, index=1, source="SOURCE_EXECUTOR")  # at 110
    assert not job.others_shall_end(110 + FIRST_TASK_SECONDS - 1)
    assert job.others_shall_end(110 + FIRST_TASK_SECONDS)
    tell(job, "FINISHED", index=0)
    assert job.others_shall_end(110)


@pytest.mark.parametrize(("state", "index"), [("FINISHED", 0), ("GONE_BY_OPERATOR", 1), ("DROPPED", 1)])
def test_the_others_of_a_gang_end_at_once(state: str, index: int) -> None:
    job = launched(2)
    tell(job, state, index=index)
    assert job.others_shall_end(110)


def test_a_gang_of_which_one_task_never_started_begins_again_when_all_are_over() -> None:
    job = launched(2)
    tell(job, "RUNNING", index=0)
    tell(job, "DROPPED", index=1)
    assert not job.waiting
    tell(job, "KILLED", index=0)
    assert (job.waiting, job.launch) == (True, 1)


def cut_off(index: int, ended: int, **members: Any) -> TrackedJob:
    """A gang of which one task ended at 110 and the agent of another one cannot be reached since then."""
    job = launched(3, **members)
    for number in range(3):
        tell(job, "RUNNING", index=number)
    tell(job, "FAILED", index=ended, source="SOURCE_EXECUTOR", message="exited with status 70")
    tell(job, "UNREACHABLE", index=index)
    return job


def test_the_first_task_out_of_reach_ends_by_itself_after_a_silence() -> None:
    job = cut_off(0, ended=1, silence_seconds=60)
    assert job.end_out_of_reach(job.members[0]) == 110 + 60 + 30
    assert job.end_out_of_reach(job.members[2]) is None, "it can be reached"
    tell(job, "RUNNING", index=0)
    assert job.end_out_of_reach(job.members[0]) is None


def test_other_tasks_out_of_reach_have_ended_with_the_first_one() -> None:
    job = cut_off(1, ended=0, silence_seconds=60)
    assert job.end_out_of_reach(job.members[1]) == 110
    job = cut_off(1, ended=2, silence_seconds=60)
    assert job.end_out_of_reach(job.members[1]) is None, "the first one goes on"


def test_nobody_knows_when_a_task_ends_that_hears_of_no_other_one() -> None:
    job = cut_off(0, ended=1)
    assert job.end_out_of_reach(job.members[0]) is None
    job = launched(3, silence_seconds=60)
    tell(job, "UNREACHABLE", index=0)
    assert job.end_out_of_reach(job.members[0]) is None, "no other one has ended"


def test_a_gang_whose_first_task_is_lost_is_lost() -> None:
    """Whatever the others said at their end: they heard nothing of it."""
    job = cut_off(0, ended=1, silence_seconds=60)
    tell(job, "KILLED", index=2)
    job.give_up(job.members[0], "its agent cannot be reached", 200.0)
    told = job.observation().message
    assert (job.ended, told) == (JobPhase.LOST, "node host0: its agent cannot be reached")


def test_a_gang_that_was_to_end_is_not_lost_with_its_first_task() -> None:
    job = launched(2, silence_seconds=60)
    for number in range(2):
        tell(job, "RUNNING", index=number)
    job.request_kill("cancelled", 105.0)
    tell(job, "KILLED", index=1)
    tell(job, "UNREACHABLE", index=0)
    job.give_up(job.members[0], "its agent cannot be reached", 200.0)
    assert job.ended is JobPhase.CANCELLED


STATES = sorted(MESOS_PHASES)
REASONS = ["", *sorted(MESOS_REASONS)]


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(STATES), st.sampled_from(REASONS))),
    st.integers(0, 20),
)
def test_any_updates_keep_the_promises(
    count: int, updates: list[tuple[int, str, str]], kill_after: int
) -> None:
    job = launched(count)
    last = job.observation()
    for number, (index, state, reason) in enumerate(updates):
        if number == kill_after:
            job.request_kill("why", 112.0)
            last = job.observation()
        if job.waiting:
            job.begin_launch([("S", "host")] * count, 111.0)
        was_over = job.ended
        job.update(job.task_id(index % count), {"state": state, "reason": reason}, 112.0 + number)
        seen = job.observation()
        if was_over is not None:
            assert seen == last
        assert seen.run >= last.run
        if seen.run == last.run and not seen.phase.final:
            assert seen.phase.rank >= last.phase.rank
        assert (job.ended is not None) == seen.phase.final
        assert job.ended is None or not job.alive()
        again = TrackedJob.restored(job.form, job.state())
        assert again == job
        last = seen


def test_every_reason_and_source_of_mesos_is_in_the_table() -> None:
    """Mesos 1.11: 14 states, 35 reasons, 3 sources."""
    assert (len(MESOS_PHASES), len(MESOS_REASONS), len(MESOS_SOURCES)) == (14, 35, 3)
    assert all(name.startswith("REASON_") for name in MESOS_REASONS)
    with pytest.raises(KeyError):
        mesos_phase("TASK_OF_LATER_RELEASES", "")
    assert {mesos_phase("TASK_RUNNING", reason) for reason in MESOS_REASONS} == {JobPhase.RUNNING}
    assert mesos_phase("TASK_FINISHED", "REASON_AGENT_RESTARTED") is JobPhase.COMPLETED
    assert set(MESOS_REASONS.values()) == set(Blame)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"members": [{}]}', '{"members": [], "ended": "x"}'])
def test_what_is_no_state_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are Python's
        TrackedJob.restored(made().form, text)


def test_the_tasks_of_all_nodes_are_told_as_long_as_the_job_is_known() -> None:
    job = launched(2)
    wanted = (NodeTask("www.prod.job.0-0", "S0"), NodeTask("www.prod.job.0-1", "S1"))
    for state in ("RUNNING", "FINISHED"):
        for index in range(2):
            tell(job, state, index=index)
        assert job.observation().nodes == wanted
    assert launched().observation().nodes == ()
