"""Fetching from a well-behaved agent."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import SandboxGone, TransferError, Unreachable
from airavata_mesos_plugin.sandbox.inputs.archive import stream
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot, take
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, Progress
from airavata_mesos_plugin.schedulers.base import SandboxAddress

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent, Handler

EMPTY = Snapshot(taken_at=1.7e9)
LONG_AGO = 1_500_000_000


@pytest.fixture
def fetcher(settings: FetchSettings) -> Iterator[Fetcher]:
    fetcher = Fetcher(settings, SystemClock())
    yield fetcher
    fetcher.close()


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_everything_new_arrives_with_mode_and_time(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    (sandbox / "sub" / "deep").mkdir(parents=True)
    (sandbox / "hollow").mkdir()
    (sandbox / "sub" / "deep" / "a.txt").write_bytes(b"deep")
    (sandbox / "empty").write_bytes(b"")
    (sandbox / "tool").write_bytes(b"#!/bin/sh\n")
    (sandbox / "tool").chmod(0o4751)
    os.utime(sandbox / "tool", (LONG_AGO, LONG_AGO))
    (sandbox / "empty").chmod(0o003)
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=7)
    assert tree(working) == {"sub/deep/a.txt": b"deep", "empty": b"", "tool": b"#!/bin/sh\n"}
    assert (working / "hollow").is_dir()
    assert (working / "tool").stat().st_mode & 0o7777 == 0o751
    assert (working / "tool").stat().st_mtime == LONG_AGO
    assert (working / "empty").stat().st_mode & 0o7777 == 0o403
    assert (report.files, report.bytes, report.left_out, report.result) == (3, 14, (), None)


def unpack(snapshot: Snapshot, working: Path, sandbox: Path) -> None:
    """What stage-in does with the archive."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream(working, snapshot)))) as archive:
        # Python 3.11.2 does not know filters yet, later ones ask for one.
        archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        archive.extractall(sandbox)


