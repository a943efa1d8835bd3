"""Inputs that the daemon writes into sandboxes, and outputs that agents send: who gets what, and when."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import InputSettings, OutputSettings, embedded_settings
from airavata_mesos_plugin.errors import NotFound, NotReady, ProtocolError, TransferError
from airavata_mesos_plugin.jobs import JobPhase, JobRequest, Resources
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.provider.deliveries import Deliveries, WritableSandbox
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.layout import pushed_archive
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.sandbox.tickets import Purpose
from airavata_mesos_plugin.schedulers.base import SandboxAddress, Scheduler
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.testing.parts import parts_of

ADDRESS = SandboxAddress("http://agent:5051", "/box")


class Bench:
    """A provider whose jobs run as soon as they are asked to."""

    def __init__(self, tmp_path: Path, mocker: MockerFixture) -> None:
        embedded = embedded_settings()
        ways = {"inputs": InputSettings(method="sftp"), "outputs": OutputSettings(method="push")}
        settings = embedded.model_copy(update={"queues": (embedded.queues[0].model_copy(update=ways),)})
        self.clock = ManualClock()
        self.work = tmp_path / "work"
        self.work.mkdir()
        self.ledger = Ledger(tmp_path / "ledger.db", self.clock)
        scheduler: Mock = mocker.create_autospec(Scheduler, instance=True)
        self.parts = parts_of(
            settings,
            self.ledger,
            {"embedded": scheduler},
            self.clock,
            files=mocker.create_autospec(FilesClient, instance=True),
        )
        self.provider = Provider(self.parts)
        self.sandbox: Mock = mocker.create_autospec(WritableSandbox, instance=True)
        self.opened: list[Origin] = []
        self.deliveries = Deliveries(self.parts, self.provider.inputs, lambda _record: ADDRESS, self._open)

    @contextmanager
    def _open(self, origin: Origin) -> Iterator[WritableSandbox]:
        self.opened.append(origin)
        yield self.sandbox

    def running(self) -> int:
        request = JobRequest(
            name="A1",
            user="alice",
            uid=5001,
            queue="default",
            working_directory=str(self.work),
            resources=Resources(cpus=1, memory_mb=512, disk_mb=100),
            wall_time_seconds=600,
        )
        job_id = self.provider.submit(request, "#!/bin/sh\n").id
        for phase in (JobPhase.SUBMITTING, JobPhase.QUEUED, JobPhase.RUNNING):
            self.ledger.advance(job_id, phase, source="test", fields={"task_id": "t", "agent_id": "a"})
        return job_id

    def look(self) -> list[int]:
        taken = self.deliveries.take_due()
        for job_id in taken:
            self.deliveries.deliver(job_id)
        return taken

    def ticket(self, job_id: int, attempt: int = 1, seconds: float = 60) -> str:
        return self.parts.tickets.issue(job_id, attempt, self.clock.now() + seconds, Purpose.OUTPUTS)


@pytest.fixture
def bench(tmp_path: Path, mocker: MockerFixture) -> Iterator[Bench]:
    made = Bench(tmp_path, mocker)
    yield made
    made.ledger.close()


def test_inputs_are_written_when_they_are_wanted_and_no_more(bench: Bench) -> None:
    (bench.work / "input").write_text("content")
    job_id = bench.running()
    written: list[bytes] = []
    bench.sandbox.deliver.side_effect = lambda _start, archive: written.append(b"".join(archive))
    bench.sandbox.wanted.return_value = None
    bench.sandbox.begun.return_value = False
    assert bench.look() == [job_id]
    assert bench.look() == []  # not at once again
    bench.clock.advance(1)
    bench.sandbox.wanted.return_value = 0
    assert bench.look() == [job_id]
    with tarfile.open(fileobj=io.BytesIO(written[0])) as archive:
        assert {"input", ".airavata-mesos/run.sh"} <= set(archive.getnames())
    bench.clock.advance(60)
    bench.sandbox.wanted.return_value = None
    bench.sandbox.begun.return_value = True
    assert bench.look() == [job_id]
    bench.clock.advance(1000)
    assert bench.look() == []
    assert dict(bench.opened[0].details) == {"cluster": "embedded", "agent_id": "a", "role": "airavata"}
    # The scheduler starts the task anew, on another agent.
    bench.ledger.annotate(job_id, task_id="t2")
    assert bench.look() == [job_id]


def test_a_delivery_that_breaks_off_goes_on(bench: Bench) -> None:
    job_id = bench.running()
    bench.sandbox.wanted.return_value = 0
    bench.sandbox.deliver.side_effect = TransferError("a hole in the road")
    assert bench.look() == [job_id]
    assert bench.provider.job(job_id).pending_reason == "a hole in the road"
    bench.clock.advance(60)
    bench.sandbox.wanted.return_value = 700
    starts: list[tuple[int, int]] = []
    bench.sandbox.deliver.side_effect = lambda start, archive: starts.append((start, len(b"".join(archive))))
    whole = len(b"".join(bench.provider.inputs.stream(bench.provider.job(job_id))))
    assert bench.look() == [job_id]
    assert starts == [(700, whole - 700)]


def test_an_input_that_has_changed_ends_the_waiting(bench: Bench) -> None:
    (bench.work / "input").write_text("content")
    job_id = bench.running()
    (bench.work / "input").write_text("something else")
    bench.sandbox.wanted.return_value = 0
    bench.sandbox.deliver.side_effect = lambda _start, archive: list(archive)
    bench.look()
    (reason,) = bench.sandbox.refuse.call_args.args
    assert "the input input was changed" in reason
    told = [event.reason for event in bench.provider.events(job_id) if event.source == "staging"]
    assert "the input input was changed" in told[0]


def archive(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


RESULT = (".airavata-mesos/result", b"exit_code=0\nstarted_at=1\nended_at=2\n")


def test_outputs_that_were_sent_end_the_job(bench: Bench) -> None:
    job_id = bench.running()
    bench.provider.pushes.take(bench.ticket(job_id), [archive(RESULT, ("output", b"content"))])
    bench.ledger.advance(job_id, JobPhase.FETCHING, source="test", fields={"outcome": JobPhase.COMPLETED})
    for taken in bench.provider.collector.take_due():
        bench.provider.collector.collect(taken)
    record = bench.provider.job(job_id)
    assert (record.phase, record.exit_code) == (JobPhase.COMPLETED, 0)
    assert (bench.work / "output").read_text() == "content"
    assert [path.name for path in bench.work.iterdir()] == ["output"]


def test_outputs_that_never_come_end_the_job_after_a_while(bench: Bench) -> None:
    job_id = bench.running()
    bench.ledger.advance(job_id, JobPhase.FETCHING, source="test", fields={"outcome": JobPhase.COMPLETED})
    for _ in range(bench.parts.settings.fetch.attempts):
        assert not bench.provider.job(job_id).phase.final
        for taken in bench.provider.collector.take_due():
            bench.provider.collector.collect(taken)
        bench.clock.advance(300)
    record = bench.provider.job(job_id)
    assert record.phase is JobPhase.FAILED
    assert "the agent has not sent them" in record.reason


def test_outputs_that_come_late_are_taken_at_once(bench: Bench) -> None:
    job_id = bench.running()
    bench.ledger.advance(job_id, JobPhase.FETCHING, source="test", fields={"outcome": JobPhase.COMPLETED})
    collector = bench.provider.collector
    for taken in collector.take_due():
        collector.collect(taken)
    assert collector.take_due() == []
    bench.parts.outputs_due.clear()
    bench.provider.pushes.take(bench.ticket(job_id), [archive(RESULT)])
    assert bench.parts.outputs_due.is_set()
    assert collector.take_due() == [job_id]


def test_tickets_open_nothing_else(bench: Bench) -> None:
    job_id = bench.running()
    good = bench.ticket(job_id)
    pushes = bench.provider.pushes
    for wrong in (
        bench.ticket(job_id, attempt=2),
        bench.ticket(job_id, seconds=-1),
        bench.parts.tickets.issue(job_id, 1, bench.clock.now() + 60),  # for inputs
        good[:-1] + ("A" if good[-1] != "A" else "B"),
    ):
        with pytest.raises(NotFound):
            pushes.take(wrong, [archive(RESULT)])
    with pytest.raises(ProtocolError):
        pushes.take(good, [b"no archive"])
    assert not (bench.work / pushed_archive(job_id, 1)).exists()
    bench.ledger.advance(job_id, JobPhase.FAILED, source="test")
    with pytest.raises(NotFound):
        pushes.take(good, [archive(RESULT)])


def test_a_job_sends_on_one_connection(bench: Bench) -> None:
    job_id = bench.running()
    ticket = bench.ticket(job_id)
    pushes = bench.provider.pushes

    def slow() -> Iterator[bytes]:
        with pytest.raises(NotReady):
            pushes.take(ticket, [archive(RESULT)])
        yield archive(RESULT)

    pushes.take(ticket, slow())
    pushes.take(ticket, [archive(RESULT)])


def test_what_the_daemon_knows_of_the_inputs_is_kept(bench: Bench) -> None:
    job_id = bench.running()
    said = archive((".logs/stage_in/0/stderr", b"curl: (22) 410\n"))
    bench.ledger.note(job_id, source="staging", reason="the input was changed")
    bench.provider.pushes.take(bench.ticket(job_id), [said])
    told = [event.reason for event in bench.provider.events(job_id) if event.source == "staging"]
    assert told == ["the input was changed"]
