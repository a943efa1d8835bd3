"""The daemon's side of a helper: real ones that die, age or stand still, and ones that lie."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    FilesUnavailable,
    SandboxGone,
    StagingError,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.accounts import client, wire
from airavata_mesos_plugin.sandbox.accounts.client import AccountFiles
from airavata_mesos_plugin.sandbox.accounts.process import Helper
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.inputs.archive import Member
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.outputs.fetch import Progress
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from airavata_mesos_plugin.service.accounts import FilesOfAccounts
from airavata_mesos_plugin.testing.sandbox_agent import SandboxAgent
from tests.integration.accounts.conftest import Person, helpers
from tests.support.waiting import wait_for

LONG_AGO = 1_000_000_000.0


class LateClock(SystemClock):
    """This machine's clock, put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
def clock() -> LateClock:
    return LateClock()


@pytest.fixture
def files_of(people: tuple[Person, Person], clock: LateClock) -> Iterator[FilesOfAccounts]:
    assert people
    settings = FetchSettings(connections=2)
    sandboxes = FilesClient(settings)
    files = FilesOfAccounts(settings, clock, sandboxes)
    yield files
    files.close()
    sandboxes.close()
    wait_for(helpers, lambda left: not left, "the end of all helpers")


@pytest.fixture
def work(alice: Person, commons: Path) -> Path:
    path = alice.makes(commons / "work", mode=0o700)
    alice.makes(path / "input", "content", 0o600)
    return path


@pytest.fixture
def files(files_of: FilesOfAccounts, alice: Person) -> AccountFiles:
    found = files_of(alice.uid)
    assert isinstance(found, AccountFiles)
    return found


def test_everything_at_once(files: AccountFiles, work: Path) -> None:
    facts = files.examine(str(work))
    assert (facts.physical, facts.is_directory, facts.writable) == (str(work), True, True)
    assert files.real_path(f"{work}/../work/./x") == f"{work}/x"
    before = files.take_snapshot(str(work), LONG_AGO, {"none"})
    assert [file.name for file in Snapshot.from_json(before).files] == ["input"]
    archive = b"".join(files.open_archive(str(work), before, [Member("extra", b"ours", 0o700)]))
    assert b"content" in archive
    assert b"ours" in archive
    rest = files.open_archive(str(work), before, [Member("extra", b"ours", 0o700)], start=700)
    assert b"".join(rest) == archive[700:]
    assert files.changed(str(work), before, LONG_AGO, set()) == []
    (work / "new\udcff").write_text("12345")
    assert [(f.name, f.size) for f in files.changed(str(work), before, LONG_AGO, set())] == [("new\udcff", 5)]
    piece = files.read_local(str(work), "input", -3, 10)
    assert (piece.data, piece.offset, piece.at_end) == (b"ent", 4, True)
    assert len(files.pids) == 1


