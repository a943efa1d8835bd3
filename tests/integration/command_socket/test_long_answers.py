"""Answers that come in pieces: whole, ended by an error, and given up when the caller hangs up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import AccountSettings, embedded_settings
from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, TransferError
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service import commands
from airavata_mesos_plugin.service.accounts import Accounts
from airavata_mesos_plugin.service.answers import Answer
from airavata_mesos_plugin.service.client import DaemonClient
from airavata_mesos_plugin.service.people import PeopleCalls

T = TypeVar("T")
PIECE = b"0123456789abcdef" * 20_000
Serve = Callable[[Callable[[], Iterator[bytes]], Callable[[DaemonClient], T]], T]


@pytest.fixture
def serve(tmp_path: Path, mocker: MockerFixture) -> Serve[object]:
    """Answers with these pieces, and gives what the caller makes of them."""
    provider = mocker.create_autospec(Provider, instance=True)
    provider.settings = embedded_settings()
    people = mocker.create_autospec(PeopleCalls, instance=True)

    def serve(pieces: Callable[[], Iterator[bytes]], call: Callable[[DaemonClient], T]) -> T:
        people.run.side_effect = lambda *_: Answer(more=pieces())

        async def run() -> T:
            accounts = Accounts(AccountSettings(), SystemClock())
            server = commands.CommandServer(tmp_path / "s", provider, people, accounts)
            await server.start()
            try:
                return await asyncio.to_thread(call, DaemonClient(tmp_path / "s"))
            finally:
                await server.stop()

        return asyncio.run(run())

    return serve


def test_all_pieces_in_order(serve: Serve[bytes]) -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(30):
            yield PIECE[number:]
        yield b""
        yield b"last"

    data = serve(pieces, lambda client: b"".join(client.stream("content", "1", "sandbox", "x")))
    assert data == b"".join(PIECE[number:] for number in range(30)) + b"last"


@pytest.mark.parametrize(
    ("error", "kind"), [(TransferError("it broke"), AiravataMesosError), (NotFound("it is gone"), NotFound)]
)
def test_an_error_in_the_middle(
    serve: Serve[bytes], error: AiravataMesosError, kind: type[AiravataMesosError]
) -> None:
    def pieces() -> Iterator[bytes]:
        yield PIECE
        raise error

    got: list[bytes] = []

    def call(client: DaemonClient) -> bytes:
        for piece in client.stream("content", "1", "sandbox", "x"):
            got.append(piece)
        return b""

    with pytest.raises(kind, match=error.message):
        serve(pieces, call)
    assert got == [PIECE]


def test_a_caller_that_hangs_up_ends_it(serve: Serve[bool]) -> None:
    over = threading.Event()

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield PIECE
        finally:
            over.set()

    def call(client: DaemonClient) -> bool:
        stream = client.stream("content", "1", "sandbox", "x")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        return over.wait(60)

    assert serve(pieces, call)
