"""Connections that stand still are closed in time."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.config import ServiceSettings
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service.accounts import Accounts, Visitor
from airavata_mesos_plugin.service.peers import server
from tests.unit.tasks.conftest import SETTINGS

HEAD = struct.pack("!II", 0x80010001, 6) + b"script" + struct.pack("!I", 0)
CALL = HEAD + b"\x0a\x00\x01" + struct.pack("!q", 1) + b"\x00"


def connections(path: Path) -> int:
    """How many there are at the server's side: states 2 and 3 of the kernel's list, accepted or not yet."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return sum(1 for row in rows if row[-1] == str(path) and row[5] in ("02", "03"))


async def closed(path: Path) -> None:
    """Wait until there is none."""
    while connections(path):
        await asyncio.sleep(0.005)


def framed(payload: bytes) -> bytes:
    return struct.pack("!I", len(payload)) + payload


def nothing(_: socket.socket) -> None:
    """The peer only connects."""


def half_a_length(peer: socket.socket) -> None:
    peer.sendall(b"\0\0")


def half_a_frame(peer: socket.socket) -> None:
    peer.sendall(framed(CALL)[:-5])


def calls_whose_answers_nobody_takes(peer: socket.socket) -> None:
    peer.sendall(framed(CALL) * 10)


@pytest.mark.parametrize("behave", [nothing, half_a_length, half_a_frame, calls_whose_answers_nobody_takes])
def test_a_peer_that_stands_still_is_sent_away(
    tmp_path: Path, mocker: MockerFixture, behave: Callable[[socket.socket], None]
) -> None:
    for name in ("SILENCE_SECONDS", "GOODBYE_SECONDS"):
        mocker.patch.object(server, name, 0.05)
    provider: Mock = mocker.create_autospec(Provider, instance=True)
    provider.settings = SETTINGS
    provider.job.return_value.request.uid = os.geteuid()
    provider.script.return_value = "#" * 3_000_000
    accounts: Mock = mocker.create_autospec(Accounts, instance=True)
    accounts.visitor.return_value = Visitor(os.geteuid(), "me", "/")
    path = tmp_path / "s"

    async def scene() -> None:
        served = server.PeerServer(path, provider, ServiceSettings(), accounts)
        await served.start()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
            assert connections(path) == 1
            behave(peer)
            await asyncio.wait_for(closed(path), 60)
        await served.stop()
        assert not path.exists()

    asyncio.run(scene())