def test_errors_are_those_of_the_own_files(files: AccountFiles, work: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.examine(str(work / "none"))
    with pytest.raises(PermissionError):
        files.examine("/root/x")
    with pytest.raises(FileNotFoundError):
        files.read_local(str(work), "none", 0, 1)
    with pytest.raises(UnsafePath, match="climbs out"):
        files.read_local(str(work), "../x", 0, 1)
    with pytest.raises(StagingError, match="cannot list the working directory") as caught:
        files.take_snapshot("/root", LONG_AGO, set())
    assert caught.value.advice
    snapshot = files.take_snapshot(str(work), LONG_AGO, set())
    (work / "input").write_text("something else")
    with pytest.raises(StagingError, match="was changed after"):
        list(files.open_archive(str(work), snapshot, []))
    with pytest.raises(AiravataMesosError) as unreachable:
        files.fetch(
            Origin("files_api", SandboxAddress("http://127.0.0.1:1", "/x")), str(work), snapshot, job_id=1
        )
    assert unreachable.value.transient


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[SandboxAgent]:
    agent = SandboxAgent(tmp_path)
    agent.start()
    yield agent
    agent.stop()


def test_a_fetch_follows_its_rules(files: AccountFiles, work: Path, agent: SandboxAgent) -> None:
    sandbox, address = agent.sandbox()
    for name in ("a.dat", "b.dat", "c.txt"):
        (sandbox / name).write_text(name)
    (sandbox / "b.dat").write_text("large")
    rules = OutputRules(include=(("*.dat",),), file_bytes=4)
    snapshot = Snapshot(taken_at=1.0).to_json()
    report = files.fetch(Origin("files_api", address), str(work), snapshot, job_id=1, rules=rules)
    assert (report.files, report.left_out_count, report.excluded) == (0, 2, 1)
    rules = OutputRules(include=(("*.dat",),), exclude=(("b.*",),))
    report = files.fetch(Origin("files_api", address), str(work), snapshot, job_id=1, rules=rules)
    assert (report.files, report.bytes, report.left_out, report.excluded) == (1, 5, (), 2)
    assert {path.name for path in work.iterdir()} == {"input", "a.dat"}


def test_a_fetch_into_a_directory_is_remembered(files: AccountFiles, work: Path, agent: SandboxAgent) -> None:
    sandbox, address = agent.sandbox()
    (sandbox / "a.dat").write_text("12345")
    origin, snapshot = Origin("files_api", address), Snapshot(taken_at=1.0).to_json()
    for present in (0, 1):
        report = files.fetch(origin, str(work), snapshot, job_id=7, into="nodes/n2", keep=True)
        assert (report.files, report.present, report.size) == (1 - present, present, 5)
    assert (work / "nodes/n2/a.dat").read_text() == "12345"
    assert files.give_up_fetch(str(work), 7, "nodes/n2") == (1, 5)
    assert {path.name for path in work.iterdir()} == {"input", "nodes"}


def test_a_fetch_tells_how_far_it_is_and_can_be_given_up(
    files: AccountFiles, work: Path, agent: SandboxAgent
) -> None:
    sandbox, address = agent.sandbox()
    for name in ("one", "two", "three"):
        (sandbox / name).write_text(name)
    agent.faults.delay(3600, "download", skip=2)
    told: list[Progress] = []
    enough = threading.Event()

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.files == 2:
            enough.set()

    snapshot = Snapshot(taken_at=1.0).to_json()
    origin = Origin("files_api", address)
    with pytest.raises(TransferError, match="was stopped"):
        files.fetch(origin, str(work), snapshot, job_id=1, progress=tell, cancel=enough)
    assert (told[-1].files, told[-1].files_total, told[-1].bytes_total) == (2, 3, 11)
    # The helper notices a little later that nobody waits for it any more.
    manifest = work / ".airavata-manifest-1"
    wait_for(lambda: manifest.read_bytes().count(b"\n"), lambda lines: lines == 3, "the end of the manifest")
    arrived, size = files.give_up_fetch(str(work), 1)
    assert (arrived, size) == (2, told[-1].bytes)
    assert len(list(work.iterdir())) == 3, "the input and the two that came"


def test_large_messages(files: AccountFiles, work: Path) -> None:
    for number in range(3000):
        (work / f"{number}-{'x' * 200}").touch()
    snapshot = files.take_snapshot(str(work), LONG_AGO, set())
    assert len(snapshot) > 600_000
    assert files.changed(str(work), snapshot, LONG_AGO, set()) == []


def test_an_archive_that_nobody_reads_on(files: AccountFiles, work: Path) -> None:
    with (work / "large").open("wb") as large:
        large.truncate(200 * 1024 * 1024)
    snapshot = files.take_snapshot(str(work), LONG_AGO, set())
    archive = files.open_archive(str(work), snapshot, [])
    next(archive)
    assert files.busy
    archive.close()  # type: ignore[attr-defined]
    assert not files.busy
    assert files.examine(str(work)).writable


def test_many_at_once(files: AccountFiles, work: Path) -> None:
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(files.examine(str(work)).physical)) for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [str(work)] * 50
    assert len(files.pids) == 1


def test_a_killed_one_is_replaced_unseen(files: AccountFiles, work: Path) -> None:
    files.examine(str(work))
    for _ in range(3):
        (pid,) = files.pids
        os.kill(pid, signal.SIGKILL)
        assert files.examine(str(work)).writable
        assert files.pids != [pid]


def test_an_aged_one_is_replaced(files: AccountFiles, work: Path, mocker: MockerFixture) -> None:
    files.examine(str(work))
    (old,) = files.pids
    mocker.patch.object(client, "AGE_SECONDS", 0.0)
    files.examine(str(work))
    mocker.stopall()
    assert wait_for(lambda: files.pids, lambda pids: len(pids) == 1, "the end of the old one") != [old]