def test_only_new_and_changed_files_are_fetched(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    contents = {"same": b"same", "grown": b"old", "touched": b"old", "young": b"old", "rewritten": b"old"}
    for name, content in contents.items():
        (working / name).write_bytes(content)
        os.utime(working / name, (LONG_AGO, LONG_AGO))
    for name in ("young", "rewritten"):
        os.utime(working / name, (EMPTY.taken_at, EMPTY.taken_at))
    snapshot = take(working, EMPTY.taken_at)
    unpack(snapshot, working, sandbox)
    (sandbox / "rewritten").write_bytes(b"new")  # in the very second in which its job was submitted
    os.utime(sandbox / "rewritten", (EMPTY.taken_at, EMPTY.taken_at))
    (sandbox / "grown").write_bytes(b"longer")
    os.utime(sandbox / "grown", (LONG_AGO, LONG_AGO))
    (sandbox / "touched").write_bytes(b"new")
    (sandbox / "new").write_bytes(b"new")
    report = fetcher.fetch(agent.address, working, snapshot, job_id=1)
    fetched = {name for call, name in agent.calls if call == "download"}
    assert fetched == {"grown", "touched", "rewritten", "new"}
    assert report.files == 4
    assert tree(working) == {
        "same": b"same",
        "grown": b"longer",
        "touched": b"new",
        "young": b"old",
        "rewritten": b"new",
        "new": b"new",
    }


def test_thermos_and_own_files_stay_behind_but_the_result_is_read(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    (sandbox / ".logs" / "run" / "0").mkdir(parents=True)
    (sandbox / ".logs" / "run" / "0" / "stdout").write_bytes(b"log")
    (sandbox / ".thermos_profile").write_bytes(b"export A=1")
    (sandbox / ".airavata-mesos").mkdir()
    (sandbox / ".airavata-mesos" / "result").write_bytes(
        b"exit_code=3\ntimed_out=0\nstarted_at=10.5\nended_at=12.25\n"
    )
    (sandbox / ".x.airavata-part-3").write_bytes(b"half")
    (sandbox / "deep").mkdir()
    (sandbox / "deep" / ".logs").write_bytes(b"the user's own")
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert tree(working) == {"deep/.logs": b"the user's own"}
    assert [path.name for path in working.iterdir()] == ["deep"]
    assert report.result is not None
    assert (report.result.exit_code, report.result.started_at, report.result.signal) == (3, 10.5, None)


@pytest.mark.parametrize(
    "name",
    [
        b"with blank",
        b"new\nline",
        b"quo'te\"s",
        b"percent%2F&path=x?#",
        b"bytes \xff\xfe",
        "grüße 🙂".encode(),
        b"back\\slash",
        b"tab\tand\x01control",
        b"l" * 255,
        b"-rf",
    ],
)
def test_any_name_that_a_file_can_have(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path, name: bytes
) -> None:
    (sandbox / os.fsdecode(name)).write_bytes(b"content")
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert [os.fsencode(path.name) for path in working.iterdir()] == [name]
    assert (report.files, report.left_out) == (1, ())


def test_ten_thousand_small_files(agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path) -> None:
    for number in range(10_000):
        (sandbox / f"f{number}").write_bytes(b"%d" % number)
    told: list[Progress] = []
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1, progress=told.append)
    assert report.files == 10_000
    assert all((working / f"f{number}").read_bytes() == b"%d" % number for number in range(10_000))
    assert told[-1] == Progress(10_000, 10_000, report.bytes, report.bytes)
    assert agent.connections <= 5  # kept alive: not one for each file


def test_large_and_small_files_with_a_single_connection(agent: Agent, sandbox: Path, working: Path) -> None:
    content = os.urandom(3 * 1024 * 1024 + 17)
    (sandbox / "large").write_bytes(content)
    (sandbox / "small").write_bytes(b"small")
    fetcher = Fetcher(FetchSettings(connections=1), SystemClock())
    fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    fetcher.close()
    assert tree(working) == {"large": content, "small": b"small"}
    assert agent.connections == 1


def test_a_repeat_brings_the_present_state_and_clears_part_files(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    (sandbox / "out").write_bytes(b"first")
    (sandbox / "sub").mkdir()
    fetcher.fetch(agent.address, working, EMPTY, job_id=5)
    (sandbox / "out").write_bytes(b"second, longer")
    (working / ".airavata-manifest-5").write_bytes(b"torn")  # the process was killed
    (working / "sub" / ".out.airavata-part-5").write_bytes(b"torn")
    (working / ".out.airavata-part-6").write_bytes(b"another job is writing this")
    fetcher.fetch(agent.address, working, EMPTY, job_id=5)
    assert tree(working) == {
        "out": b"second, longer",
        ".out.airavata-part-6": b"another job is writing this",
    }


def test_links_that_were_sent_are_not_brought_back_as_copies(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    for root in (working, sandbox):
        (root / "data").mkdir()
        (root / "data" / "a").write_bytes(b"a")
        os.utime(root / "data" / "a", (LONG_AGO, LONG_AGO))
        (root / "current").symlink_to("data")
        (root / "alias").symlink_to("data/a")
        (root / "alias2").symlink_to("alias")
        (root / "replaced").symlink_to("data/a")
    snapshot = take(working, EMPTY.taken_at)
    (sandbox / "data" / "b").write_bytes(b"new")
    (sandbox / "replaced").unlink()
    (sandbox / "replaced").write_bytes(b"now a file")
    report = fetcher.fetch(agent.address, working, snapshot, job_id=1)
    assert report.left_out == ()
    assert (working / "current").is_symlink()
    assert (working / "alias").is_symlink()
    assert (working / "alias2").is_symlink()
    assert (working / "data" / "b").read_bytes() == b"new"
    assert not (working / "replaced").is_symlink()
    assert (working / "replaced").read_bytes() == b"now a file"
    assert (working / "data" / "a").read_bytes() == b"a"


def test_a_link_to_a_directory_above_ends(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    (sandbox / "a" / "b").mkdir(parents=True)
    (sandbox / "a" / "b" / "file").write_bytes(b"x")
    (sandbox / "a" / "b" / "up").symlink_to("..")
    (sandbox / "a" / "here").symlink_to(".")
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert (working / "a" / "b" / "file").read_bytes() == b"x"
    assert dict(report.left_out)["a/here"] == "a link back to a"
    assert len(agent.calls) < 60


def test_nested_directories_of_the_same_name_are_no_loop(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    deep = sandbox / "x" / "x" / "x" / "x" / "x"
    deep.mkdir(parents=True)
    for level in (deep, *deep.parents):
        if level == sandbox.parent:
            break
        os.utime(level, (LONG_AGO, LONG_AGO))
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert (working / "x" / "x" / "x" / "x" / "x").is_dir()
    assert report.left_out == ()


def test_a_collected_sandbox(agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path) -> None:
    sandbox.rmdir()
    with pytest.raises(SandboxGone, match="no longer has the sandbox"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    sandbox.mkdir()


def test_an_agent_that_is_not_there(fetcher: Fetcher, working: Path) -> None:
    with pytest.raises(
        Unreachable, match=r"cannot connect to the agent at http://127\.0\.0\.1:1: Connection refused"
    ):
        fetcher.fetch(SandboxAddress("http://127.0.0.1:1", "/x"), working, EMPTY, job_id=1)


def test_a_working_directory_that_is_not_there(agent: Agent, fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match=r"cannot open the working directory .*missing"):
        fetcher.fetch(agent.address, tmp_path / "missing", EMPTY, job_id=1)


def test_cancel_ends_a_silent_transfer_soon(agent: Agent, sandbox: Path, working: Path) -> None:
    (sandbox / "out").write_bytes(b"x")
    cancel = threading.Event()

    def silence(handler: Handler) -> bool:
        cancel.set()
        return handler.hang()

    agent.faults["download", "out"] = silence
    fetcher = Fetcher(FetchSettings(read_timeout_seconds=300), SystemClock())
    with pytest.raises(TransferError, match="stopped before all outputs"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1, cancel=cancel)
    fetcher.close()
    assert list(working.iterdir()) == []


def test_cancel_ends_a_silent_listing_soon(agent: Agent, working: Path) -> None:
    cancel = threading.Event()

    def silence(handler: Handler) -> bool:
        cancel.set()
        return handler.hang()

    agent.faults["browse", ""] = silence
    fetcher = Fetcher(FetchSettings(read_timeout_seconds=300), SystemClock())
    with pytest.raises(TransferError, match="stopped before all outputs"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1, cancel=cancel)
    fetcher.close()


def test_an_interrupt_ends_a_silent_transfer_soon(agent: Agent, sandbox: Path, working: Path) -> None:
    (sandbox / "out").write_bytes(b"x")
    agent.faults["download", "out"] = lambda handler: handler.hang()

    def interrupt(_progress: Progress) -> None:
        raise KeyboardInterrupt

    fetcher = Fetcher(FetchSettings(read_timeout_seconds=300), SystemClock())
    with pytest.raises(KeyboardInterrupt):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1, progress=interrupt)
    fetcher.close()
    assert list(working.iterdir()) == []
