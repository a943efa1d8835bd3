"""The road of a job with a mocked scheduler: nothing lost, nothing twice, whatever a call answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AlreadyExists,
    InvalidRequest,
    NotFound,
    NotReady,
    OutcomeUnknown,
    Refused,
    SandboxGone,
    TransferError,
    Unreachable,
)
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRequest, Resources
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, FetchReport
from airavata_mesos_plugin.sandbox.result import WrapperResult
from airavata_mesos_plugin.sandbox.tickets import Tickets
from airavata_mesos_plugin.schedulers.base import (
    CallResult,
    SandboxAddress,
    Scheduler,
    Submission,
    TaskObservation,
)
from airavata_mesos_plugin.store import JobSelection, Ledger
from airavata_mesos_plugin.testing.parts import parts_of

SETTINGS = ProviderSettings.model_validate(
    {
        "clusters": [
            {
                "name": "c",
                "schedulers": ["http://aurora:8081"],
                "mesos_masters": ["http://master:5050"],
                "absence_seconds": 60,
            }
        ],
        "queues": [{"name": "default", "cluster": "c", "role": "www"}],
        "fetch": {"attempts": 3, "retry_seconds": 5},
    }
)
GOOD = WrapperResult(exit_code=0, timed_out=False, started_at=1.0, ended_at=2.0)


def report(result: WrapperResult | None = GOOD, left_out: tuple[tuple[str, str], ...] = ()) -> FetchReport:
    return FetchReport(files=1, bytes=1, left_out=left_out, result=result, seconds=0.1)


class Stage:
    """A provider whose scheduler and fetcher are mocks with the real signatures."""

    def __init__(self, tmp_path: Path, mocker: MockerFixture) -> None:
        self.clock = ManualClock(1000.0)
        self.scheduler: Mock = mocker.create_autospec(Scheduler, instance=True)
        self.scheduler.kind = "aurora"
        self.scheduler.submit.side_effect = self.accept_all
        self.scheduler.cancel.side_effect = lambda keys, _: [CallResult(key) for key in keys]
        self.scheduler.poll.side_effect = lambda keys: {k: self.tasks[k] for k in keys if k in self.tasks}
        self.scheduler.pending_reasons.return_value = {}
        self.scheduler.sandboxes.side_effect = lambda tasks: {
            t.key: SandboxAddress("http://agent:5051", "/sandbox") for t in tasks
        }
        self.fetcher: Mock = mocker.create_autospec(Fetcher, instance=True)
        self.fetcher.fetch.return_value = report()
        self.files: Mock = mocker.create_autospec(FilesClient, instance=True)
        self.tasks: dict[JobKey, TaskObservation] = {}
        self.work = tmp_path / "work"
        self.work.mkdir()
        self.home = tmp_path
        self.start()

    def start(self) -> None:
        """A daemon begins: nothing is left of what an earlier one had in memory."""
        self.ledger = Ledger(self.home / "ledger.db", self.clock)
        self.parts = parts_of(
            SETTINGS, self.ledger, {"c": self.scheduler}, self.clock, files=self.files, fetcher=self.fetcher
        )
        self.provider = Provider(self.parts)

    def restart(self) -> None:
        self.ledger.close()
        self.start()

    @staticmethod
    def accept_all(submissions: Sequence[Submission]) -> list[CallResult]:
        return [CallResult(s.key) for s in submissions]

    def refuse(self, error: AiravataMesosError) -> None:
        self.scheduler.submit.side_effect = lambda submissions: [
            CallResult(s.key, error) for s in submissions
        ]

    def submit(self, name: str = "A1") -> int:
        request = JobRequest(
            name=name,
            user="alice",
            uid=5001,
            queue="default",
            working_directory=str(self.work),
            resources=Resources(cpus=1, memory_mb=512, disk_mb=100),
            wall_time_seconds=600,
        )
        return self.provider.submit(request, "#!/bin/sh\n").id

    def submitted(self) -> int:
        job_id = self.submit()
        self.step()
        return job_id

    def step(self) -> None:
        self.provider.submitter.step("c")

    def round(self) -> None:
        self.provider.monitor.round("c")

    def see(self, job_id: int, state: str, phase: JobPhase, **more: object) -> None:
        """From now on the scheduler says this about a job."""
        key = self.provider.job(job_id).key
        known: dict[str, object] = {"run": 0, "changed_at": self.clock.now(), "host": "agent1", **more}
        known.setdefault("task_id", f"task-{known['run']}")
        self.tasks[key] = TaskObservation(
            key=key,
            native_state=state,
            phase=phase,
            **known,  # type: ignore[arg-type]
        )

    def running(self) -> int:
        job_id = self.submitted()
        self.see(job_id, "RUNNING", JobPhase.RUNNING, started_at=self.clock.now())
        self.round()
        return job_id

    def ended(self, state: str = "FINISHED", phase: JobPhase = JobPhase.COMPLETED, **more: object) -> int:
        job_id = self.running()
        self.see(job_id, state, phase, **more)
        self.round()
        return job_id

    def collect(self) -> None:
        for job_id in self.provider.collector.take_due():
            self.provider.collector.collect(job_id)

    def phase(self, job_id: int) -> JobPhase:
        return self.provider.job(job_id).phase

    def creates(self) -> list[JobKey]:
        """Keys of all create calls so far."""
        return [s.key for call in self.scheduler.submit.call_args_list for s in call.args[0]]


@pytest.fixture
def stage(tmp_path: Path, mocker: MockerFixture) -> Iterator[Stage]:
    stage = Stage(tmp_path, mocker)
    yield stage
    stage.ledger.close()


def test_the_whole_road(stage: Stage) -> None:
    job_id = stage.submit()
    assert stage.phase(job_id) is JobPhase.ACCEPTED
    stage.step()
    assert stage.phase(job_id) is JobPhase.QUEUED
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, started_at=1001.0)
    stage.round()
    assert stage.phase(job_id) is JobPhase.RUNNING
    stage.see(job_id, "FINISHED", JobPhase.COMPLETED)
    stage.round()
    assert stage.phase(job_id) is JobPhase.FETCHING
    stage.collect()
    record = stage.provider.job(job_id)
    assert (record.phase, record.exit_code, record.reason) == (JobPhase.COMPLETED, 0, "")
    assert [e.phase for e in stage.provider.events(job_id)] == [
        JobPhase.ACCEPTED,
        JobPhase.SUBMITTING,
        JobPhase.QUEUED,
        JobPhase.RUNNING,
        JobPhase.FETCHING,
        JobPhase.COMPLETED,
    ]


def test_what_is_submitted_is_a_valid_job_of_the_queue(stage: Stage) -> None:
    job_id = stage.submitted()
    ((submission,),) = stage.scheduler.submit.call_args.args
    assert submission.key == stage.provider.job(job_id).key
    assert submission.document["role"] == "www"
    stage.scheduler.validate.assert_called_with(submission.document)


def test_a_step_repeated_creates_nothing_again(stage: Stage) -> None:
    stage.submitted()
    stage.step()
    assert len(stage.creates()) == 1


def test_a_create_whose_answer_was_lost_is_looked_up_and_not_repeated(stage: Stage) -> None:
    stage.refuse(OutcomeUnknown("the connection broke"))
    job_id = stage.submitted()
    assert stage.phase(job_id) is JobPhase.SUBMITTING
    stage.see(job_id, "FINISHED", JobPhase.COMPLETED)  # it had arrived, and the job is over already
    stage.clock.advance(10)
    stage.step()
    assert len(stage.creates()) == 1
    assert stage.phase(job_id) is JobPhase.FETCHING


def test_a_create_that_never_arrived_is_repeated_with_the_same_key(stage: Stage) -> None:
    stage.refuse(OutcomeUnknown("the connection broke"))
    job_id = stage.submitted()
    stage.scheduler.submit.side_effect = stage.accept_all
    stage.step()
    assert len(stage.creates()) == 1, "before its pause is over"
    stage.clock.advance(10)
    stage.step()
    assert stage.creates() == [stage.provider.job(job_id).key] * 2
    assert stage.phase(job_id) is JobPhase.QUEUED


def test_a_crash_after_the_create_call_leads_to_a_look_up(stage: Stage) -> None:
    stage.scheduler.submit.side_effect = KeyboardInterrupt
    job_id = stage.submit()
    with pytest.raises(KeyboardInterrupt):
        stage.step()
    stage.restart()
    stage.scheduler.submit.side_effect = stage.accept_all
    stage.see(job_id, "RUNNING", JobPhase.RUNNING)
    stage.step()
    assert len(stage.creates()) == 1
    assert stage.phase(job_id) is JobPhase.RUNNING


def test_a_key_that_is_taken_is_ours(stage: Stage) -> None:
    stage.refuse(AlreadyExists("Job www/prod/x already exists"))
    job_id = stage.submitted()
    stage.see(job_id, "PENDING", JobPhase.QUEUED)
    stage.clock.advance(10)
    stage.step()
    assert stage.phase(job_id) is JobPhase.QUEUED
    assert len(stage.creates()) == 1


def test_a_key_that_another_ledger_took_is_not_ours(stage: Stage) -> None:
    stage.refuse(OutcomeUnknown("the connection broke"))
    job_id = stage.submitted()
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, metadata=(("airavata-mesos.ledger", "stranger"),))
    stage.clock.advance(10)
    stage.step()
    assert len(stage.creates()) == 1
    assert stage.phase(job_id) is JobPhase.FAILED
    assert "stranger" in stage.provider.job(job_id).reason


def test_a_doubtful_create_is_known_again_by_its_metadata(stage: Stage) -> None:
    stage.refuse(OutcomeUnknown("the connection broke"))
    job_id = stage.submitted()
    document: Any = stage.provider.document(job_id)
    metadata = {entry["key"]: entry["value"] for entry in document["metadata"]}
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, metadata=tuple(metadata.items()))
    assert {"airavata-mesos.ledger", "airavata-mesos.id"} <= set(metadata)
    stage.clock.advance(10)
    stage.step()
    assert stage.phase(job_id) is JobPhase.RUNNING


def test_nothing_is_sent_while_a_doubtful_job_cannot_be_looked_up(stage: Stage) -> None:
    stage.refuse(OutcomeUnknown("the connection broke"))
    stage.submitted()
    stage.scheduler.poll.side_effect = Unreachable("nobody listens")
    stage.clock.advance(100)
    stage.step()
    assert len(stage.creates()) == 1
    assert stage.parts.views["c"].trouble == "nobody listens"


def test_an_unreachable_scheduler_loses_no_job(stage: Stage) -> None:
    stage.refuse(Unreachable("nobody listens"))
    job_id = stage.submitted()
    assert stage.provider.job(job_id).pending_reason == "nobody listens"
    stage.scheduler.submit.side_effect = stage.accept_all
    for _ in range(10):
        stage.clock.advance(60)
        stage.step()
    assert stage.phase(job_id) is JobPhase.QUEUED
    assert stage.provider.job(job_id).pending_reason == ""


def test_a_refused_job_fails_with_the_reason(stage: Stage) -> None:
    stage.refuse(InvalidRequest("num_cpus must be greater than 0.0"))
    job_id = stage.submitted()
    record = stage.provider.job(job_id)
    assert record.phase is JobPhase.FAILED
    assert "num_cpus must be greater than 0.0" in record.reason


def test_a_document_that_is_not_valid_is_never_sent(stage: Stage) -> None:
    stage.scheduler.validate.side_effect = InvalidRequest("task.resources.cpu: must be above 0")
    job_id = stage.submitted()
    assert stage.creates() == []
    assert stage.phase(job_id) is JobPhase.FAILED
    assert "task.resources.cpu" in stage.provider.job(job_id).reason


def test_one_bad_job_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.scheduler.validate.side_effect = [InvalidRequest("bad"), None]
    bad, good = stage.submit("A1"), stage.submit("A2")
    stage.step()
    assert (stage.phase(bad), stage.phase(good)) == (JobPhase.FAILED, JobPhase.QUEUED)


def test_a_poll_that_fails_changes_nothing_but_the_age(stage: Stage) -> None:
    job_id = stage.running()
    before = stage.provider.job(job_id)
    answered = stage.parts.views["c"].answered_at
    stage.scheduler.poll.side_effect = Unreachable("nobody listens")
    stage.clock.advance(10_000)
    stage.round()
    assert stage.provider.job(job_id) == before
    assert stage.parts.views["c"].answered_at == answered
    assert stage.parts.views["c"].trouble == "nobody listens"


def test_one_question_for_all_jobs(stage: Stage) -> None:
    for number in range(5):
        stage.submit(f"A{number}")
    stage.step()
    stage.scheduler.poll.reset_mock()
    stage.round()
    (call,) = stage.scheduler.poll.call_args_list
    assert len(call.args[0]) == 5


def test_nobody_is_asked_when_nothing_runs(stage: Stage) -> None:
    stage.round()
    stage.scheduler.poll.assert_not_called()


def test_pending_reasons_are_kept_until_the_job_starts(stage: Stage) -> None:
    job_id = stage.submitted()
    key = stage.provider.job(job_id).key
    stage.see(job_id, "PENDING", JobPhase.QUEUED, host="")
    stage.scheduler.pending_reasons.return_value = {key: "Insufficient: CPU"}
    stage.round()
    assert stage.provider.job(job_id).pending_reason == "Insufficient: CPU"
    stage.see(job_id, "RUNNING", JobPhase.RUNNING)
    stage.round()
    assert stage.provider.job(job_id).pending_reason == ""


def test_absence_is_not_an_end(stage: Stage) -> None:
    job_id = stage.running()
    stage.tasks.clear()
    for _ in range(5):
        stage.clock.advance(10)
        stage.round()
    assert stage.phase(job_id) is JobPhase.RUNNING


def test_absence_that_was_interrupted_begins_anew(stage: Stage) -> None:
    job_id = stage.running()
    task = stage.tasks.copy()
    for _ in range(10):
        stage.tasks.clear()
        stage.round()
        stage.clock.advance(50)
        stage.round()
        stage.tasks.update(task)
        stage.round()
    assert stage.phase(job_id) is JobPhase.RUNNING


def test_a_job_that_stays_unknown_is_lost_in_the_end_and_says_why(stage: Stage) -> None:
    job_id = stage.running()
    stage.tasks.clear()
    stage.round()
    stage.clock.advance(61)
    stage.round()
    stage.fetcher.fetch.side_effect = SandboxGone("collected")
    stage.collect()
    record = stage.provider.job(job_id)
    assert record.phase is JobPhase.LOST
    assert "no longer knows" in record.reason


def test_a_rerun_by_the_scheduler_is_followed(stage: Stage) -> None:
    job_id = stage.running()
    stage.see(job_id, "PENDING", JobPhase.QUEUED, run=1, message="Rescheduled", host="")
    stage.round()
    record = stage.provider.job(job_id)
    assert (record.phase, record.run, record.task_id) == (JobPhase.QUEUED, 1, "task-1")
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, run=0)  # a report of the first run, late
    stage.round()
    assert stage.phase(job_id) is JobPhase.QUEUED


def test_the_end_of_a_rerun_counts_although_its_ancestors_are_forgotten(stage: Stage) -> None:
    job_id = stage.submitted()
    for run, queued_at in enumerate((1000.0, 1010.0)):
        stage.see(job_id, "RUNNING", JobPhase.RUNNING, run=run, queued_at=queued_at)
        stage.round()
    assert stage.provider.job(job_id).run == 1
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, run=0, task_id="task-2", queued_at=1020.0)
    stage.round()
    assert (stage.provider.job(job_id).run, stage.provider.job(job_id).task_id) == (2, "task-2")
    stage.see(job_id, "FINISHED", JobPhase.COMPLETED, run=0, task_id="task-2", queued_at=1020.0)
    stage.round()
    assert stage.phase(job_id) is JobPhase.FETCHING


def test_an_earlier_task_has_no_say(stage: Stage) -> None:
    job_id = stage.submitted()
    for run, queued_at in enumerate((1000.0, 1010.0)):
        stage.see(job_id, "RUNNING", JobPhase.RUNNING, run=run, queued_at=queued_at)
        stage.round()
    stage.see(job_id, "LOST", JobPhase.LOST, run=1, task_id="task-0", queued_at=1000.0)
    stage.round()
    assert stage.phase(job_id) is JobPhase.RUNNING


def test_one_kill_that_is_refused_does_not_hold_up_the_others(stage: Stage) -> None:
    first, second = stage.submit("A1"), stage.submit("A2")
    stage.step()
    for job_id in (first, second):
        stage.see(job_id, "RUNNING", JobPhase.RUNNING)
        stage.provider.request_cancel(job_id, "alice", 5001)
    stage.scheduler.cancel.side_effect = lambda keys, _: [
        CallResult(key, NotReady("Job is currently updating") if n == 0 else None)
        for n, key in enumerate(keys)
    ]
    stage.round()
    assert len(stage.scheduler.cancel.call_args_list) == 1, "one call for both"
    sent = [stage.provider.job(job_id).cancel_sent_at is not None for job_id in (first, second)]
    assert sorted(sent) == [False, True]
    assert stage.phase(first) is JobPhase.RUNNING


def test_cancel_before_anything_was_sent(stage: Stage) -> None:
    job_id = stage.submit()
    assert stage.provider.request_cancel(job_id, "alice", 5001)
    stage.step()
    assert stage.phase(job_id) is JobPhase.CANCELLED
    assert stage.creates() == []
    stage.scheduler.cancel.assert_not_called()


def test_cancel_of_a_waiting_job_that_leaves_no_trace(stage: Stage) -> None:
    job_id = stage.submitted()
    stage.see(job_id, "PENDING", JobPhase.QUEUED, host="")
    stage.round()
    stage.provider.request_cancel(job_id, "alice", 5001)
    stage.tasks.clear()  # Aurora deletes it when the kill arrives
    stage.round()
    record = stage.provider.job(job_id)
    assert (record.phase, record.reason) == (JobPhase.CANCELLED, "cancelled by alice")


def test_cancel_of_a_running_job(stage: Stage) -> None:
    job_id = stage.running()
    stage.provider.request_cancel(job_id, "alice", 5001)
    stage.round()
    stage.scheduler.cancel.assert_called_once_with([stage.provider.job(job_id).key], "cancelled by alice")
    assert stage.phase(job_id) is JobPhase.RUNNING
    stage.see(job_id, "KILLED", JobPhase.CANCELLED, kill_seen=True)
    stage.round()
    stage.fetcher.fetch.return_value = report(WrapperResult(143, False, 1.0, 2.0, signal=15))
    stage.collect()
    record = stage.provider.job(job_id)
    assert (record.phase, record.reason) == (JobPhase.CANCELLED, "cancelled by alice")
    assert (record.exit_code, record.signal) == (143, 15)


def test_a_kill_that_fails_is_repeated_and_one_that_worked_is_not_hurried(stage: Stage) -> None:
    job_id = stage.running()
    stage.provider.request_cancel(job_id, "alice", 5001)
    stage.scheduler.cancel.side_effect = Unreachable("nobody listens")
    stage.round()
    stage.scheduler.cancel.side_effect = lambda keys, _: [CallResult(key) for key in keys]
    stage.round()
    assert stage.provider.job(job_id).cancel_sent_at is not None
    assert stage.scheduler.cancel.call_count == 2
    stage.round()
    assert stage.scheduler.cancel.call_count == 2
    stage.clock.advance(16)
    stage.round()
    assert stage.scheduler.cancel.call_count == 3


def test_a_cancel_survives_a_restart(stage: Stage) -> None:
    job_id = stage.running()
    stage.provider.request_cancel(job_id, "alice", 5001)
    stage.restart()
    stage.round()
    stage.scheduler.cancel.assert_called_once()


def test_cancel_that_came_too_late(stage: Stage) -> None:
    job_id = stage.running()
    stage.provider.request_cancel(job_id, "alice", 5001)
    stage.see(job_id, "FINISHED", JobPhase.COMPLETED, kill_seen=False)
    stage.round()
    stage.collect()
    assert stage.phase(job_id) is JobPhase.COMPLETED


def test_who_may_cancel(stage: Stage) -> None:
    job_id = stage.submitted()
    with pytest.raises(Refused, match="belongs to alice"):
        stage.provider.request_cancel(job_id, "bob", 5002)
    with pytest.raises(NotFound):
        stage.provider.request_cancel(99, "alice", 5001)
    assert stage.provider.request_cancel(job_id, "root", 0)
    assert not stage.provider.request_cancel(job_id, "root", 0)


def test_killed_by_somebody_else(stage: Stage) -> None:
    job_id = stage.ended("KILLED", JobPhase.CANCELLED, kill_seen=True, message="Killed by operator")
    stage.fetcher.fetch.return_value = report(WrapperResult(143, False, 1.0, 2.0, signal=15))
    stage.collect()
    assert stage.phase(job_id) is JobPhase.FAILED


def test_a_failed_job_has_its_outputs_and_its_exit_code(stage: Stage) -> None:
    job_id = stage.ended("FAILED", JobPhase.FAILED, message="Task failed.")
    stage.fetcher.fetch.return_value = report(WrapperResult(3, False, 1.0, 2.0))
    stage.collect()
    record = stage.provider.job(job_id)
    assert (record.phase, record.exit_code, record.reason) == (JobPhase.FAILED, 3, "exit code 3")
    stage.fetcher.fetch.assert_called_once()


def test_the_wall_time_is_a_time_out(stage: Stage) -> None:
    job_id = stage.ended("FAILED", JobPhase.FAILED)
    stage.fetcher.fetch.return_value = report(WrapperResult(143, True, 1.0, 2.0, signal=15))
    stage.collect()
    record = stage.provider.job(job_id)
    assert (record.phase, record.reason) == (JobPhase.TIMEOUT, "wall time limit of 600 s reached")


def test_no_final_word_while_the_fetch_may_still_work(stage: Stage) -> None:
    job_id = stage.ended()
    stage.fetcher.fetch.side_effect = TransferError("the agent is silent")
    stage.collect()
    assert stage.phase(job_id) is JobPhase.FETCHING
    stage.collect()
    assert stage.fetcher.fetch.call_count == 1, "before its pause is over"
    stage.clock.advance(6)
    stage.fetcher.fetch.side_effect = None
    stage.collect()
    assert stage.phase(job_id) is JobPhase.COMPLETED


def test_a_fetch_that_never_works_fails_the_job_with_the_reason(stage: Stage) -> None:
    job_id = stage.ended()
    stage.fetcher.fetch.side_effect = TransferError("the agent is silent")
    for _ in range(3):
        stage.collect()
        stage.clock.advance(60)
    record = stage.provider.job(job_id)
    assert record.phase is JobPhase.FAILED
    assert record.reason == "outputs could not be fetched: the agent is silent"


def test_a_job_whose_sandbox_is_gone_says_so(stage: Stage) -> None:
    job_id = stage.ended()
    stage.fetcher.fetch.side_effect = SandboxGone("the sandbox was collected")
    stage.collect()
    record = stage.provider.job(job_id)
    assert record.phase is JobPhase.FAILED
    assert record.reason == "outputs could not be fetched: the sandbox was collected"


def test_a_sandbox_that_is_not_found_at_once_is_looked_for_again(stage: Stage) -> None:
    job_id = stage.ended(agent_id="agent-1")
    stage.fetcher.fetch.side_effect = SandboxGone("the agent is not known")
    stage.collect()
    assert stage.phase(job_id) is JobPhase.FETCHING
    stage.clock.advance(6)
    stage.fetcher.fetch.side_effect = None
    stage.collect()
    assert stage.phase(job_id) is JobPhase.COMPLETED


def test_a_lost_job_does_not_wait_for_its_sandbox(stage: Stage) -> None:
    job_id = stage.ended("LOST", JobPhase.LOST, agent_id="agent-1")
    stage.fetcher.fetch.side_effect = SandboxGone("the agent is not known")
    stage.collect()
    assert stage.phase(job_id) is JobPhase.LOST


def test_files_that_were_left_out_are_told(stage: Stage) -> None:
    job_id = stage.ended()
    stage.fetcher.fetch.return_value = report(left_out=(("../x", "leads out of the directory"),))
    stage.collect()
    record = stage.provider.job(job_id)
    assert (record.phase, record.reason) == (JobPhase.COMPLETED, "1 files left out")
    assert "left out ../x: leads out of the directory" in [e.reason for e in stage.provider.events(job_id)]


def test_a_job_whose_inputs_did_not_arrive(stage: Stage) -> None:
    job_id = stage.ended("FAILED", JobPhase.FAILED, message="Task failed.")
    stage.fetcher.fetch.return_value = report(result=None)
    stage.files.browse.return_value = []
    stage.files.read.return_value = b"curl: (7) Failed to connect\n\n"
    stage.collect()
    assert stage.provider.job(job_id).reason == (
        "the job did not start, its inputs did not reach the agent: curl: (7) Failed to connect"
    )


def test_a_fetch_is_taken_up_again_after_a_restart(stage: Stage) -> None:
    job_id = stage.ended()
    assert stage.provider.collector.take_due() == [job_id]
    assert stage.provider.collector.take_due() == [], "it is at work"
    stage.restart()
    stage.collect()
    assert stage.phase(job_id) is JobPhase.COMPLETED


def test_a_working_directory_that_cannot_be_read(stage: Stage) -> None:
    stage.work.rmdir()
    with pytest.raises(InvalidRequest, match="cannot list the working directory"):
        stage.submit()
    assert stage.provider.jobs(JobSelection()) == []


def test_inputs_are_for_the_holder_of_a_ticket_only(stage: Stage) -> None:
    (stage.work / "input.txt").write_text("data")
    job_id = stage.submitted()
    tickets = stage.parts.tickets
    good = tickets.issue(job_id, 1, stage.clock.now() + 10)
    inputs = stage.provider.inputs
    assert b"input.txt" in b"".join(inputs.stream(inputs.job(good)))
    for bad in (
        "",
        "x" * 72,
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        tickets.issue(job_id, 1, stage.clock.now() - 1),
        tickets.issue(job_id, 2, stage.clock.now() + 10),
        tickets.issue(99, 1, stage.clock.now() + 10),
        Tickets(b"t" * 32).issue(job_id, 1, stage.clock.now() + 10),
    ):
        with pytest.raises(NotFound):
            inputs.job(bad)


def test_an_input_that_changed_is_named_in_the_history(stage: Stage) -> None:
    path = stage.work / "input.txt"
    path.write_text("data")
    job_id = stage.submitted()
    path.write_text("other data")
    record = stage.provider.job(job_id)
    for _ in range(2):  # agents try again, and are told once
        with pytest.raises(AiravataMesosError, match=r"input\.txt"):
            list(stage.provider.inputs.stream(record))
    told = [e.reason for e in stage.provider.events(job_id) if e.source == "staging"]
    assert len(told) == 1
    assert "input.txt" in told[0]


def test_a_job_that_is_over_gives_no_inputs(stage: Stage) -> None:
    job_id = stage.ended()
    stage.collect()
    with pytest.raises(NotFound):
        stage.provider.inputs.job(stage.parts.tickets.issue(job_id, 1, stage.clock.now() + 10))
