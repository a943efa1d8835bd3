"""Outputs of jobs: rules, tries, turns, and what is kept of them. Fetches are mocks with real signatures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import FetchSettings, OutputSettings, ProviderSettings, embedded_settings
from airavata_mesos_plugin.errors import InvalidRequest, SandboxGone, TransferError
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRequest, Resources
from airavata_mesos_plugin.provider import Parts, Provider
from airavata_mesos_plugin.provider.ending import MOST_NOTES
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport, Progress
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.result import WrapperResult
from airavata_mesos_plugin.sandbox.tickets import Tickets
from airavata_mesos_plugin.sandbox.user_files import UserFiles
from airavata_mesos_plugin.schedulers.base import SandboxAddress, Scheduler
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.templating import TemplateLibrary

REPORT = FetchReport(files=2, bytes=7, left_out=(), result=None, seconds=0.25, present=1, excluded=3)


class Bench:
    """A provider with jobs whose tasks have ended."""

    def __init__(self, tmp_path: Path, mocker: MockerFixture, outputs: OutputSettings | None = None) -> None:
        embedded = embedded_settings()
        fetch = FetchSettings(jobs=1, long_jobs=1, long_seconds=10, attempts=2, retry_seconds=5)
        queue = embedded.queues[0].model_copy(update={"outputs": outputs or OutputSettings()})
        settings = embedded.model_copy(update={"fetch": fetch, "queues": (queue,)})
        self.clock = ManualClock(1000.0)
        self.files: Mock = mocker.create_autospec(UserFiles, instance=True)
        self.files.take_snapshot.return_value = Snapshot(taken_at=1.0).to_json()
        self.files.fetch.return_value = REPORT
        self.files.give_up_fetch.return_value = (0, 0)
        self.directory = str(tmp_path)
        self.parts = self._parts(settings, tmp_path, mocker)
        self.provider = Provider(self.parts)
        self.collector = self.provider.collector

    def _parts(self, settings: ProviderSettings, tmp_path: Path, mocker: MockerFixture) -> Parts:
        scheduler: Mock = mocker.create_autospec(Scheduler, instance=True)
        scheduler.sandboxes.side_effect = lambda tasks: {
            task.key: SandboxAddress("http://agent:5051", f"/{task.key.name}") for task in tasks
        }
        agent: Mock = mocker.create_autospec(FilesClient, instance=True)
        agent.browse.return_value = []
        agent.read.return_value = b""
        return Parts(
            settings=settings,
            ledger=Ledger(tmp_path / "ledger.db", self.clock),
            schedulers={settings.clusters[0].name: scheduler},
            templates=TemplateLibrary(),
            tickets=Tickets(b"s" * 32),
            files_of=lambda _uid: self.files,
            files=agent,
            clock=self.clock,
            staging_url=lambda: "http://daemon:1",
        )

    def submit(self, script: str = "#!/bin/sh\n", **members: object) -> int:
        request = {
            "name": "A1",
            "user": "alice",
            "uid": 5001,
            "queue": self.parts.settings.queues[0].name,
            "working_directory": self.directory,
            "resources": Resources(cpus=1, memory_mb=512, disk_mb=100),
            "wall_time_seconds": 600,
            **members,
        }
        return self.provider.submit(JobRequest.model_validate(request), script).id

    def ended(self, script: str = "#!/bin/sh\n", **members: object) -> int:
        """A job whose task has ended well."""
        job_id = self.submit(script, **members)
        ledger = self.parts.ledger
        for phase in (JobPhase.SUBMITTING, JobPhase.QUEUED, JobPhase.RUNNING):
            ledger.advance(job_id, phase, source="test", fields={"task_id": "t", "agent_id": "a"})
        ledger.advance(job_id, JobPhase.FETCHING, source="test", fields={"outcome": JobPhase.COMPLETED})
        return job_id

    def collect(self) -> list[int]:
        taken = self.collector.take_due()
        for job_id in taken:
            self.collector.collect(job_id)
        return taken

    def told(self, job_id: int) -> list[str]:
        return [event.reason for event in self.provider.events(job_id) if event.source == "fetch"]


@pytest.fixture
def bench(tmp_path: Path, mocker: MockerFixture) -> Iterator[Bench]:
    made = Bench(tmp_path, mocker)
    yield made
    made.parts.ledger.close()


def test_rules_come_from_queue_and_script(tmp_path: Path, mocker: MockerFixture) -> None:
    settings = OutputSettings(
        include=("*.dat",), exclude=("/tmp/",), max_file_mb=2, max_total_mb=3, max_files=4
    )
    bench = Bench(tmp_path, mocker, settings)
    script = (
        "#!/bin/sh\n#AIRAVATA-MESOS outputs.exclude=*.tmp\n  #AIRAVATA-MESOS outputs.include=no\n"
        "#AIRAVATA-MESOS outputs.exclude=!keep .tmp  \necho\n#AIRAVATA-MESOS\toutputs.include=a=b*\n"
    )
    bench.ended(script, stdout="out-%j", stderr="/dev/null")
    bench.collect()
    assert bench.files.fetch.call_args.kwargs["rules"] == OutputRules(
        include=(("*.dat",), ("a=b*",)),
        exclude=(("/tmp/",), ("*.tmp", "!keep .tmp")),
        file_bytes=2 * 1024 * 1024,
        total_bytes=3 * 1024 * 1024,
        files=4,
        essential=frozenset({"out-1"}),
    )
    bench.parts.ledger.close()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("outputs.exlude=x", "outputs.exlude=x' of the script cannot be understood"),
        ("outputs.exclude x", "cannot be understood"),
        ("outputs.include=", "cannot be understood"),
        ("outputs.include=a*b*c*d*e*f", "asterisks"),
        ("outputs.exclude=!", "cannot be understood"),
    ],
)
def test_a_line_that_says_nothing_is_refused_at_once(bench: Bench, line: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        bench.submit(f"#!/bin/sh\n#AIRAVATA-MESOS {line}\n")
    assert bench.submit(f"#!/bin/sh\necho '#AIRAVATA-MESOS {line}'\n# AIRAVATA-MESOS {line}\n")


def test_the_last_jobs_of_a_queue_that_was_removed(bench: Bench) -> None:
    job_id = bench.ended()
    (queue,) = bench.parts.settings.queues
    other = queue.model_copy(update={"name": "other"})
    settings = bench.parts.settings.model_copy(update={"queues": (other,)})
    collector = Provider(replace(bench.parts, settings=settings)).collector
    for taken in collector.take_due():
        collector.collect(taken)
    assert bench.files.fetch.call_args.args[0].method == "files_api"
    assert bench.provider.job(job_id).phase.final
    assert bench.provider.fetched(job_id) is not None


def test_what_came_is_kept(bench: Bench) -> None:
    job_id = bench.ended()
    assert bench.provider.fetched(job_id) is None
    left_out = tuple((f"file\n{number}", "too large") for number in range(30))
    bench.files.fetch.return_value = FetchReport(2, 7, left_out, None, 0.25, 40, 3, 1)
    bench.collect()
    assert bench.provider.fetched(job_id) == {
        "attempt": 1,
        "trouble": "",
        "files": 3,
        "bytes": 7,
        "seconds": 0.25,
        "excluded": 3,
        "left_out": [list(pair) for pair in left_out],
        "left_out_count": 40,
    }
    told = bench.told(job_id)
    assert told[0] == "left out file\\n0: too large"
    assert told[MOST_NOTES] == "20 more files left out"
    assert bench.provider.job(job_id).reason.endswith("40 files left out")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("Command exited with status 134", ": Command exited with status 134"),
        ("", ""),
    ],
)
def test_a_task_that_failed_after_its_script_had_ended_well(bench: Bench, told: str, reason: str) -> None:
    job_id = bench.ended()
    bench.parts.ledger.annotate(job_id, outcome=JobPhase.FAILED, reason=told)
    result = WrapperResult(exit_code=0, timed_out=False, started_at=1.0, ended_at=2.0)
    bench.files.fetch.return_value = replace(REPORT, result=result)
    bench.collect()
    job = bench.provider.job(job_id)
    assert (job.phase, job.exit_code) == (JobPhase.FAILED, 0)
    assert job.reason == f"the script ended with exit code 0, its task failed{reason}"


def test_what_could_be_saved_is_told(bench: Bench) -> None:
    job_id = bench.ended()
    bench.files.fetch.side_effect = SandboxGone("the sandbox was collected")
    bench.files.give_up_fetch.return_value = (12, 3456)
    bench.collect()
    bench.files.give_up_fetch.assert_not_called()
    bench.clock.advance(6)
    bench.collect()
    bench.files.give_up_fetch.assert_called_once_with(bench.directory, job_id)
    record = bench.provider.job(job_id)
    assert record.phase is JobPhase.FAILED
    assert record.reason.endswith(
        "outputs could not be fetched: the sandbox was collected; 12 files with 3456 bytes had arrived"
    )
    fetched = bench.provider.fetched(job_id)
    assert fetched is not None
    assert "12 files" in str(fetched["trouble"])


def test_a_directory_that_cannot_be_tidied_up_does_not_keep_a_job(bench: Bench) -> None:
    job_id = bench.ended()
    bench.files.fetch.side_effect = SandboxGone("collected")
    bench.files.give_up_fetch.side_effect = TransferError("cannot open the working directory")
    for _ in range(2):
        bench.collect()
        bench.clock.advance(6)
    assert bench.provider.job(job_id).phase is JobPhase.FAILED


def test_a_fault_of_ours_is_tried_again_later(bench: Bench) -> None:
    job_id = bench.ended()
    bench.files.fetch.side_effect = ValueError
    with pytest.raises(ValueError, match=r"^$"):
        bench.collect()
    assert bench.collect() == []
    bench.clock.advance(6)
    bench.files.fetch.side_effect = None
    assert bench.collect() == [job_id]
    assert bench.provider.job(job_id).phase.final


def test_progress_is_known_while_it_goes_on(bench: Bench) -> None:
    job_id = bench.ended()
    seen = []

    def fetch(*_: object, **more: object) -> FetchReport:
        seen.append(bench.collector.progress(job_id))
        tell = more["progress"]
        assert callable(tell)
        tell(Progress(1, 2, 3, 4))
        seen.append(bench.collector.progress(job_id))
        return REPORT

    bench.files.fetch.side_effect = fetch
    bench.collect()
    assert seen == [None, Progress(1, 2, 3, 4)]
    assert bench.collector.progress(job_id) is None


def test_a_long_fetch_makes_way_and_comes_back(bench: Bench) -> None:
    first, second, third = (bench.ended() for _ in range(3))
    cancels: dict[int, threading.Event] = {}

    def fetch(*_: object, **more: object) -> FetchReport:
        cancel, job_id = more["cancel"], more["job_id"]
        assert isinstance(cancel, threading.Event)
        assert isinstance(job_id, int)
        cancels[job_id] = cancel
        if job_id == third:
            return REPORT
        bench.clock.advance(11)
        begun = bench.collector.take_due()
        if job_id == first:  # it moves, the second takes its place
            assert begun == [second]
            bench.collector.collect(second)
            return REPORT
        assert begun == []
        assert cancel.is_set(), "the third waits, and the place for long ones is taken"
        raise TransferError("the fetch was stopped")

    bench.files.fetch.side_effect = fetch
    assert bench.collect() == [first]
    assert not cancels[first].is_set()
    assert bench.provider.job(second).phase is JobPhase.FETCHING
    assert bench.told(second) == [], "that was no failure"
    bench.files.fetch.side_effect = None
    assert sorted(bench.collect()) == [second, third], "the second in a place for long ones"
    assert {bench.provider.job(job_id).phase for job_id in (first, second, third)} != {JobPhase.FETCHING}


def test_the_end_of_the_provider_ends_all_fetches(bench: Bench) -> None:
    stop = threading.Event()
    collector = Provider(bench.parts, stop).collector
    job_id = bench.ended()

    def fetch(*_: object, **more: object) -> FetchReport:
        cancel = more["cancel"]
        assert isinstance(cancel, threading.Event)
        assert not cancel.is_set()
        stop.set()
        assert cancel.is_set()
        raise TransferError("the fetch was stopped")

    bench.files.fetch.side_effect = fetch
    for taken in collector.take_due():
        collector.collect(taken)
    assert bench.provider.job(job_id).phase is JobPhase.FETCHING
    assert bench.told(job_id) == []


def test_origins_name_the_attempt(bench: Bench) -> None:
    job_id = bench.ended()
    record = bench.provider.job(job_id)
    assert isinstance(record.key, JobKey)
    assert bench.collector.origin(record).address.path == f"/{record.key.name}"
