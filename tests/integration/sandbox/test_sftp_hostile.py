"""SFTP servers that lie: nothing hangs, nothing grows, each ends in an error that says what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import SftpSettings
from airavata_mesos_plugin.errors import AiravataMesosError, ProtocolError, Refused, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.sftp import source as sftp_source
from airavata_mesos_plugin.sandbox.sftp.pool import SftpPool
from airavata_mesos_plugin.sandbox.sftp.source import SftpSource
from airavata_mesos_plugin.sandbox.sftp.wire import Kind, Reader, Status, text, word
from airavata_mesos_plugin.sandbox.source import Entry
from tests.support.hostile_sftp import (
    LINK,
    REGULAR,
    HostileSftp,
    attributes,
    data,
    hostile_sftp,
    names,
    status,
)

Start = Callable[..., SftpSource]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    opened: list[tuple[AbstractContextManager[SftpSettings], SftpPool]] = []

    def begin(server: HostileSftp, silence: float = 60.0) -> SftpSource:
        context = hostile_sftp(server, tmp_path / f"server{len(opened)}")
        settings = context.__enter__()
        pool = SftpPool(settings, SystemClock(), silence)
        opened.append((context, pool))
        return SftpSource(pool, pool.target("127.0.0.1", "agent"), "/box")

    yield begin
    for context, pool in opened:
        pool.close()
        context.__exit__(None, None, None)


def fetch(source: SftpSource, name: str = "a") -> bytes:
    with source.transfers(Abort(), 1) as transfers:
        for _, body in transfers.each([Entry(name, "-", 10, 0, 0o644, 1)]):
            if isinstance(body, AiravataMesosError):
                raise body
            return b"".join(bytes(piece) for piece in body.chunks())
    raise AssertionError


def test_an_honest_server(start: Start) -> None:
    source = start(HostileSftp(1_000_000))
    assert [entry.name for entry in source.entries("")] == ["a"]
    assert fetch(source) == bytes(1_000_000)


def test_a_server_that_gives_less_than_was_asked_for(start: Start) -> None:
    server = HostileSftp(300_000)

    def some(number: int, reader: object) -> list[bytes]:
        (answer,) = server._read(number, reader)  # type: ignore[arg-type]
        return [data(number, bytes(min(len(answer) - 9, 7000)))]

    server.answers[Kind.READ] = some
    assert fetch(start(server)) == bytes(300_000)


def test_a_file_that_is_shorter_than_it_says(start: Start) -> None:
    server = HostileSftp()
    server.answers[Kind.FSTAT] = lambda number, _: [
        bytes([Kind.ATTRS]) + word(number) + attributes(REGULAR, 10**15)
    ]
    with pytest.raises(TransferError, match="bytes early"):
        fetch(start(server))


@pytest.mark.parametrize(
    ("kind", "packets"),
    [
        (Kind.READ, lambda number: [data(number, b"")]),
        (Kind.READ, lambda number: [data(number, bytes(400_000))]),
        (Kind.READ, lambda number: [data(number + 77, bytes(10))]),
        (Kind.READ, lambda number: [bytes([Kind.DATA]) + word(number) + word(10) + b"abc"]),
        (Kind.READ, lambda number: [status(number, Status.OK)]),
        (Kind.READ, lambda _: [bytes(2_000_000)]),
        (Kind.READ, lambda _: [b""]),
        (Kind.READ, lambda _: [b"g"]),
        (Kind.FSTAT, lambda number: [bytes([Kind.ATTRS]) + word(number)]),
        (Kind.OPEN, lambda number: [names(number)]),
        (Kind.REALPATH, lambda number: [names(number)]),
        (Kind.REALPATH, lambda number: [names(number, *[(b"/box/a", attributes(REGULAR))] * 2)]),
    ],
)
def test_answers_that_make_no_sense(start: Start, kind: Kind, packets: Callable[[int], list[bytes]]) -> None:
    server = HostileSftp()
    server.answers[kind] = lambda number, _: packets(number)
    with pytest.raises((ProtocolError, UnsafePath)):
        fetch(start(server))


def test_a_listing_without_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_source, "MOST_ENTRIES", 5000)
    server = HostileSftp()
    server.answers[Kind.READDIR] = lambda number, _: [
        names(number, *[(b"%d" % n, attributes(REGULAR)) for n in range(100)])
    ]
    with pytest.raises(ProtocolError, match="more than 5000"):
        start(server).entries("")
    server.answers[Kind.READDIR] = lambda number, _: [names(number)]
    with pytest.raises(ProtocolError, match="without end"):
        start(server).entries("")


def test_a_path_that_leads_to_another_place(start: Start) -> None:
    server = HostileSftp()
    server.answers[Kind.REALPATH] = lambda number, _: [names(number, (b"/etc/shadow", attributes(REGULAR)))]
    source = start(server)
    with pytest.raises(UnsafePath):
        fetch(source)
    with pytest.raises(UnsafePath):
        source.entries("")


def test_what_the_account_may_not_read_is_left_out(start: Start) -> None:
    server = HostileSftp()
    for kind in (Kind.OPEN, Kind.OPENDIR):
        server.answers[kind] = lambda number, _: [status(number, Status.PERMISSION_DENIED)]
    source = start(server)
    with pytest.raises(UnsafePath, match="may not be read"):
        fetch(source)
    with pytest.raises(UnsafePath, match="may not be read"):
        source.entries("directory")
    with pytest.raises(Refused, match="may not be read"):
        source.entries("")


def test_a_file_whose_disk_fails(start: Start) -> None:
    server = HostileSftp()
    server.answers[Kind.READ] = lambda number, _: [status(number, Status.FAILURE)]
    with pytest.raises(TransferError, match="cannot read on"):
        fetch(start(server))


def test_links_with_odd_targets(start: Start) -> None:
    server = HostileSftp()
    links = [(b"up", attributes(LINK)), (b"gone", attributes(LINK))]
    usual = server.usual(Kind.READDIR)

    def listing(number: int, reader: Reader) -> list[bytes]:
        return (
            usual(number, reader) if server.listed or usual(number, reader) == [] else [names(number, *links)]
        )

    server.answers[Kind.READDIR] = listing
    server.answers[Kind.READLINK] = lambda number, reader: (
        [names(number, (b"../" * 40 + b"etc", attributes(LINK)))]
        if reader.text().endswith(b"up")
        else [status(number, Status.NO_SUCH_FILE)]
    )
    found = {entry.name: entry.target for entry in start(server).entries("")}
    assert found == {"up": "../" * 40 + "etc", "gone": None}


def test_a_server_that_falls_silent(start: Start) -> None:
    server = HostileSftp()

    def silent(_number: int, _reader: object) -> list[bytes]:
        server.release.wait(300)
        return []

    server.answers[Kind.READ] = silent
    with pytest.raises(TransferError, match="silent for"):
        fetch(start(server, 1.0))


def test_a_server_that_ends_in_the_middle(start: Start) -> None:
    server = HostileSftp(10_000_000)

    def break_off(_number: int, _reader: object) -> list[bytes]:
        raise EOFError

    server.answers[Kind.READ] = break_off
    source = start(server, 10.0)
    with pytest.raises(TransferError):
        fetch(source)


def test_answers_to_what_was_not_asked(start: Start) -> None:
    server = HostileSftp()
    server.answers[Kind.READ] = lambda number, _: [data(number, bytes(10)), data(number, bytes(10))]
    source = start(server)
    fetch(source)
    with pytest.raises(ProtocolError, match="not asked for"):
        source.entries("")
    assert text(b"x") == b"\0\0\0\1x"
