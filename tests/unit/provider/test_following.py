"""Following a file through the runs of its job and to its working directory; live outputs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.errors import InvalidRequest, NotFound, SandboxGone, Unreachable, UnsafePath
from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.provider.following import Cursor, Followed
from airavata_mesos_plugin.provider.live import OWNER
from airavata_mesos_plugin.sandbox.live.local_listing import entries
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.source import Entry
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.unit.provider.test_life_cycle import Stage


class Sandboxes(Stage):
    """Sandboxes are directories, one for each task."""

    def __init__(self, tmp_path: Path, mocker: MockerFixture) -> None:
        super().__init__(tmp_path, mocker)
        self.away: set[str] = set()
        self.scheduler.sandboxes.side_effect = lambda tasks: {
            t.key: SandboxAddress("http://agent:5051", str(tmp_path / t.task_id)) for t in tasks
        }
        self.files.read.side_effect = self._read
        self.files.size.side_effect = lambda address, name: len(self._content(address, name))
        self.files.browse.side_effect = self._browse

    def _content(self, address: SandboxAddress, name: str) -> bytes:
        self._check(address)
        path = Path(address.path, name)
        if not path.is_file():
            raise NotFound(name)
        return path.read_bytes()

    def _check(self, address: SandboxAddress) -> None:
        if Path(address.path).name in self.away:
            raise Unreachable("the agent does not answer")

    def _read(self, address: SandboxAddress, name: str, offset: int, length: int) -> bytes:
        return self._content(address, name)[offset : offset + length]

    def _browse(self, address: SandboxAddress, directory: str, _abort: object = None) -> list[Entry]:
        self._check(address)
        if not Path(address.path).is_dir():
            raise NotFound(directory) if directory else SandboxGone("gone")
        try:
            return entries(address.path, directory)
        except FileNotFoundError:
            raise NotFound(directory) from None

    def write(self, task: str, name: str, data: str) -> None:
        path = self.home / task / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(data)

    def follow(self, job_id: int, name: str = "out", cursor: Cursor | None = None) -> Followed:
        return self.provider.follow(job_id, name, cursor or Cursor())


@pytest.fixture
def stage(tmp_path: Path, mocker: MockerFixture) -> Iterator[Sandboxes]:
    stage = Sandboxes(tmp_path, mocker)
    yield stage
    stage.ledger.close()


def test_nothing_before_the_job_runs(stage: Sandboxes) -> None:
    job_id = stage.submitted()
    assert stage.follow(job_id) == Followed(b"", Cursor(), over=False)


def test_from_the_sandbox_to_the_working_directory(stage: Sandboxes) -> None:
    job_id = stage.running()
    stage.write("task-0", "out", "one ")
    first = stage.follow(job_id)
    stage.write("task-0", "out", "two")
    stage.see(job_id, "FINISHED", JobPhase.COMPLETED)
    stage.round()
    assert stage.phase(job_id) is JobPhase.FETCHING
    (stage.work / "out").write_text("one two")
    stage.collect()
    stage.away.add("task-0")
    # The cursor travels as text, and another provider may take it up.
    second = stage.follow(job_id, cursor=Cursor.parse(first.cursor.text()))
    assert (first.data, first.over, second.data, second.over) == (b"one ", False, b"two", True)
    assert second.notes == ()


def test_a_working_directory_that_has_another_file_of_that_name(stage: Sandboxes) -> None:
    """The output was left out, so what lies there is the input."""
    job_id = stage.running()
    stage.write("task-0", "out", "one ")
    first = stage.follow(job_id)
    stage.write("task-0", "out", "two")
    (stage.work / "out").write_text("what was sent")
    stage.see(job_id, "FINISHED", JobPhase.COMPLETED)
    stage.round()
    stage.collect()
    assert stage.follow(job_id, cursor=first.cursor).data == b"two"
    stage.away.add("task-0")
    anew = stage.follow(job_id, cursor=first.cursor)
    assert (anew.data, anew.anew, anew.over) == (b"what was sent", True, True)
    assert anew.notes


@pytest.mark.parametrize("reachable", [True, False])
def test_a_run_that_the_cluster_lost(stage: Sandboxes, reachable: bool) -> None:
    job_id = stage.running()
    stage.write("task-0", "out", "one ")
    first = stage.follow(job_id)
    stage.write("task-0", "out", "last words")
    if not reachable:
        stage.away.add("task-0")
    stage.see(job_id, "PENDING", JobPhase.QUEUED, run=1, host="")
    stage.round()
    cursor = first.cursor
    if reachable:
        rest = stage.follow(job_id, cursor=cursor)
        assert rest.data == b"last words"
        cursor = rest.cursor
    change = stage.follow(job_id, cursor=cursor)
    assert (change.data, change.anew) == (b"", True)
    assert f"job {job_id} was started again" in change.notes[0]
    assert ("there may be more" in change.notes[0]) is not reachable
    assert stage.follow(job_id, cursor=change.cursor).notes == ()
    stage.see(job_id, "RUNNING", JobPhase.RUNNING, run=1)
    stage.round()
    stage.write("task-1", "out", "one again")
    assert stage.follow(job_id, cursor=change.cursor).data == b"one again"


def test_an_attempt_that_was_fetched_before_the_next_began(stage: Sandboxes) -> None:
    job_id = stage.running()
    stage.write("task-0", "out", "one ")
    first = stage.follow(job_id)
    stage.restart()  # so nothing is known of the old sandbox
    stage.provider.control.requeue(job_id, "alice", 0)
    stage.see(job_id, "KILLED", JobPhase.CANCELLED, kill_seen=True)
    stage.round()
    (stage.work / "out").write_text("one last words")
    stage.collect()
    assert stage.phase(job_id) is JobPhase.ACCEPTED
    rest = stage.follow(job_id, cursor=first.cursor)
    assert rest.data == b"last words"
    change = stage.follow(job_id, cursor=rest.cursor)
    assert "there may be more" not in change.notes[0]


def test_outputs_of_the_script_count_from_when_the_wrapper_has_emptied_them(stage: Sandboxes) -> None:
    job_id = stage.running()
    name = f"slurm-{job_id}.out"
    stage.write("task-0", name, "came with the inputs")
    assert stage.follow(job_id, name).data == b""
    (stage.home / "task-0" / name).write_text("")
    stage.write("task-0", ".airavata-mesos/slurm_script", "#!/bin/sh\n")
    stage.write("task-0", name, "new")
    assert stage.follow(job_id, name).data == b"new"


def test_what_is_nowhere(stage: Sandboxes) -> None:
    job_id = stage.ended()
    stage.collect()
    with pytest.raises(NotFound, match="left no file none"):
        stage.follow(job_id, "none")
    with pytest.raises(SandboxGone):
        stage.follow(job_id, ".logs/run/0/stdout")
    stage.write("task-0", "other", "x")
    with pytest.raises(NotFound, match=r"left no file \.logs"):
        stage.follow(job_id, ".logs/run/0/stdout")
    with pytest.raises(UnsafePath):
        stage.follow(job_id, "../out")


def test_trouble_that_passes_asks_for_the_address_again(stage: Sandboxes) -> None:
    job_id = stage.running()
    stage.write("task-0", "out", "one")
    stage.follow(job_id)
    stage.follow(job_id)
    assert stage.scheduler.sandboxes.call_count == 1
    stage.away.add("task-0")
    with pytest.raises(Unreachable):
        stage.follow(job_id)
    stage.away.clear()
    assert stage.follow(job_id).data == b"one"
    assert stage.scheduler.sandboxes.call_count == 2


@pytest.mark.parametrize("text", ["x", "[]", '{"offset":-1}', '{"surprise":1}', '{"index":100000}'])
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Cursor.parse(text)


def test_live_outputs_come_at_their_time_and_when_they_have_changed(stage: Sandboxes) -> None:
    job_id = live_job(stage)
    live = stage.provider.live
    assert live.take_due() == []
    stage.clock.advance(59)
    assert live.take_due() == []
    stage.clock.advance(1)
    assert live.take_due() == [job_id]
    assert live.take_due() == []
    live.bring(job_id)
    (call,) = stage.fetcher.fetch.call_args_list
    assert call.kwargs["rules"] == OutputRules(include=(("*.log",),))
    assert call.kwargs["job_id"] == OWNER + job_id
    # Nothing has changed.
    stage.clock.advance(60)
    assert live.take_due() == [job_id]
    live.bring(job_id)
    assert stage.fetcher.fetch.call_count == 1
    stage.write("task-0", "progress.log", "2\n")
    stage.clock.advance(60)
    assert live.take_due() == [job_id]
    live.bring(job_id)
    assert stage.fetcher.fetch.call_count == 2


def test_live_outputs_end_before_the_last_ones_come(stage: Sandboxes) -> None:
    job_id = live_job(stage)
    stage.clock.advance(60)
    assert stage.provider.live.take_due() == []
    stage.clock.advance(60)
    assert stage.provider.live.take_due() == [job_id]
    stage.see(job_id, "FINISHED", JobPhase.COMPLETED)
    stage.round()
    stage.collect()
    stage.provider.live.bring(job_id)  # its turn comes too late
    assert [call.kwargs["job_id"] for call in stage.fetcher.fetch.call_args_list] == [job_id]
    assert stage.provider.live.take_due() == []
    assert stage.provider.live.under_way() == []


def test_live_outputs_that_fail_are_tried_again(stage: Sandboxes) -> None:
    job_id = live_job(stage)
    stage.provider.live.take_due()
    stage.away.add("task-0")
    for _ in range(2):
        stage.clock.advance(60)
        assert stage.provider.live.take_due() == [job_id]
        stage.provider.live.bring(job_id)
    assert stage.fetcher.fetch.call_count == 0
    stage.away.clear()
    stage.clock.advance(60)
    assert stage.provider.live.take_due() == [job_id]
    stage.provider.live.bring(job_id)
    assert stage.fetcher.fetch.call_count == 1


def live_job(stage: Sandboxes) -> int:
    """A running job whose script names live outputs, one of which is there."""
    request = stage.provider.job(stage.submit("A2")).request
    record = stage.provider.submit(request, "#!/bin/sh\n#AIRAVATA-MESOS outputs.live=*.log\n")
    stage.step()
    stage.see(record.id, "RUNNING", JobPhase.RUNNING)
    stage.round()
    stage.write("task-0", "progress.log", "1\n")
    os.utime(stage.home / "task-0" / "progress.log", (1000, 1000))
    return record.id
