"""Browse, read, size and download, one by one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import (
    ConfigurationError,
    NotFound,
    ProtocolError,
    SandboxGone,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.agent.files_api import READ_LIMIT, FilesClient
from airavata_mesos_plugin.sandbox.agent.lines import MOST_IDLE
from airavata_mesos_plugin.sandbox.source import Entry
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent, Handler


def test_browse_tells_kind_size_time_and_mode(agent: Agent, client: FilesClient, sandbox: Path) -> None:
    (sandbox / "file").write_bytes(b"12345")
    (sandbox / "file").chmod(0o6754)
    os.utime(sandbox / "file", (1.6e9, 1.6e9 + 0.7))
    (sandbox / "sub").mkdir(mode=0o750)
    (sandbox / "sub").chmod(0o1750)
    file, sub = client.browse(agent.address)
    assert file == Entry("file", "-", 5, 1_600_000_000, 0o754, 1)
    assert (sub.name, sub.kind, sub.mode) == ("sub", "d", 0o750)
    assert client.browse(agent.address, "sub") == []
    assert client.browse(agent.address, "file") == []


def test_escaped_and_plain_bytes_in_a_listing_mean_the_same(agent: Agent, client: FilesClient) -> None:
    line = b'{"path":"%s/%s","mode":"-rw-r--r--","size":1,"mtime":1}'
    virtual = agent.address.path.encode()
    names = [b"\xc3\xa9 \xff", b"\\u00e9 \\udcff", b"line\\nfeed", b"raw\nfeed"]
    body = b"[" + b",".join(line % (virtual, name) for name in names) + b"]"
    agent.faults["browse", ""] = lambda handler: handler.answer(200, body)
    found = [os.fsencode(entry.name) for entry in client.browse(agent.address)]
    assert found == [b"\xc3\xa9 \xff", b"\xc3\xa9 \xff", b"line\nfeed", b"raw\nfeed"]


def test_missing_files_and_a_missing_sandbox(agent: Agent, client: FilesClient) -> None:
    with pytest.raises(NotFound, match=r"no\\nsuch is not in the sandbox") as caught:
        client.read(agent.address, "no\nsuch", 0)
    assert not isinstance(caught.value, SandboxGone)
    with pytest.raises(SandboxGone):
        client.browse(SandboxAddress(agent.url, "/frameworks/other/runs/latest"))


def test_a_directory_cannot_be_downloaded(agent: Agent, client: FilesClient, sandbox: Path) -> None:
    (sandbox / "sub").mkdir()
    with (
        pytest.raises(UnsafePath, match="sub is no regular file") as caught,
        client.download(agent.address, "sub"),
    ):
        pass
    assert str(sandbox) not in str(caught.value)


def test_reads_are_capped_and_count_bytes(agent: Agent, client: FilesClient, sandbox: Path) -> None:
    content = os.urandom(READ_LIMIT + 1000)
    (sandbox / "blob").write_bytes(content)
    assert client.size(agent.address, "blob") == len(content)
    first = client.read(agent.address, "blob", 0, 10**9)
    assert first == content[:READ_LIMIT]
    assert client.read(agent.address, "blob", len(first)) == content[READ_LIMIT:]
    assert client.read(agent.address, "blob", len(content)) == b""
    assert client.read(agent.address, "blob", 5, 0) == b""
    with pytest.raises(ValueError, match="counted from 0"):
        client.read(agent.address, "blob", -1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(content=st.binary(max_size=300), offset=st.integers(0, 300), length=st.integers(0, 300))
def test_a_read_gives_the_very_bytes(
    agent: Agent, client: FilesClient, sandbox: Path, content: bytes, offset: int, length: int
) -> None:
    (sandbox / "any").write_bytes(content)
    assert client.read(agent.address, "any", offset, length) == content[offset : offset + length]


@pytest.mark.parametrize(
    "body", [b"[]", b'{"data":1,"offset":1}', b'{"data":"x"}', b'{"data":"\\ud800","offset":0}']
)
def test_reads_in_another_form(agent: Agent, client: FilesClient, body: bytes) -> None:
    agent.faults["read", "x"] = lambda handler: handler.answer(200, body)
    with pytest.raises(ProtocolError, match="unknown form"):
        client.read(agent.address, "x", 0)


def test_an_answer_to_a_read_that_is_far_too_long(agent: Agent, client: FilesClient) -> None:
    agent.faults["read", "x"] = lambda handler: handler.answer(200, b"x" * 2_000_000)
    with pytest.raises(ProtocolError, match="2000000 bytes"):
        client.read(agent.address, "x", 0)


def test_a_download_that_is_given_up_leaves_no_rest_for_the_next(
    agent: Agent, client: FilesClient, sandbox: Path
) -> None:
    (sandbox / "large").write_bytes(b"x" * 5_000_000)
    (sandbox / "small").write_bytes(b"small")
    with client.download(agent.address, "large") as body:
        assert body.length == 5_000_000
        assert bytes(next(body.chunks()))[:1] == b"x"
    with client.download(agent.address, "small") as body:
        assert b"".join(bytes(view) for view in body.chunks()) == b"small"


def test_no_proxy_of_the_environment_is_used(
    agent: Agent, client: FilesClient, sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (sandbox / "file").write_bytes(b"x")
    assert client.read(agent.address, "file", 0) == b"x"


def test_an_agent_below_a_path(agent: Agent, client: FilesClient) -> None:
    seen = []

    def note(handler: Handler) -> bool:
        seen.append(handler.path)
        return handler.answer(200, b"[]")

    agent.faults["/proxy/files/browse", ""] = note
    client.browse(SandboxAddress(f"{agent.url}/proxy/", agent.address.path))
    assert seen == [
        "/proxy/files/browse?path=/frameworks/F-1/executors/thermos-a%20%281%29/runs/latest/sandbox"
    ]


@pytest.mark.parametrize("url", ["agent:5051", "ftp://agent", "http://", "http://[::1"])
def test_addresses_that_are_none(client: FilesClient, url: str) -> None:
    with pytest.raises(ConfigurationError):
        client.browse(SandboxAddress(url, "/x"))


def test_connections_to_one_agent_are_bounded_and_kept(
    agent: Agent, client: FilesClient, sandbox: Path
) -> None:
    (sandbox / "file").write_bytes(b"x")
    threads = [
        threading.Thread(target=lambda: [client.read(agent.address, "file", 0) for _ in range(20)])
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agent.calls["read", "file"] == 240
    assert agent.connections <= 4


def test_a_closed_client_keeps_no_connection(agent: Agent, sandbox: Path) -> None:
    (sandbox / "file").write_bytes(b"x" * 5_000_000)
    client = FilesClient(FetchSettings(connections=1))
    with client.download(agent.address, "file") as body:
        client.close()
        assert sum(len(view) for view in body.chunks()) == 5_000_000


def test_a_slow_stream_is_no_silence(agent: Agent) -> None:
    def drip(handler: Handler) -> bool:
        handler.head(200, 5)
        for _ in range(5):
            handler.server.agent.release.wait(0.12)
            handler.wfile.write(b"x")
            handler.wfile.flush()
        return True

    def received() -> bytes:
        try:
            with client.download(agent.address, "slow") as body:
                return b"".join(bytes(view) for view in body.chunks())
        except TransferError as error:
            return str(error).encode()

    agent.faults["download", "slow"] = drip  # 0.6 s in all: longer than the read timeout, each pause shorter
    client = FilesClient(FetchSettings(read_timeout_seconds=0.5))
    # Where the machine itself stands still it is a silence; where the whole answer counts, no try succeeds.
    wait_for(received, b"xxxxx".__eq__, "a stream of five bytes")
    client.close()


def test_failures_of_the_agent(agent: Agent, client: FilesClient) -> None:
    agent.faults["browse", ""] = lambda handler: handler.answer(503, b"recovering")
    with pytest.raises(TransferError, match="HTTP 503 on the sandbox") as caught:
        client.browse(agent.address)
    assert caught.value.transient


def test_few_connections_are_kept_for_very_many_agents(
    new_agent: Callable[[Path], Agent], client: FilesClient, sandbox: Path
) -> None:
    (sandbox / "file").write_bytes(b"x")
    agents = [new_agent(sandbox) for _ in range(MOST_IDLE + 5)]
    for agent in agents:
        assert client.read(agent.address, "file", 0) == b"x"
    for agent in agents[-1], agents[0]:
        assert client.read(agent.address, "file", 0) == b"x"
    assert agents[-1].connections == 1
    assert agents[0].connections == 2  # the one used longest ago had been closed
