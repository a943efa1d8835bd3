"""Agents that drip, never end, or lure our credentials elsewhere."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import AiravataMesosError, ProtocolError, TransferError
from airavata_mesos_plugin.sandbox.agent.access import AgentAccess
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent, Handler

EMPTY = Snapshot(taken_at=1.7e9)
OK = b"HTTP/1.1 200 OK\r\n"
LOGIN = "Basic dXNlcjpzZWNyZXQ="
MIB = 1024 * 1024


def dripping(start: bytes, drop: bytes) -> Callable[[Handler], bool]:
    """Sends ``start`` and then ``drop`` for ever, faster than any silence that is allowed."""

    def drip(handler: Handler) -> bool:
        handler.wfile.write(start)
        while not handler.server.agent.release.wait(0.02):
            handler.wfile.write(drop)
            handler.wfile.flush()
        handler.close_connection = True
        return True

    return drip


@pytest.mark.parametrize(
    ("call", "start"),
    [
        ("download", OK + b"Content-Length: 1000000\r\n\r\n"),
        ("download", OK + b"X-Long: "),
        ("browse", OK + b"Content-Length: 1000000\r\n\r\n["),
        ("read", OK + b"Content-Length: 1000000\r\n\r\n"),
    ],
)
def test_a_byte_now_and_then_is_not_enough(agent: Agent, call: str, start: bytes) -> None:
    agent.faults[call, "slow"] = dripping(start, b"x")

    def ask(client: FilesClient) -> None:
        if call == "browse":
            client.browse(agent.address, "slow")
        elif call == "read":
            client.read(agent.address, "slow", 0)
        else:
            with client.download(agent.address, "slow") as body:
                for _ in body.chunks():
                    pass

    def asked() -> str:
        settings = FetchSettings(read_timeout_seconds=0.5, least_bytes_per_second=100_000)
        with closing(FilesClient(settings)) as client, pytest.raises(TransferError) as caught:
            ask(client)
        return str(caught.value)

    # Where the machine itself stands still it is a silence.
    wait_for(asked, lambda text: "sends next to nothing" in text, "noticed")


@pytest.mark.parametrize("announced", [10**12, 10**17])
def test_a_listing_without_end_is_not_begun(agent: Agent, announced: int) -> None:
    agent.faults["browse", ""] = lambda handler: handler.raw(OK + b"Content-Length: %d\r\n\r\n[" % announced)
    with closing(FilesClient(FetchSettings())) as client, pytest.raises(ProtocolError, match=str(announced)):
        client.browse(agent.address)


def test_more_than_was_listed_is_not_written_to_a_full_disk(
    agent: Agent, sandbox: Path, working: Path
) -> None:
    (sandbox / "out").write_bytes(b"x")
    head = OK + b"Content-Length: %d\r\n\r\n" % 10**15
    agent.faults["download", "out"] = dripping(head, bytes(MIB))
    with (
        closing(Fetcher(FetchSettings(), SystemClock())) as fetcher,
        pytest.raises(TransferError, match="no room"),
    ):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert not list(working.rglob("out*"))


def test_bodies_of_any_size_need_no_memory(agent: Agent, sandbox: Path, working: Path) -> None:
    (sandbox / "out").write_bytes(b"x")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def ends_early(handler: Handler) -> bool:
        handler.wfile.write(OK + b"Content-Length: %d\r\n\r\n" % (10**9))
        piece = bytes(MIB)
        for _ in range(256):
            handler.wfile.write(piece)
        handler.close_connection = True
        return True

    agent.faults["download", "out"] = ends_early
    with (
        closing(Fetcher(FetchSettings(), SystemClock())) as fetcher,
        pytest.raises(TransferError, match="early"),
    ):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 64 * MIB, f"{grown} bytes more for {256 * MIB}"


def test_errors_show_names_escaped(agent: Agent) -> None:
    name = "a\x1b]0;title\x07\nb"
    agent.faults["download", name] = lambda handler: handler.answer(500, b"")
    with closing(FilesClient(FetchSettings())) as client, pytest.raises(TransferError) as caught:
        client.download(agent.address, name).__enter__()
    assert str(caught.value).isprintable()


@pytest.fixture
def locked(agent: Agent) -> Iterator[tuple[FilesClient, SandboxAddress]]:
    access = AgentAccess(lambda _url: LOGIN)
    with closing(FilesClient(FetchSettings(), access={"physics": access})) as client:
        yield client, SandboxAddress(agent.url, agent.address.path, "physics")


def _answered(status: int, body: bytes, handler: Handler) -> bool:
    return handler.answer(status, body)


def sent(agent: Agent) -> set[str | None]:
    """All values of the header that has credentials."""
    return {headers.get("Authorization") for headers in agent.headers}


def test_credentials_go_to_agents_of_their_cluster_alone(
    agent: Agent,
    sandbox: Path,
    locked: tuple[FilesClient, SandboxAddress],
    tmp_path: Path,
    new_agent: Callable[[Path], Agent],
) -> None:
    (sandbox / "out").write_bytes(b"x")
    client, address = locked
    assert client.read(address, "out", 0) == b"x"
    assert sent(agent) == {LOGIN}
    (tmp_path / "out").write_bytes(b"y")
    other = new_agent(tmp_path)
    assert client.read(SandboxAddress(other.url, other.address.path), "out", 0) == b"y"
    assert sent(other) == {None}


def test_credentials_do_not_follow_a_redirect(
    agent: Agent,
    locked: tuple[FilesClient, SandboxAddress],
    tmp_path: Path,
    new_agent: Callable[[Path], Agent],
) -> None:
    other = new_agent(tmp_path)
    where = f"HTTP/1.1 307 No\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n".encode()
    agent.faults["read", "out"] = lambda handler: handler.raw(where)
    client, address = locked
    with pytest.raises(ProtocolError, match="redirects"):
        client.read(address, "out", 0)
    assert other.connections == 0


def test_credentials_are_in_no_error(agent: Agent, locked: tuple[FilesClient, SandboxAddress]) -> None:
    client, address = locked
    for status in (400, 401, 403, 404, 418, 500):
        answer = json.dumps({"you said": LOGIN}).encode()
        agent.faults["read", "out"] = partial(_answered, status, answer)
        with pytest.raises(AiravataMesosError) as caught:
            client.read(address, "out", 0)
        assert LOGIN.split()[1] not in f"{caught.value} {caught.value!r} {caught.value.advice} {client!r}"
    assert LOGIN not in repr(AgentAccess(lambda _url: LOGIN))
