"""Peers that say nothing, too much or nonsense harm nobody else."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from thrift.transport.TTransport import TTransportException

from airavata_mesos_plugin.service.peers.server import CONNECTIONS_OF_CALLER, FRAME_EXTRA, SILENCE_SECONDS
from tests.integration.thrift_service.conftest import PEER_NAME, Connect, Peer, Served
from tests.support.processes import peak_memory
from tests.support.waiting import wait_for

CALL = struct.pack("!I", 0x80010001)
"""A strict header of the binary protocol: version 1, a call."""

PATIENCE_SECONDS = SILENCE_SECONDS - 5
"""Whoever is answered within this did not wait for the end of those who say nothing."""


def raw(served: Served) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(str(served.socket))
    return connection


def framed(payload: bytes) -> bytes:
    return struct.pack("!I", len(payload)) + payload


def name_of(method: str) -> bytes:
    return struct.pack("!I", len(method)) + method.encode() + struct.pack("!I", 0)


def hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def open_connections(served: Served) -> int:
    """Connections to the socket at the daemon's side, as the kernel lists them (state 3 is connected)."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return sum(1 for row in rows if row[-1] == str(served.socket) and row[5] == "03")


@pytest.fixture(autouse=True)
def calm(served: Served) -> None:
    """No test begins before the connections of the last one are closed."""
    wait_for(lambda: open_connections(served), lambda number: number == 0, "closed")


@pytest.fixture
def silent(served: Served) -> Iterator[list[socket.socket]]:
    connections = [raw(served) for _ in range(CONNECTIONS_OF_CALLER - 4)]
    yield connections
    for connection in connections:
        connection.close()


def test_silent_peers_keep_nobody_waiting(
    served: Served, silent: list[socket.socket], connect: Connect
) -> None:
    for connection in silent[:20]:
        connection.sendall(b"\0\0")  # half a length
    for connection in silent[20:40]:
        connection.sendall(struct.pack("!I", 1000) + b"half a frame")
    connect().version()
    connect(PEER_NAME).version()
    assert served.site.accepted("true").job_id


def test_a_caller_has_a_limit_of_connections_and_gets_them_back(
    served: Served, silent: list[socket.socket], connect: Connect
) -> None:
    more = [raw(served) for _ in range(8)]
    # Connections that other tests have left may still be closing, so only the last ones are sure.
    assert hung_up(more[-1])
    for connection in (*more, *silent):
        connection.close()

    def works() -> bool:
        try:
            connect().version()
        except (TTransportException, OSError):
            return False
        return True

    wait_for(works, bool, "served again")


@pytest.mark.parametrize("size", [0, 5 * 1024 * 1024 + 1, 100_000_000, 2**31, 2**32 - 1])
def test_frames_beyond_the_limit_end_the_connection_unread(served: Served, size: int) -> None:
    assert served.site.daemon.running()
    before = peak_memory(served.site.daemon.pid)
    with raw(served) as connection:
        connection.sendall(struct.pack("!I", size))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"x" * 1_000_000)
        assert hung_up(connection)
    assert peak_memory(served.site.daemon.pid) - before < 20_000_000


def test_the_largest_frame_is_still_read(served: Served, peer: Peer, connect: Connect) -> None:
    job = peer.ttypes.JobSpec(
        name="large",
        workingDirectory=str(served.site.work()),
        script="#!/bin/sh\n" + "# comment\n" * 400_000,
        comment="x" * (FRAME_EXTRA // 2),
    )
    with pytest.raises(peer.ttypes.NotFound):
        connect().find("x" * FRAME_EXTRA)
    assert connect().submit("large", job).name == "large"


MALFORMED = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "no version": framed(b"\0" * 64),
    "unknown version": framed(b"\x90\x01\x00\x01" + name_of("version") + b"\0"),
    "name longer than the frame": framed(CALL + struct.pack("!I", 1 << 30) + b"x"),
    "negative length": framed(CALL + b"\xff\xff\xff\xff"),
    "name that is not UTF-8": framed(CALL + struct.pack("!I", 2) + b"\xff\xfe" + b"\0\0\0\0\0"),
    "deep nesting": framed(CALL + name_of("version") + b"\x0c\x00\x63" * 1_000_000),
    "deep lists": framed(CALL + name_of("version") + b"\x0f\x00\x63" + b"\x0f\x00\x00\x00\x01" * 500_000),
    "endless list": framed(CALL + name_of("cancel") + b"\x0f\x00\x01\x0a" + struct.pack("!i", 2**31 - 1)),
    "list of nothing": framed(CALL + name_of("cancel") + b"\x0f\x00\x09\x00" + struct.pack("!i", 2**31 - 1)),
    "end in the middle": framed(CALL + name_of("submit") + b"\x0b\x00\x01\x00\x00\x00\x09abc"),
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_nonsense_ends_its_own_connection_only(served: Served, connect: Connect, message: bytes) -> None:
    client = connect()
    client.version()
    with raw(served) as connection:
        connection.sendall(message)
        if message.startswith(b"GET"):
            return  # its first bytes are a length beyond the limit, so the end may come as a reset
        assert hung_up(connection)
    client.version()
    assert "Traceback" not in served.site.daemon.log


def test_random_bytes_never_end_the_service(served: Served, connect: Connect) -> None:
    chance = random.Random(7)
    for _ in range(200):
        junk = CALL + name_of(chance.choice(["submit", "follow", "jobs", "read"])) + chance.randbytes(40)
        with raw(served) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(framed(junk))
            connection.recv(4096)
    connect().version()
    assert "Traceback" not in served.site.daemon.log


def test_an_unknown_call_is_answered(served: Served) -> None:
    with raw(served) as connection:
        connection.sendall(framed(CALL + name_of("dance") + b"\0"))
        answer = connection.recv(4096)
        assert b"dance" in answer
        connection.sendall(framed(CALL + name_of("version") + b"\0"))
        assert served.site.user.encode() in connection.recv(4096)


def test_peers_that_leave_early_leave_nothing(served: Served) -> None:
    with raw(served):
        wait_for(lambda: open_connections(served), lambda number: number == 1, "counted")
    for _ in range(100):
        with raw(served) as connection:
            connection.sendall(framed(CALL + name_of("capacity") + b"\0"))
    wait_for(lambda: open_connections(served), lambda number: number == 0, "closed again")


def test_many_callers_at_once_are_all_answered(served: Served, connect: Connect) -> None:
    clients = [connect(PEER_NAME if number % 4 == 0 else None) for number in range(40)]
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda client: [client.version().user for _ in range(5)], clients))
    assert answers == [[served.site.user] * 5] * 40
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > CONNECTIONS_OF_CALLER
