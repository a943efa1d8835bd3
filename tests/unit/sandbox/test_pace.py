"""Telling who sends next to nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from airavata_mesos_plugin.sandbox.agent.pace import Pace, TooSlow


class Arrivals:
    """A clock that goes on by what the next bytes take to come."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._time = 0.0
        self._starts = True
        self.takes = 0.0

    def now(self) -> float:
        if not self._starts:
            self._time += self.takes
        self._starts = not self._starts
        return self._time


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize(
    ("least", "size", "takes", "enough"),
    [
        (16.0, 1, 0.5, False),  # 20 bytes in 10 s
        (16.0, 7, 0.5, False),
        (16.0, 8, 0.5, True),
        (16.0, 1, 0.05, True),  # 200 bytes in 10 s
        (0.0, 1, 5.0, True),
        (16.0, 160, 9.9, True),
    ],
)
def test_the_least_rate(
    pair: tuple[socket.socket, socket.socket], least: float, size: int, takes: float, enough: bool
) -> None:
    ours, theirs = pair
    arrivals = Arrivals(ours)
    arrivals.takes = takes
    pace = Pace(least, 10.0, arrivals.now)
    pace.start()
    buffer = memoryview(bytearray(1000))

    def rounds(count: int) -> None:
        for _ in range(count):
            theirs.sendall(b"x" * size)
            assert pace.receive(ours, buffer) == size

    if enough:
        rounds(1000)
    else:
        with pytest.raises(TooSlow, match="10 s"):
            rounds(1000)


def test_the_end_of_a_connection_is_not_slow(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    arrivals = Arrivals(ours)
    arrivals.takes = 20.0
    pace = Pace(16.0, 10.0, arrivals.now)
    theirs.close()
    assert pace.receive(ours, memoryview(bytearray(10))) == 0
