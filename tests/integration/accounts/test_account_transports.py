"""Outputs of other accounts by SFTP and push: credentials stay with the daemon, files are the account's."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import ProtocolError, SandboxGone, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.layout import pushed_archive
from airavata_mesos_plugin.sandbox.origins import PUSH, SFTP, push_details
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.sandbox.user_files import UserFiles
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from airavata_mesos_plugin.service.accounts import FilesOfAccounts
from tests.integration.accounts.conftest import Person, helpers
from tests.support.tree_source import TreeSource
from tests.support.waiting import wait_for

NOTHING = Snapshot(0).to_json()
BY_SFTP = Origin(SFTP, SandboxAddress("http://nowhere", "/box"))
NAME = pushed_archive(12, 1)


@pytest.fixture
def box(tmp_path: Path) -> TreeSource:
    """A sandbox that only root can read, as only the daemon can log in to agents."""
    path = tmp_path / "box"
    path.mkdir(mode=0o700)
    return TreeSource(path)


@pytest.fixture
def files(people: tuple[Person, Person], alice: Person, box: TreeSource) -> Iterator[UserFiles]:
    assert people
    settings = FetchSettings(connections=3)
    client = FilesClient(settings)
    files = FilesOfAccounts(settings, SystemClock(), client, {SFTP: box.open})
    yield files(alice.uid)
    files.close()
    client.close()
    wait_for(helpers, lambda left: not left, "the end of all helpers")


@pytest.fixture
def work(alice: Person, commons: Path) -> Path:
    return alice.makes(commons / "work", mode=0o700)


def test_a_fetch_through_the_daemon(files: UserFiles, box: TreeSource, work: Path, alice: Person) -> None:
    large = os.urandom(3_000_000)
    (box.root / "large").write_bytes(large)
    (box.root / "deep").mkdir()
    for number in range(100):
        (box.root / "deep" / f"f{number}").write_text(str(number))
    (box.root / os.fsdecode(b"odd\xff")).write_text("odd")
    (box.root / "link").symlink_to("large")
    (box.root / ".airavata-mesos").mkdir()
    (box.root / ".airavata-mesos/result").write_text("exit_code=3\nstarted_at=1\nended_at=2\n")
    report = files.fetch(BY_SFTP, str(work), NOTHING, job_id=1)
    assert report.left_out == ()
    assert report.result is not None
    assert report.result.exit_code == 3
    assert (work / "large").read_bytes() == large
    assert sorted(path.read_text() for path in (work / "deep").iterdir()) == sorted(map(str, range(100)))
    assert (work / os.fsdecode(b"odd\xff")).read_text() == "odd"
    assert (work / "link").readlink() == Path("large")
    assert {path.stat().st_uid for path in work.rglob("*")} == {alice.uid}


def test_a_fetch_that_breaks_goes_on(files: UserFiles, box: TreeSource, work: Path) -> None:
    large = os.urandom(2_000_000)
    (box.root / "large").write_bytes(large)
    for number in range(50):
        (box.root / f"f{number}").write_text(str(number))
    box.breaks["large"] = 1_000_000
    with pytest.raises(TransferError):
        files.fetch(BY_SFTP, str(work), NOTHING, job_id=1)
    box.breaks.clear()
    files.fetch(BY_SFTP, str(work), NOTHING, job_id=1)
    assert (work / "large").read_bytes() == large
    assert any(name == "large" and offset for name, offset in box.asked)


def test_what_the_source_says_reaches_the_daemon(files: UserFiles, box: TreeSource, work: Path) -> None:
    box.root.rmdir()
    with pytest.raises(SandboxGone):
        files.fetch(BY_SFTP, str(work), NOTHING, job_id=1)


def test_a_fetch_that_is_stopped(files: UserFiles, box: TreeSource, work: Path) -> None:
    (box.root / "file").write_text("x")
    stop = threading.Event()
    stop.set()
    with pytest.raises(TransferError, match="stopped"):
        files.fetch(BY_SFTP, str(work), NOTHING, job_id=1, cancel=stop)


def archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        info = tarfile.TarInfo("output")
        info.size = 300_000
        tar.addfile(info, io.BytesIO(bytes(300_000)))
    return made.getvalue()


def pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 65536):
        yield content[start : start + 65536]


def test_what_an_agent_sends_belongs_to_the_account(files: UserFiles, work: Path, alice: Person) -> None:
    with pytest.raises(ProtocolError):
        files.receive(str(work), NAME, pieces(archive()[:100_000]))
    assert files.receive(str(work), NAME, pieces(archive())) == ""
    origin = Origin(PUSH, SandboxAddress("", ""), push_details(str(work), 12, 1))
    files.fetch(origin, str(work), NOTHING, job_id=12)
    assert (work / "output").read_bytes() == bytes(300_000)
    assert {path.stat().st_uid for path in work.rglob("*")} == {alice.uid}
    files.discard(str(work), [NAME])
    assert [path.name for path in work.iterdir()] == ["output"]


def test_an_agent_that_breaks_off(files: UserFiles, work: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield archive()[:1000]
        raise TransferError("the agent broke off")

    with pytest.raises(TransferError, match="broke off"):
        files.receive(str(work), NAME, broken())
    control = work / ".airavata-mesos"
    wait_for(lambda: list(control.glob("*")) if control.exists() else [], [].__eq__, "no part left")


def test_a_directory_that_is_not_the_accounts(files: UserFiles, tmp_path: Path) -> None:
    with pytest.raises((TransferError, UnsafePath, PermissionError)):
        files.receive(str(tmp_path), NAME, pieces(archive()))
    assert not (tmp_path / ".airavata-mesos").exists()
