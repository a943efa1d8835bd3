"""Sandboxes through SFTP, from Debian's OpenSSH server."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import ManualClock, SystemClock
from airavata_mesos_plugin.config import FetchSettings, SftpSettings
from airavata_mesos_plugin.errors import (
    AuthenticationFailed,
    ConfigurationError,
    NotFound,
    SandboxGone,
    TransferError,
    Unreachable,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.origins import SFTP, sftp_details
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.sftp.login import Target
from airavata_mesos_plugin.sandbox.sftp.pool import SftpPool
from airavata_mesos_plugin.sandbox.sftp.source import SftpSource, SftpSources
from airavata_mesos_plugin.sandbox.source import Entry, Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.contract.ssh_host import free_port, make_key
from tests.support.ssh_agents import agents_sshd


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpSettings]:
    with agents_sshd(tmp_path_factory.mktemp("sshd")) as given:
        yield SftpSettings.model_validate(given)


@pytest.fixture
def pool(settings: SftpSettings) -> Iterator[SftpPool]:
    pool = SftpPool(settings, SystemClock(), 60.0)
    yield pool
    pool.close()


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box"
    path.mkdir()
    return path


def source(pool: SftpPool, box: Path) -> SftpSource:
    return SftpSource(pool, pool.target("127.0.0.1", "nobody"), str(box))


def listed(found: list[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in found}


def entry(name: str, size: int = 0) -> Entry:
    return Entry(name, "-", size, 0, 0o644, 1)


def content(given: SftpSource, name: str, offset: int | None = None) -> bytes:
    with given.transfers(Abort(), 4) as transfers:
        if offset is not None:
            return b"".join(bytes(piece) for piece in transfers.rest(entry(name), offset).chunks())
        for _, body in transfers.each([entry(name)]):
            if isinstance(body, Exception):
                raise body
            return b"".join(bytes(piece) for piece in body.chunks())
    raise AssertionError(name)


def test_a_listing_is_exact(pool: SftpPool, box: Path) -> None:
    (box / "file").write_bytes(b"x" * 1234)
    (box / "file").chmod(0o4750)
    os.utime(box / "file", (1_500_000_000, 1_500_000_000))
    (box / "directory").mkdir(mode=0o705)
    (box / "link").symlink_to("file")
    (box / "broken link").symlink_to("/no/such/thing")
    os.mkfifo(box / "fifo")
    odd = os.fsdecode(b"odd\xff\n name")
    (box / odd).touch()
    found = listed(source(pool, box).entries(""))
    assert found.keys() == {"file", "directory", "link", "broken link", "fifo", odd}
    assert (found["file"].kind, found["file"].size, found["file"].mode) == ("-", 1234, 0o750)
    assert found["file"].mtime == 1_500_000_000
    assert (found["directory"].kind, found["directory"].mode) == ("d", 0o705)
    assert (found["link"].kind, found["link"].target) == ("l", "file")
    assert found["broken link"].target == "/no/such/thing"
    assert found["fifo"].kind == "p"


def test_contents_come_whole_and_from_any_byte(pool: SftpPool, box: Path) -> None:
    large = os.urandom(9_000_001)
    (box / "large").write_bytes(large)
    (box / "empty").touch()
    given = source(pool, box)
    assert content(given, "large") == large
    assert content(given, "empty") == b""
    assert content(given, "large", 8_999_000) == large[8_999_000:]
    assert content(given, "large", 10_000_000) == b""
    assert given.resumes(9_000_001, 1)
    assert given.read("large", 100) == large[:100]


def test_many_files_in_one_go_and_some_that_are_not_wanted(pool: SftpPool, box: Path) -> None:
    for number in range(150):
        (box / f"f{number}").write_bytes(b"%d" % number * 5000)
    with source(pool, box).transfers(Abort(), 4) as transfers:
        wanted = [entry(f"f{number}") for number in range(150)]
        wanted.insert(70, entry("gone"))
        wanted.insert(90, entry("../box/f1"))
        read, missing = 0, []
        for one, body in transfers.each(wanted):
            if isinstance(body, Exception):
                missing.append((one.name, type(body)))
            elif read % 3:  # every third is dropped unread
                assert b"".join(bytes(p) for p in body.chunks()) == (box / one.name).read_bytes()
            read += 1
    assert missing == [("gone", NotFound), ("../box/f1", UnsafePath)]
    assert read == 152
    with source(pool, box).transfers(Abort(), 4) as transfers:
        for _ in transfers.each(wanted):
            break  # the rest was asked for already
        assert [bytes(p) for p in transfers.rest(entry("f1"), 4999).chunks()] == [b"1"]


def test_links_lead_nowhere(pool: SftpPool, box: Path) -> None:
    secret = box.parent / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (box / "file").symlink_to(secret / "key")
    (box / "directory").symlink_to(secret)
    (box / "inside").symlink_to("real")
    (box / "real").write_text("real")
    given = source(pool, box)
    for name in ("file", "directory/key", "inside"):
        with pytest.raises(UnsafePath):
            content(given, name)
    with pytest.raises(UnsafePath):
        given.entries("directory")
    with pytest.raises(UnsafePath):
        given.entries("../secret")
    with pytest.raises(UnsafePath):
        given.read("directory/key", 100)


def test_what_is_no_file_is_not_read(pool: SftpPool, box: Path) -> None:
    (box / "directory").mkdir()
    with pytest.raises(UnsafePath):
        content(source(pool, box), "directory")


def test_a_sandbox_that_is_gone(pool: SftpPool, box: Path) -> None:
    shutil.rmtree(box)
    with pytest.raises(SandboxGone):
        source(pool, box).entries("")


def test_a_whole_fetch(settings: SftpSettings, box: Path, tmp_path: Path) -> None:
    run = tmp_path / "work_dir/slaves/S-1/frameworks/F-1/executors/E-1/runs"
    (run / "C-1").mkdir(parents=True)
    (run / "latest").symlink_to(run / "C-1")
    box.rename(run / "C-1/sandbox")
    sandbox = run / "C-1/sandbox"
    (sandbox / "new").mkdir()
    (sandbox / "new/file").write_text("content")
    os.utime(sandbox / "new/file", (1_500_000_000, 1_500_000_000))
    (sandbox / ".airavata-mesos").mkdir()
    (sandbox / ".airavata-mesos/result").write_text("exit_code=4\nstarted_at=1\nended_at=2\n")
    for number in range(40):
        (sandbox / f"f{number}").write_text(str(number))
    (sandbox / "large").write_bytes(os.urandom(3_000_000))
    working = tmp_path / "working"
    working.mkdir()
    client = FilesClient(FetchSettings())
    sources = SftpSources(
        {"c": settings.model_copy(update={"work_dir": str(tmp_path / "work_dir")})},
        SystemClock(),
        client,
        60.0,
    )
    fetcher = Fetcher(FetchSettings(), SystemClock(), client, {SFTP: sources.open})
    address = SandboxAddress("http://127.0.0.1:1", "/frameworks/F-1/executors/E-1/runs/latest/sandbox")
    origin = Origin(SFTP, address, sftp_details("c", "S-1", "nobody"))
    report = fetcher.fetch(origin, working, Snapshot(0), job_id=1)
    assert report.left_out == ()
    assert report.files == 42
    assert report.result is not None
    assert report.result.exit_code == 4
    assert (working / "new/file").read_text() == "content"
    assert (working / "new/file").stat().st_mtime == 1_500_000_000
    assert (working / "large").read_bytes() == (sandbox / "large").read_bytes()
    (run / "latest").unlink()
    (run / "latest").symlink_to("/not/seen/in/a/chroot")
    with sources.open(origin) as found:
        assert "large" in listed(found.entries(""))
    shutil.rmtree(run)
    with pytest.raises(SandboxGone):
        fetcher.fetch(origin, working, Snapshot(0), job_id=1)
    sources.close()
    client.close()


def test_unknown_and_changed_host_keys_are_refused(settings: SftpSettings, tmp_path: Path) -> None:
    target = Target(settings.user or "", "127.0.0.1", settings.port)
    known = tmp_path / "known_hosts"
    known.touch()
    changed = settings.model_copy(update={"known_hosts": known})
    with (
        pytest.raises(AuthenticationFailed, match=r"is not in .*shows ssh-ed25519 SHA256:") as caught,
        SftpPool(changed, SystemClock(), 60.0).session(target),
    ):
        pass
    assert "ssh-keyscan -p" in caught.value.advice
    assert known.read_text() == ""
    make_key(tmp_path / "other")
    kind, key = (tmp_path / "other.pub").read_text().split()[:2]
    known.write_text(f"[127.0.0.1]:{settings.port} {kind} {key}\n")
    with (
        pytest.raises(AuthenticationFailed, match="another one"),
        SftpPool(changed, SystemClock(), 60.0).session(target),
    ):
        pass


def test_what_is_wrong_with_our_own_side(settings: SftpSettings, tmp_path: Path) -> None:
    target = Target(settings.user or "", "127.0.0.1", settings.port)
    make_key(tmp_path / "other")
    for changes, error, words in (
        ({"key": tmp_path / "other"}, AuthenticationFailed, "does not accept the key"),
        ({"key": tmp_path / "missing"}, ConfigurationError, "cannot read the private key"),
        ({"known_hosts": tmp_path / "missing"}, ConfigurationError, "cannot read the host keys"),
    ):
        pool = SftpPool(settings.model_copy(update=changes), SystemClock(), 60.0)
        with pytest.raises(error, match=words), pool.session(target):
            pass
    elsewhere = Target(target.user, target.host, free_port())
    with pytest.raises(Unreachable), SftpPool(settings, SystemClock(), 60.0).session(elsewhere):
        pass


def test_connections_are_kept_and_closed_when_they_are_idle(settings: SftpSettings, box: Path) -> None:
    clock = ManualClock()
    pool = SftpPool(settings, clock, 60.0)
    given = source(pool, box)
    given.entries("")
    with pool.session(pool.target("127.0.0.1", "nobody")) as session:
        first = session
    with pool.session(pool.target("127.0.0.1", "nobody")) as session:
        assert session is first
    assert pool.idle == 1
    clock.advance(settings.idle_seconds)
    assert pool.sweep() is None
    assert pool.idle == 0
    assert not first.connection.alive
    given.entries("")
    pool.close()
    assert pool.idle == 0


def test_no_more_connections_than_allowed(settings: SftpSettings, box: Path) -> None:
    pool = SftpPool(settings.model_copy(update={"connections": 1}), SystemClock(), 60.0)
    target = pool.target("127.0.0.1", "nobody")
    abort = Abort()
    with pool.session(target):
        waiting = threading.Thread(
            target=lambda: errors.append(_error(lambda: source(pool, box).entries("", abort)))
        )
        errors: list[BaseException | None] = []
        waiting.start()
        abort.abort()
        waiting.join()
    assert isinstance(errors[0], TransferError)
    assert source(pool, box).entries("") == []
    pool.close()


def test_long_transfers_leave_a_connection_for_others(settings: SftpSettings, box: Path) -> None:
    pool = SftpPool(settings.model_copy(update={"connections": 2}), SystemClock(), 60.0)
    target = pool.target("127.0.0.1", "nobody")
    abort = Abort()
    errors: list[BaseException | None] = []

    def wait_for_a_long_one() -> None:
        with pool.session(target, abort, long=True):
            raise AssertionError("two connections are taken for long")

    with pool.session(target, long=True):
        waiting = threading.Thread(target=lambda: errors.append(_error(wait_for_a_long_one)))
        waiting.start()
        assert source(pool, box).entries("") == []
        abort.abort()
        waiting.join()
    assert isinstance(errors[0], TransferError)
    pool.close()


def _error(call: object) -> BaseException | None:
    assert callable(call)
    try:
        call()
    except BaseException as error:
        return error
    return None


def test_a_transfer_that_is_aborted(pool: SftpPool, box: Path) -> None:
    with (box / "large").open("wb") as file:
        file.truncate(200_000_000)
    abort = Abort()

    def begin() -> None:
        with source(pool, box).transfers(abort, 1) as transfers:
            for _, body in transfers.each([entry("large")]):
                assert not isinstance(body, Exception)
                for number, _ in enumerate(body.chunks()):
                    if number == 3:
                        abort.abort()

    with pytest.raises(TransferError):
        begin()
    assert pool.idle == 0
    (box / "large").unlink()
    assert source(pool, box).entries("") == []


def test_inputs_are_written_once_they_are_wanted(pool: SftpPool, box: Path) -> None:
    given = source(pool, box)
    assert given.wanted() is None
    control = box / ".airavata-mesos"
    control.mkdir()
    assert given.wanted() is None
    (control / "inputs.wanted").touch()
    assert given.wanted() == 0
    content = os.urandom(5_000_000)

    def broken() -> Iterator[bytes]:
        yield content[:2_000_000]
        raise TransferError("a hole in the road")

    with pytest.raises(TransferError, match="hole"):
        given.deliver(0, broken())
    start = given.wanted()
    assert start is not None
    assert start <= 2_000_000
    given.deliver(start, iter([content[start:4_500_000], content[4_500_000:]]))
    assert (control / "inputs.tar").read_bytes() == content
    assert (control / "inputs.here").exists()
    assert given.wanted() is None
    assert not given.begun()
    (control / "started").touch()
    assert given.begun()


def test_inputs_are_not_written_through_links(pool: SftpPool, box: Path, tmp_path: Path) -> None:
    given = source(pool, box)
    control = box / ".airavata-mesos"
    control.mkdir()
    (control / "inputs.wanted").touch()
    victim = tmp_path / "victim"
    (control / "inputs.tar").symlink_to(victim)
    with pytest.raises(UnsafePath):
        given.deliver(0, iter([b"x"]))
    assert not victim.exists()
    (control / "inputs.tar").unlink()
    (control / "inputs.refused").symlink_to(victim)
    with pytest.raises(UnsafePath):
        given.refuse("changed")
    assert not victim.exists()
    (control / "inputs.refused").unlink()
    given.refuse("the input x was changed")
    assert (control / "inputs.refused").read_text() == "stage_in: the input x was changed\n"
    control.rename(box / "other")
    control.symlink_to("other")
    with pytest.raises(UnsafePath):
        given.deliver(0, iter([b"x"]))
