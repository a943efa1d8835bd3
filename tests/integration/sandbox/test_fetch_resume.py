"""A fetch that was broken off goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import SandboxGone, TransferError
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, FetchReport, Progress, give_up
from airavata_mesos_plugin.sandbox.outputs.manifest import Manifest
from airavata_mesos_plugin.sandbox.paths import Root
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.support.tree_source import TREE, TreeSource, sha256
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent, Handler

EMPTY = Snapshot(taken_at=1.7e9)
MIB = 1024 * 1024
MANIFEST = ".airavata-manifest-1"
PART = ".big.airavata-part-1"


def fetch(fetcher: Fetcher, working: Path, origin: Origin | SandboxAddress = TREE) -> FetchReport:
    return fetcher.fetch(origin, working, EMPTY, job_id=1)


def broken_off(fetcher: Fetcher, source: TreeSource, working: Path, *, at: int, size: int = 4 * MIB) -> bytes:
    """A fetch of a large and of two small files that ended in the middle of the large one."""
    content = os.urandom(size)
    (source.root / "big").write_bytes(content)
    for name in ("one", "two"):
        (source.root / name).write_text(name)
    source.breaks = {"big": at}
    with pytest.raises(TransferError, match="broke"):
        fetch(fetcher, working)
    assert (working / "one").read_text() == "one"
    assert not (working / "big").exists()
    source.breaks = {}
    return content


def names(working: Path) -> set[str]:
    return {path.name for path in working.iterdir()}


def test_the_rest_of_a_file_and_nothing_else_comes(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    content = broken_off(fetcher, source, working, at=3 * MIB)
    assert names(working) == {"one", "two", PART, MANIFEST}
    source.asked.clear()
    report = fetch(fetcher, working)
    assert source.asked == {("big", 3 * MIB): 1}
    assert (report.files, report.bytes, report.present) == (1, MIB, 2)
    assert (working / "big").read_bytes() == content
    assert names(working) == {"one", "two", "big"}


def test_it_may_break_off_again(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    content = broken_off(fetcher, source, working, at=MIB)
    for at in (2 * MIB, 3 * MIB):
        source.breaks = {"big": at}
        with pytest.raises(TransferError):
            fetch(fetcher, working)
    source.breaks = {}
    assert fetch(fetcher, working).bytes == MIB
    assert (working / "big").read_bytes() == content


def test_a_source_that_cannot_go_on_starts_anew(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    source.resumable = False
    content = broken_off(fetcher, source, working, at=3 * MIB)
    source.asked.clear()
    fetch(fetcher, working)
    assert source.asked == {("big", 0): 1}
    assert (working / "big").read_bytes() == content
    assert names(working) == {"one", "two", "big"}


def test_what_changed_since_is_taken_anew(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    content = broken_off(fetcher, source, working, at=3 * MIB)
    (source.root / "one").write_text("uno, as it is now")
    os.utime(source.root / "two", (1e9, 1e9))
    (source.root / "big").write_bytes(content[::-1])
    os.utime(source.root / "big", (1e9, 1e9))
    source.asked.clear()
    fetch(fetcher, working)
    assert set(source.asked) == {("big", 0), ("one", 0), ("two", 0)}
    assert (working / "big").read_bytes() == content[::-1]
    assert (working / "one").read_text() == "uno, as it is now"
    assert (working / "two").stat().st_mtime == 1e9


def test_what_somebody_changed_here_is_taken_anew(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    content = broken_off(fetcher, source, working, at=3 * MIB)
    time = (working / "one").stat().st_mtime
    (working / "other").write_text("ENO")
    os.utime(working / "other", (time, time))
    (working / "other").rename(working / "one")  # same size and time
    with (working / "two").open("a") as file:
        file.write("more")
    (working / PART).rename(working / "moved")
    (working / PART).symlink_to("moved")
    source.asked.clear()
    fetch(fetcher, working)
    assert set(source.asked) == {("big", 0), ("one", 0), ("two", 0)}
    assert (working / "one").read_text() == "one"
    assert (working / "big").read_bytes() == content
    assert len((working / "moved").read_bytes()) == 3 * MIB, "nothing was written through the link"


@pytest.mark.parametrize(
    "other",
    [
        Origin("tree", SandboxAddress("http://nowhere", "/attempt-2")),
        Origin("tree", SandboxAddress("", ""), (("attempt", "2"),)),
    ],
)
def test_another_sandbox_is_another_fetch(
    fetcher: Fetcher, source: TreeSource, working: Path, other: Origin
) -> None:
    broken_off(fetcher, source, working, at=3 * MIB)
    source.asked.clear()
    fetch(fetcher, working, other)
    assert set(source.asked) == {("big", 0), ("one", 0), ("two", 0)}
    assert names(working) == {"one", "two", "big"}


def test_after_a_restart_of_the_host_nothing_is_believed(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    broken_off(fetcher, source, working, at=3 * MIB)
    head, _, rest = (working / MANIFEST).read_text().partition("\n")
    assert '"boot":"' in head
    before, _, after = head.partition('"boot":"')
    (working / MANIFEST).write_text(f'{before}"boot":"x{after}\n{rest}')
    source.asked.clear()
    fetch(fetcher, working)
    assert set(source.asked) == {("big", 0), ("one", 0), ("two", 0)}


@pytest.mark.parametrize("torn", [b'["file","tw', b"\xff\n", b'["file","two",1]\n', b"[" * 100_000 + b"\n"])
def test_a_torn_manifest_is_believed_as_far_as_it_goes(
    fetcher: Fetcher, source: TreeSource, working: Path, torn: bytes
) -> None:
    broken_off(fetcher, source, working, at=3 * MIB)
    lines = (working / MANIFEST).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"two"' not in line]
    (working / MANIFEST).write_bytes(b"".join(kept) + torn)
    source.asked.clear()
    source.breaks = {"two": 0}
    with pytest.raises(TransferError):
        fetch(fetcher, working)
    assert set(source.asked) == {("big", 3 * MIB), ("two", 0)}
    source.breaks = {}
    source.asked.clear()
    fetch(fetcher, working)
    assert set(source.asked) == {("two", 0)}, "what was written after the torn line is good"


@pytest.mark.parametrize("kind", ["link", "fifo", "empty"])
def test_a_manifest_that_is_not_ours_is_replaced(
    fetcher: Fetcher, source: TreeSource, working: Path, tmp_path: Path, kind: str
) -> None:
    (source.root / "one").write_text("one")
    target = tmp_path / "elsewhere"
    target.write_text("keep me")
    if kind == "link":
        (working / MANIFEST).symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(working / MANIFEST)
    else:
        (working / MANIFEST).touch()
    fetch(fetcher, working)
    assert names(working) == {"one"}
    assert target.read_text() == "keep me"


@pytest.mark.parametrize("broken_before", [False, True])
def test_two_fetches_of_one_job_do_not_meet(
    fetcher: Fetcher, source: TreeSource, working: Path, broken_before: bool
) -> None:
    if broken_before:
        broken_off(fetcher, source, working, at=3 * MIB)
    with Root(working) as root:
        other = Manifest(root, 1, TREE)
        with pytest.raises(TransferError, match="another fetch of the same job goes on"):
            fetch(fetcher, working)
        other.close()
    (source.root / "late").touch()
    assert fetch(fetcher, working).left_out == ()
    assert "late" in names(working)


def test_digests(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    broken_off(fetcher, source, working, at=3 * MIB)
    source.digests = {"big": sha256(source.root / "big"), "one": sha256(source.root / "one")}
    fetch(fetcher, working)
    (source.root / "one").write_text("two")
    (source.root / "big").write_bytes(os.urandom(2 * MIB))
    source.digests = {}
    fetch(fetcher, working)
    before = names(working)
    for name in ("one", "big"):
        source.digests = {name: "0" * 64}
        with pytest.raises(TransferError, match=f"{name} did not arrive as it was sent"):
            fetch(fetcher, working)
    assert names(working) - before == {MANIFEST}, "and no part file: there is nothing to go on with"
    source.digests = {name: sha256(source.root / name) for name in ("one", "big")}
    assert fetch(fetcher, working).files == 2, "what came without or with another digest comes anew"


def test_progress_counts_what_is_there(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    broken_off(fetcher, source, working, at=3 * MIB)
    told: list[Progress] = []
    fetcher.fetch(TREE, working, EMPTY, job_id=1, progress=told.append)
    assert told[-1] == Progress(3, 3, 4 * MIB + 6, 4 * MIB + 6)
    assert min(progress.bytes for progress in told) >= 3 * MIB + 6


def test_giving_up_leaves_what_arrived_and_nothing_else(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    broken_off(fetcher, source, working, at=3 * MIB)
    (working / ".x.airavata-part-2").write_text("another job is writing this")
    assert give_up(working, 1) == (2, 6)
    assert names(working) == {"one", "two", ".x.airavata-part-2"}
    assert give_up(working, 1) == (0, 0)


def test_a_sandbox_that_went_away_in_the_middle(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    broken_off(fetcher, source, working, at=3 * MIB)
    source.root.rename(source.root.with_name("collected"))
    with pytest.raises(SandboxGone):
        fetch(fetcher, working)
    assert give_up(working, 1) == (2, 6)
    assert names(working) == {"one", "two"}


def cut(handler: Handler, size: int) -> bool:
    """Send a file of that many bytes up to its last 20,000."""
    data = (handler.server.agent.root / "big").read_bytes()[:-20_000]
    return handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + data)


def test_a_small_rest_is_read_from_an_agent(agent: Agent, sandbox: Path, working: Path) -> None:
    size = 5 * MIB
    content = os.urandom(size)
    (sandbox / "big").write_bytes(content)
    fetcher = Fetcher(FetchSettings(connections=1), SystemClock())
    agent.faults["download", "big"] = lambda handler: cut(handler, size)
    with pytest.raises(TransferError, match="20000 of"):
        fetch(fetcher, working, agent.address)
    report = fetch(fetcher, working, agent.address)
    fetcher.close()
    assert report.bytes == 20_000
    assert agent.calls["download", "big"] == 1
    assert (working / "big").read_bytes() == content


def test_a_large_rest_is_downloaded_anew(agent: Agent, sandbox: Path, working: Path) -> None:
    content = os.urandom(2 * MIB)
    (sandbox / "big").write_bytes(content)
    fetcher = Fetcher(FetchSettings(connections=1), SystemClock())

    def half(handler: Handler) -> bool:
        del agent.faults["download", "big"]
        return handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content[:MIB])

    agent.faults["download", "big"] = half
    with pytest.raises(TransferError):
        fetch(fetcher, working, agent.address)
    assert (working / PART).stat().st_size == MIB
    assert fetch(fetcher, working, agent.address).bytes == 2 * MIB
    fetcher.close()
    assert (working / "big").read_bytes() == content
    assert names(working) == {"big"}


PROGRAM = """
import sys
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.schedulers.base import SandboxAddress
Fetcher(FetchSettings(connections=2), SystemClock()).fetch(
    SandboxAddress(sys.argv[1], sys.argv[2]), sys.argv[3], Snapshot(taken_at=1.7e9), job_id=1
)
"""


def test_a_killed_process(agent: Agent, sandbox: Path, working: Path) -> None:
    """What was noted before is not fetched again; what was written only in part is."""
    for number in range(600):
        (sandbox / f"f{number}").write_text(str(number))
    (sandbox / "last").write_text("")  # the smallest is the last
    reached = threading.Event()

    def hang(handler: Handler) -> bool:
        reached.set()
        return handler.hang()

    agent.faults["download", "last"] = hang
    arguments = [sys.executable, "-c", PROGRAM, agent.address.agent_url, agent.address.path, str(working)]
    process = subprocess.Popen(arguments)
    try:
        assert reached.wait(60)
        wait_for(lambda: len(names(working)), lambda count: count == 601, "all other files")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    (working / ".f7.airavata-part-1").write_text("to")
    del agent.faults["download", "last"]
    agent.calls.clear()
    fetcher = Fetcher(FetchSettings(connections=2), SystemClock())
    report = fetch(fetcher, working, agent.address)
    fetcher.close()
    assert report.present >= 512, "all but what the last lines were about"
    assert sum(count for (call, _), count in agent.calls.items() if call == "download") == report.files
    assert names(working) == {f"f{number}" for number in range(600)} | {"last"}
    assert all((working / f"f{number}").read_text() == str(number) for number in range(600))
