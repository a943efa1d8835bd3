"""Frames between the daemon and its helpers: whole or not at all, and nothing is believed."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.sandbox.accounts import wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        yield ours, theirs


def test_a_frame_arrives_as_it_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    head = {"kind": "x", "name": "a\udcff\u00e9\n", "number": -5, "list": [1, "b"]}
    wire.send(theirs, head, [b"one", b"", b"two\0"])
    wire.send(theirs, {"kind": "y"})
    receiver = wire.Receiver(ours)
    assert receiver.receive() == wire.Frame(head, b"onetwo\0")
    assert receiver.receive() == wire.Frame({"kind": "y"})


@given(cuts=st.lists(st.integers(1, 60), max_size=5))
def test_a_time_out_in_the_middle_loses_nothing(cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    source, sink = socket.socketpair()
    with ours, theirs, source, sink:
        wire.send(source, {"kind": "data"}, [b"content"])
        source.close()
        data = sink.recv(1000)
        ours.settimeout(0.001)
        receiver = wire.Receiver(ours)
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
            theirs.sendall(data[begin:end])
            if end < len(data):
                with pytest.raises(TimeoutError):
                    receiver.receive()
        assert receiver.receive() == wire.Frame({"kind": "data"}, b"content")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", wire.HEAD_LIMIT + 1, 0),
        struct.pack(">II", 2, wire.BODY_LIMIT + 1),
        struct.pack(">II", 2, 11),
        struct.pack(">II", 3, 0) + b"{]}",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 2, 0) + b"\xff\xff",
        struct.pack(">II", 100_000, 0) + b"[" * 100_000,
    ],
)
def test_what_is_no_frame(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(data)
    with pytest.raises(wire.Malformed):
        wire.Receiver(ours).receive(10)


@pytest.mark.parametrize("data", [b"", b"\0\0", struct.pack(">II", 9, 0) + b"{"])
def test_an_end_in_the_middle(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, theirs = pair
    theirs.sendall(data)
    theirs.close()
    with pytest.raises(wire.PeerGone):
        wire.Receiver(ours).receive()


def test_sending_to_nobody(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    with pytest.raises(wire.PeerGone):
        wire.send(ours, {"kind": "x"}, [b"x" * 1_000_000])


def test_members_have_the_types_that_are_asked_for() -> None:
    frame = wire.Frame({"text": "x", "number": 3, "flag": True})
    assert (frame.text("text"), frame.number("number"), frame.flag("flag")) == ("x", 3, True)
    for wrong in (
        lambda: frame.text("number"),
        lambda: frame.number("flag"),
        lambda: frame.number("text"),
        lambda: frame.flag("number"),
        lambda: frame.text("missing"),
        lambda: frame.kind,
    ):
        with pytest.raises(wire.Malformed):
            wrong()
