"""Fetching from agents and into working directories that mean harm, or fail."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    ProtocolError,
    Refused,
    SandboxGone,
    TransferError,
)
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot, take
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent, Handler

EMPTY = Snapshot(taken_at=1.7e9)
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def fetcher(settings: FetchSettings) -> Iterator[Fetcher]:
    fetcher = Fetcher(settings, SystemClock())
    yield fetcher
    fetcher.close()


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_names_that_climb_out_are_left_out_and_named(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path, entry: Callable[..., bytes]
) -> None:
    (sandbox / "good").write_bytes(b"good")
    virtual = agent.address.path
    names = ["../x", "a/../../b", "..", ".", "a//b", "", "sub/good", "nul\0byte"]
    lines = [entry(f"{virtual}/{name}") for name in names]
    lines += [
        entry("/etc/passwd"),
        entry(f"{virtual}-other/x"),
        entry(f"{virtual}/good", (sandbox / "good").stat()),
    ]
    agent.faults["browse", ""] = lambda handler: handler.answer(200, b"[" + b",".join(lines) + b"]")
    before = everything(working.parent)
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert everything(working.parent) - before == {"working/good"}
    left_out = dict(report.left_out)
    assert left_out.keys() == {*names, "/etc/passwd", f"{virtual}-other/x"}
    assert "climbs out" in left_out["../x"]
    assert "climbs out" in left_out["a/../../b"]
    assert "absolute" in left_out["/etc/passwd"]
    assert {name for call, name in agent.calls if call == "download"} == {"good"}


def test_a_link_on_the_way_is_not_followed(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (sandbox / "sub" / "deep").mkdir(parents=True)
    (sandbox / "sub" / "deep" / "file").write_bytes(b"x")
    (sandbox / "other").write_bytes(b"y")
    (working / "sub").symlink_to(outside)
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert list(outside.iterdir()) == []
    assert (working / "other").read_bytes() == b"y"
    assert dict(report.left_out)["sub/deep/file"] == "the symbolic link sub is in the way"


def test_a_link_in_the_place_of_a_file_is_replaced_not_written_through(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (sandbox / "out").write_bytes(b"output")
    (working / "out").symlink_to(victim)
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert victim.read_bytes() == b"precious"
    assert not (working / "out").is_symlink()
    assert (working / "out").read_bytes() == b"output"
    assert report.left_out == ()


def test_a_link_in_the_place_of_the_part_file_is_not_written_through(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (sandbox / "out").write_bytes(b"output")
    (working / ".out.airavata-part-1").symlink_to(victim)
    fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert victim.read_bytes() == b"precious"
    assert (working / "out").read_bytes() == b"output"


def test_a_directory_swapped_for_a_link_during_the_fetch(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (sandbox / "sub").mkdir()
    (sandbox / "sub" / "file").write_bytes(b"x")
    (sandbox / "first").write_bytes(b"larger, so it comes first")
    (working / "sub").mkdir()

    def swap(_handler: Handler) -> bool:
        (working / "sub").rmdir()
        (working / "sub").symlink_to(outside)
        return False

    agent.faults["download", "first"] = swap
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert list(outside.iterdir()) == []
    assert report.left_out == (("sub/file", "the symbolic link sub is in the way"),)


def test_a_directory_or_file_in_the_way(agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path) -> None:
    (sandbox / "out").write_bytes(b"x")
    (working / "out").mkdir()
    (sandbox / "sub").mkdir()
    (sandbox / "sub" / "file").write_bytes(b"x")
    (working / "sub").write_bytes(b"mine")
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    reasons = dict(report.left_out)
    assert reasons["out"] == "a directory named out is in the way"
    assert reasons["sub/file"] == "sub is in the way and is not a directory"
    assert everything(working) == {"out", "sub"}


def test_a_file_replaced_by_a_link_out_between_listing_and_download(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (sandbox / "out").write_bytes(b"x")

    def replace(_handler: Handler) -> bool:
        (sandbox / "out").unlink()
        (sandbox / "out").symlink_to(secret)
        return False

    agent.faults["download", "out"] = replace
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert everything(working) == set()
    ((name, reason),) = report.left_out
    assert name == "out"
    assert "refuses the path" in reason
    assert str(secret) not in reason


def test_a_file_that_vanishes_is_left_out(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    (sandbox / "gone").write_bytes(b"x")
    (sandbox / "stays").write_bytes(b"y")

    def remove(_handler: Handler) -> bool:
        (sandbox / "gone").unlink()
        return False

    agent.faults["download", "gone"] = remove
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert everything(working) == {"stays"}
    assert report.left_out == (("gone", "vanished before it was fetched"),)


def test_a_sandbox_collected_during_the_fetch_is_no_success(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    (sandbox / "a").write_bytes(b"x")

    def collect(_handler: Handler) -> bool:
        (sandbox / "a").unlink()
        sandbox.rmdir()
        return False

    agent.faults["download", "a"] = collect
    with pytest.raises(SandboxGone):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    sandbox.mkdir()


def test_fifos_are_left_out(agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path) -> None:
    os.mkfifo(sandbox / "pipe")
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert report.left_out == (("pipe", "not a regular file or directory"),)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (
            OK + b"Content-Length: 10000000\r\n\r\nshort",
            TransferError,
            "9999995 of 10000000 bytes early",
        ),
        (OK + b"Content-Length: 10\r\n\r\n", TransferError, "10 of 10 bytes early"),
        (OK + b"Content-Length: 2\r\n\r\nmore than two", ProtocolError, "more bytes than it announced"),
        (OK + b"\r\nno length", ProtocolError, "no usable Content-Length"),
        (OK + b"Content-Length: -1\r\n\r\n", ProtocolError, "no usable Content-Length"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", ProtocolError, "no usable Content-Length"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", ProtocolError, "no usable Content-Length"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            ProtocolError,
            "unusual encoding, 'chunked'",
        ),
        (
            OK + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            ProtocolError,
            "unusual encoding, 'gzip'",
        ),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ProtocolError, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ProtocolError, "half a head"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, ProtocolError, "head without end"),
        (b"", TransferError, "closed the connection"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", TransferError, "HTTP 500 on out"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", AuthenticationFailed, "credentials"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", Refused, "does not let us"),
        (b"HTTP/1.1 418 No\r\nContent-Length: 0\r\n\r\n", ProtocolError, "HTTP 418"),
    ],
)
def test_broken_answers(
    agent: Agent,
    fetcher: Fetcher,
    sandbox: Path,
    working: Path,
    answer: bytes,
    error: type[AiravataMesosError],
    text: str,
) -> None:
    (sandbox / "out").write_bytes(b"x")
    agent.faults["download", "out"] = lambda handler: handler.raw(answer)
    with pytest.raises(error, match=text):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert everything(working) == set()


def test_a_redirect_is_not_followed(
    agent: Agent,
    fetcher: Fetcher,
    sandbox: Path,
    working: Path,
    tmp_path: Path,
    new_agent: Callable[[Path], Agent],
) -> None:
    (sandbox / "out").write_bytes(b"x")
    elsewhere = new_agent(tmp_path)
    answer = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode()
    agent.faults["download", "out"] = lambda handler: handler.raw(answer)
    with pytest.raises(ProtocolError, match="redirects"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert elsewhere.connections == 0


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", OK + b"Content-Length: 5\r\n\r\nab"])
def test_endless_silence(agent: Agent, sandbox: Path, working: Path, sent: bytes) -> None:
    (sandbox / "out").write_bytes(b"x")

    def silence(handler: Handler) -> bool:
        handler.wfile.write(sent)
        return handler.hang()

    agent.faults["download", "out"] = silence
    fetcher = Fetcher(FetchSettings(read_timeout_seconds=0.5), SystemClock())
    with pytest.raises(TransferError, match=r"silent for 0\.5 s"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    fetcher.close()
    assert everything(working) == set()


def test_one_bad_file_does_not_keep_the_others_away(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    for number in range(20):
        (sandbox / f"f{number}").write_bytes(b"x" * number)
    agent.faults["download", "f19"] = lambda handler: handler.answer(500, b"")
    with pytest.raises(TransferError, match="HTTP 500 on f19"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert len(everything(working)) == 19 + 1, "and the manifest, for another try"


def test_a_connection_closed_while_idle_is_replaced(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    for number in range(3):
        (sandbox / f"f{number}").write_bytes(b"x")

    def close_after(handler: Handler) -> bool:
        handler.close_connection = True  # without the header that would say so
        return False

    for number in range(3):
        agent.faults["download", f"f{number}"] = close_after
    agent.faults["browse", ""] = close_after
    assert fetcher.fetch(agent.address, working, EMPTY, job_id=1).files == 3


@pytest.mark.parametrize(
    "body", [b"{}", b"[1]", b'[{"path": 1}]', b"[", b"\xff", b"[" * 100_000, b'[{"path":"x","mode":"rwx"}]']
)
def test_listings_in_another_form(agent: Agent, fetcher: Fetcher, working: Path, body: bytes) -> None:
    agent.faults["browse", ""] = lambda handler: handler.answer(200, body)
    with pytest.raises(ProtocolError):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)


def test_links_across_each_other_end(agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path) -> None:
    (sandbox / "a").mkdir()
    (sandbox / "b").mkdir()
    (sandbox / "a" / "file").write_bytes(b"a")
    (sandbox / "b" / "file").write_bytes(b"b")
    (sandbox / "a" / "to-b").symlink_to("../b")
    (sandbox / "b" / "to-a").symlink_to("../a")
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert (working / "a" / "file").read_bytes() == b"a"
    assert (working / "b" / "file").read_bytes() == b"b"
    assert dict(report.left_out) == {"a/to-b/to-a": "a link back to a", "b/to-a/to-b": "a link back to b"}


def test_a_full_file_system(agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path) -> None:
    (sandbox / "out").write_bytes(b"x" * 300_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # EFBIG, as from a full quota
    try:
        with pytest.raises(TransferError, match="no room for the output out") as caught:
            fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free space" in caught.value.advice
    assert everything(working) == set()


def test_inputs_with_reserved_names_are_neither_sent_nor_fetched(
    agent: Agent, fetcher: Fetcher, sandbox: Path, working: Path
) -> None:
    (working / ".logs").mkdir()
    (working / ".logs" / "mine").write_bytes(b"mine")
    snapshot = take(working, 1.7e9)
    assert snapshot.left_out == ((".logs", "the name is reserved in a sandbox"),)
    (sandbox / ".logs").mkdir()
    (sandbox / ".logs" / "mine").write_bytes(b"other")
    fetcher.fetch(agent.address, working, snapshot, job_id=1)
    assert (working / ".logs" / "mine").read_bytes() == b"mine"