def test_one_that_stands_still_is_given_up(
    files: AccountFiles, work: Path, mocker: MockerFixture, clock: LateClock
) -> None:
    files.examine(str(work))
    (pid,) = files.pids
    os.kill(pid, signal.SIGSTOP)
    mocker.patch.object(client, "SILENCE_SECONDS", 0.5)
    with pytest.raises(FilesUnavailable, match="did not answer for"):
        files.take_snapshot(str(work), LONG_AGO, set())
    mocker.stopall()
    clock.ahead += client.PAUSE_SECONDS - 10  # what is refused now is refused without waiting for anybody
    with pytest.raises(FilesUnavailable, match="a moment ago"):
        files.take_snapshot(str(work), LONG_AGO, set())
    wait_for(lambda: pid in files.pids, lambda there: not there, "its end")
    clock.ahead += 10
    assert files.examine(str(work)).writable


def test_a_few_requests_that_wait_keep_others_away(
    files: AccountFiles, work: Path, mocker: MockerFixture, clock: LateClock
) -> None:
    """So that an account whose files hang does not occupy all threads of the daemon."""
    mocker.patch.object(client, "SILENCE_SECONDS", 600.0)
    files.examine(str(work))
    (pid,) = files.pids
    os.kill(pid, signal.SIGSTOP)
    errors: list[AiravataMesosError] = []

    def look() -> None:
        try:
            files.examine(str(work))
        except AiravataMesosError as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(client.OVERDUE_CALLS)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(files._heard), client.OVERDUE_CALLS.__eq__, "requests that wait")
    clock.ahead += client.OVERDUE_SECONDS
    with pytest.raises(FilesUnavailable, match="requests waiting"):
        files.examine(str(work))
    assert errors == []
    os.kill(pid, signal.SIGCONT)
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_spare_one_gets_ready(files_of: FilesOfAccounts, alice: Person, bob: Person, work: Path) -> None:
    files_of(alice.uid).examine("/")
    wait_for(lambda: len(helpers()), lambda count: count == 2, "a spare helper")
    files_of(bob.uid).examine("/")
    with pytest.raises(PermissionError):
        files_of(bob.uid).examine(str(work / "input"))


class Liar:
    """In the place of a helper: answers with the bytes that it is told."""

    def __init__(self, answer: bytes, *, hang: bool = False) -> None:
        self.started_at = time.monotonic()
        self.alive, self.lost = True, False
        self.killed = False
        self._answer = answer
        self._hang = hang
        self._kept: list[socket.socket] = []

    def open(self, more: Sequence[socket.socket] = ()) -> socket.socket:  # noqa: ARG002 - it takes none
        ours, theirs = socket.socketpair()
        theirs.sendall(self._answer)
        self._kept.append(theirs)
        if not self._hang:
            theirs.shutdown(socket.SHUT_WR)
        return ours

    def kill(self) -> None:
        self.killed = True

    def retire(self) -> None:
        for connection in self._kept:
            connection.close()


@pytest.fixture
def lie() -> Iterator[Callable[..., tuple[AccountFiles, Liar]]]:
    """Makes a liar and the files that ask it."""
    liars: list[Liar] = []

    def make(answer: bytes, *, hang: bool = False) -> tuple[AccountFiles, Liar]:
        liars.append(Liar(answer, hang=hang))
        start: Callable[[], Helper] = lambda: liars[-1]  # type: ignore[assignment, return-value]  # noqa: E731
        return AccountFiles("liar", start, SystemClock()), liars[-1]

    yield make
    for liar in liars:
        liar.retire()


Lie = Callable[..., tuple[AccountFiles, Liar]]


