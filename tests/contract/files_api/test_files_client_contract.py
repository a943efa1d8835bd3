"""Our client of the files API towards each kind of agent, byte by byte, and with the wrong papers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airavata_mesos_plugin.config import AuthenticationSettings, FetchSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    NotFound,
    Refused,
    SandboxGone,
    TransferError,
    Unreachable,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.agent.access import AgentAccess
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.source import Entry
from airavata_mesos_plugin.schedulers.access import authorization_of
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.contract.files_api.tree import ESCAPE, NOT_UTF8, ODD, RAW, SPARSE_BYTES
from tests.contract.files_api.worlds import World
from tests.realmesos.access import make_tls, token

CLUSTER = "physics"
FILES = (
    *("out.txt", "empty", "raw", "big", ODD, os.fsdecode(NOT_UTF8), ESCAPE, "pct%41", "a+b", "a b", "a;b=c"),
    *("inside", "sub/file", "x.html", "hard2"),
)


def client_of(access: AgentAccess | None = None) -> FilesClient:
    return FilesClient(FetchSettings(), access={} if access is None else {CLUSTER: access})


def address_of(world: World, path: str = "") -> SandboxAddress:
    locked = world.login is not None or world.bearer or world.tls is not None
    return SandboxAddress(world.agent_url, path or world.base, CLUSTER if locked else "")


def settings_of(directory: Path, world: World) -> AuthenticationSettings:
    """As an administrator writes them, with the secret in a file."""
    secret = directory / "secret"
    if world.login is not None:
        secret.write_text(world.login[1] + "\n")
        return AuthenticationSettings.model_validate(
            {"mechanism": "basic", "user": world.login[0], "password": {"file": secret}}
        )
    if world.bearer:
        secret.write_text(world.bearer + "\n")
        return AuthenticationSettings.model_validate({"mechanism": "bearer", "token": {"file": secret}})
    return AuthenticationSettings()


def access_of(directory: Path, world: World) -> AgentAccess:
    authorization = authorization_of(settings_of(directory, world))
    if world.tls is None:
        return AgentAccess(authorization)
    certificate, key = (None, None)
    if world.tls.require_client:
        certificate, key = world.tls.client(directory, "provider")
    return AgentAccess(authorization, world.tls.ca_file, certificate, key)


@pytest.fixture
def client(any_world: World, tmp_path: Path) -> Iterator[FilesClient]:
    with closing(client_of(access_of(tmp_path, any_world))) as made:
        yield made


def test_a_listing(any_world: World, client: FilesClient) -> None:
    found = {entry.name: entry for entry in client.browse(address_of(any_world))}
    assert {ODD, os.fsdecode(NOT_UTF8), ESCAPE} <= found.keys()
    kinds = {name: found[name].kind for name in ("sub", "subl", "out.txt", "inside", "pipe", "sock")}
    assert kinds == {"sub": "d", "subl": "d", "out.txt": "-", "inside": "-", "pipe": "p", "sock": "s"}
    assert (found["m0640"].mode, found["old"].mtime, found["sparse"].size) == (
        0o640,
        -315619200,
        SPARSE_BYTES,
    )
    assert client.browse(address_of(any_world), "emptydir") == []


def test_reads_give_the_very_bytes(any_world: World, client: FilesClient) -> None:
    address = address_of(any_world)
    assert client.read(address, "raw", 0) == RAW
    assert [client.read(address, "raw", offset, 1) for offset in range(len(RAW) + 1)] == [
        RAW[offset : offset + 1] for offset in range(len(RAW) + 1)
    ]
    assert client.read(address, "sparse", SPARSE_BYTES - 2) == b"\0\0"
    assert client.size(address, "sparse") == SPARSE_BYTES
    assert len(client.read(address, "big", 0, 10**6)) == 65536


def test_reads_of_every_byte_after_every_other(any_world: World, client: FilesClient) -> None:
    pairs = bytes(byte for first in range(256) for second in range(256) for byte in (first, second))
    path = any_world.directory / "pairs"
    path.write_bytes(pairs)
    try:
        address = address_of(any_world)
        pieces = [client.read(address, "pairs", offset) for offset in range(0, len(pairs), 65536)]
        assert b"".join(pieces) == pairs
    finally:
        path.unlink()


def test_downloads(any_world: World, client: FilesClient) -> None:
    address = address_of(any_world)
    entries = [Entry(name, "-", 0, 0, 0, 1) for name in FILES]
    with client.downloads(address, connections=4) as downloads:
        for entry, body in downloads.each(entries):
            assert not isinstance(body, AiravataMesosError), (entry.name, body)
            content = b"".join(map(bytes, body.chunks()))
            assert content == (any_world.directory / entry.name).read_bytes(), entry.name


def test_names_that_forge_answers_reach_no_other_sandbox(worlds: Callable[[str], World]) -> None:
    """A real agent puts a file's name into the head of its download as it is.

    With line feeds in the name that head ends early, and as many bytes as then still follow are left over at
    the end of the content, where the job can put an answer to the next request.
    """
    world = worlds("plain")
    left_over = len("\r\nContent-Type: application/octet-stream\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    answer = head + b"evil!".ljust(left_over - len(head), b"!")
    forged = world.directory / "x\r\n\r\n"
    forged.write_bytes(bytes(1_000_000) + answer)
    other = SandboxAddress(world.agent_url, f"{world.base}/sub")
    try:
        with closing(client_of()) as client:
            with client.download(address_of(world), forged.name) as body:
                assert len(b"".join(map(bytes, body.chunks()))) == 1_000_000 + len(answer)
            with client.download(other, "file") as body:
                assert b"".join(map(bytes, body.chunks())) == b"in\n"
    finally:
        forged.unlink()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("none", NotFound),
        ("out", UnsafePath),
        ("loop", UnsafePath),
        ("sub", UnsafePath),
        *(("sock", UnsafePath), ("pipe", UnsafePath)),
    ],
)
def test_what_cannot_be_read(
    any_world: World, client: FilesClient, name: str, error: type[AiravataMesosError]
) -> None:
    for attempt in (
        lambda: client.read(address_of(any_world), name, 0),
        lambda: client.download(address_of(any_world), name).__enter__(),
    ):
        with pytest.raises(error) as caught:
            attempt()
        assert str(any_world.directory) not in str(caught.value)  # bodies of refusals show paths of the host


def test_a_sandbox_that_is_gone(any_world: World, client: FilesClient) -> None:
    with pytest.raises(SandboxGone):
        client.browse(address_of(any_world, any_world.base.replace("/runs/latest", "/runs/other")))


@pytest.mark.parametrize("name", ["basic", "bearer", "acls"])
def test_without_credentials(worlds: Callable[[str], World], name: str) -> None:
    world = worlds(name)
    with closing(client_of()) as client, pytest.raises(AuthenticationFailed, match="does not take"):
        client.browse(SandboxAddress(world.agent_url, world.base))
    with closing(client_of()) as client, pytest.raises(AuthenticationFailed, match="physics"):
        client.browse(address_of(world))


@pytest.mark.parametrize(
    ("value", "error"),
    [("r-secret-not", AuthenticationFailed), ("s-secret", AuthenticationFailed), ("r-secret", None)],
)
def test_a_password_that_changes_counts_from_the_next_request(
    worlds: Callable[[str], World], tmp_path: Path, value: str, error: type[AiravataMesosError] | None
) -> None:
    world = worlds("acls")
    with closing(client_of(access_of(tmp_path, world))) as client:
        assert client.read(address_of(world), "out.txt", 0) == b"hello\n"
        (tmp_path / "secret").write_text(value)
        if error is None:
            assert client.read(address_of(world), "out.txt", 0) == b"hello\n"
            return
        with pytest.raises(error) as caught:
            client.read(address_of(world), "out.txt", 0)
        assert value not in f"{caught.value} {caught.value!r} {client!r}"


def test_somebody_whom_the_acls_do_not_name(worlds: Callable[[str], World], tmp_path: Path) -> None:
    world = worlds("acls")
    (tmp_path / "password").write_text("s-secret")
    settings = AuthenticationSettings.model_validate(
        {"mechanism": "basic", "user": "stranger", "password": {"file": tmp_path / "password"}}
    )
    with (
        closing(client_of(AgentAccess(authorization_of(settings)))) as client,
        pytest.raises(Refused, match="does not let us read"),
    ):
        client.read(address_of(world), "out.txt", 0)


def test_tokens_run_out_and_are_renewed(worlds: Callable[[str], World], tmp_path: Path) -> None:
    world = worlds("bearer")
    with closing(client_of(access_of(tmp_path, world))) as client:
        (tmp_path / "secret").write_text(token("reader", lifetime_seconds=-60))
        with pytest.raises(AuthenticationFailed):
            client.read(address_of(world), "out.txt", 0)
        (tmp_path / "secret").write_text(token("reader", lifetime_seconds=3000))
        assert client.read(address_of(world), "out.txt", 0) == b"hello\n"


@pytest.mark.parametrize("name", ["tls", "client-certificate"])
def test_agents_of_another_authority(worlds: Callable[[str], World], tmp_path: Path, name: str) -> None:
    other = make_tls(tmp_path, "127.0.1.1")
    with closing(client_of(AgentAccess(ca=other.ca_file))) as client:
        with pytest.raises(Unreachable, match=r"(?i)certificate verify failed") as caught:
            client.browse(address_of(worlds(name)))
        assert "tls" in caught.value.advice


def test_a_certificate_of_another_host(worlds: Callable[[str], World]) -> None:
    world = worlds("tls")
    assert world.tls is not None
    elsewhere = world.agent_url.replace("127.0.1.1", "localhost")
    with closing(client_of(AgentAccess(ca=world.tls.ca_file))) as client, pytest.raises(Unreachable):
        client.browse(SandboxAddress(elsewhere, world.base, CLUSTER))


def test_agents_that_want_a_certificate_of_ours(worlds: Callable[[str], World]) -> None:
    world = worlds("client-certificate")
    assert world.tls is not None
    with (
        closing(client_of(AgentAccess(ca=world.tls.ca_file))) as client,
        pytest.raises((Unreachable, TransferError)),
    ):
        client.browse(address_of(world))


def test_plain_http_to_an_agent_with_tls(worlds: Callable[[str], World]) -> None:
    world = worlds("tls")
    with closing(client_of()) as client, pytest.raises(TransferError):
        client.browse(SandboxAddress(world.agent_url.replace("https", "http"), world.base))
