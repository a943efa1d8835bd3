"""Callers that do not take their answer do not keep a connection for ever."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import AccountSettings, embedded_settings
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service import commands
from airavata_mesos_plugin.service.accounts import Accounts
from airavata_mesos_plugin.service.answers import Answer
from airavata_mesos_plugin.service.people import PeopleCalls
from airavata_mesos_plugin.slurm import wire


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


LARGE = b"x" * 20_000_000


def taken_by_the_kernel() -> int:
    """How much can be written to a Unix socket that nobody reads from."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        return ours.send(LARGE)


@pytest.mark.parametrize("patience", ["SILENCE_SECONDS", "GOODBYE_SECONDS"])
def test_an_answer_that_is_not_taken(tmp_path: Path, mocker: MockerFixture, patience: str) -> None:
    mocker.patch.object(commands, patience)  # put back at the end
    setattr(commands, patience, 30.0)
    provider = mocker.create_autospec(Provider, instance=True)
    provider.settings = embedded_settings()
    people = mocker.create_autospec(PeopleCalls, instance=True)
    # A little more than the kernel takes is not yet what `drain` waits for.
    size = len(LARGE) if patience == "SILENCE_SECONDS" else taken_by_the_kernel() + 20_000

    def answer(*_: object) -> Answer:
        setattr(commands, patience, 0.3)  # not before: nothing but the answer may take too long
        return Answer(stdout=LARGE[:size])

    people.run.side_effect = answer
    accounts = Accounts(AccountSettings(), SystemClock())

    async def run() -> int:
        server = commands.CommandServer(tmp_path / "s", provider, people, accounts)
        await server.start()
        before = descriptors()
        try:
            with socket.socket(socket.AF_UNIX) as caller:
                caller.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(caller, str(tmp_path / "s"))
                await loop.sock_sendall(caller, wire.encode_request("airavata-mesos", ["status"], "/", {}))
                for _ in range(6000):
                    await asyncio.sleep(0.01)
                    if people.run.called and descriptors() == before + 1:
                        break
                return descriptors() - before - 1
        finally:
            await server.stop()

    assert asyncio.run(run()) == 0