def frame(head: object, body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack(">II", len(text), len(body)) + text + body


def report(**changes: object) -> bytes:
    good = {"files": 1, "bytes": 1, "left_out": [], "seconds": 1, "result": None}
    good |= {"left_out_count": 0, "excluded": 0, "present": 0, "size": 1, "has_nodes": False}
    return json.dumps({**good, **changes}).encode()


Ask = Callable[[AccountFiles], object]


def examine(files: AccountFiles) -> object:
    return files.examine("/x")


def snapshot(files: AccountFiles) -> object:
    return files.take_snapshot("/x", 1.0, set())


def changed(files: AccountFiles) -> object:
    return files.changed("/x", "{}", 1.0, set())


def fetch(files: AccountFiles) -> object:
    origin = Origin("files_api", SandboxAddress("http://a", "/"))
    return files.fetch(origin, "/x", "{}", job_id=1, progress=print)


def give_up(files: AccountFiles) -> object:
    return files.give_up_fetch("/x", 1)


def read(files: AccountFiles) -> object:
    return files.read_local("/x", "y", 0, 10)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (examine, struct.pack(">II", 2**32 - 1, 2**32 - 1)),
        (examine, b"garbage that is long enough to be a header"),
        (examine, frame([])),
        (examine, frame({"kind": "done"})),
        (examine, frame({"kind": "done", "physical": 3, "is_directory": True, "writable": True})),
        (examine, frame({"kind": "run", "program": "x"})),
        (examine, frame({"kind": "error", "name": "SystemExit", "message": "", "advice": ""})),
        (examine, frame({"kind": "error", "name": "AiravataMesosError.__subclasses__", "message": ""})),
        (examine, frame({"kind": "error", "name": "NotFound", "message": ["x"], "advice": ""})),
        (examine, frame({"kind": "os", "errno": "x"})),
        (snapshot, frame({"kind": "done"}, b"\xff")),
        (changed, frame({"kind": "done"}, b"[[1]]")),
        (changed, frame({"kind": "done"}, b'[["x", "y"]]')),
        (changed, frame({"kind": "done"}, b"{")),
        (fetch, frame({"kind": "done"}, b"{}")),
        (fetch, frame({"kind": "done"}, report(left_out=3))),
        (fetch, frame({"kind": "done"}, report(result=[1]))),
        (fetch, frame({"kind": "done"}, report(present="x"))),
        (fetch, frame({"kind": "alive", "progress": [[1, 2, 3]]})),
        (fetch, frame({"kind": "alive", "progress": ["abcd"]})),
        (give_up, frame({"kind": "done", "files": "x", "bytes": 1})),
        (read, frame({"kind": "done", "offset": 0})),
    ],
)
def test_lies_are_not_believed(lie: Lie, ask: Ask, answer: bytes) -> None:
    files, _ = lie(answer)
    with pytest.raises(wire.Malformed):
        ask(files)


def test_texts_are_cleaned_and_cut(lie: Lie) -> None:
    text = "\x1b[31mred\n" + "x" * 10_000
    files, _ = lie(frame({"kind": "error", "name": "SandboxGone", "message": text, "advice": ""}))
    with pytest.raises(SandboxGone) as caught:
        files.examine("/x")
    assert caught.value.message.startswith("?[31mred?x")
    assert len(caught.value.message) == 2000


def test_no_more_bytes_than_were_asked_for(lie: Lie) -> None:
    files, _ = lie(frame({"kind": "done", "offset": 0, "at_end": True}, b"x" * 100))
    assert files.read_local("/x", "y", 0, 10).data == b"x" * 10


@pytest.mark.parametrize("answer", [b"", b"\0\0", frame({"kind": "alive"})])
def test_one_that_ends_each_time(answer: bytes) -> None:
    liars: list[Liar] = []

    def start() -> Helper:
        liars.append(Liar(answer))
        return liars[-1]  # type: ignore[return-value]

    with pytest.raises(TransferError, match="ended in the middle"):
        AccountFiles("liar", start, SystemClock()).examine("/x")
    assert len(liars) == 1


def test_one_that_says_a_byte_now_and_then_is_silent_too(lie: Lie, mocker: MockerFixture) -> None:
    mocker.patch.object(client, "SILENCE_SECONDS", 0.3)
    files, liar = lie(b"\0\0\0", hang=True)
    with pytest.raises(FilesUnavailable):
        files.take_snapshot("/x", 1.0, set())
    assert liar.killed


def test_a_fetch_can_be_stopped(lie: Lie) -> None:
    files, _ = lie(b"", hang=True)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(TransferError, match="was stopped"):
        files.fetch(Origin("files_api", SandboxAddress("http://a", "/")), "/x", "{}", job_id=1, cancel=stop)
    assert not files.busy
