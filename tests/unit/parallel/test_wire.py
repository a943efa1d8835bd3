"""Messages between nodes: who does not know the secret learns and changes nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from airavata_mesos_plugin.parallel import wire

SECRET = bytes(range(32))
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asks = socket.create_connection(listener.getsockname())
        waits, _ = listener.accept()
    yield asks, waits
    asks.close()
    waits.close()


def together(first: Callable[[], object], second: Callable[[], object]) -> list[object]:
    """What both calls gave or raised."""
    results: list[object] = [None, None]

    def call(place: int, what: Callable[[], object]) -> None:
        try:
            results[place] = what()
        except (wire.Lost, wire.Forged) as error:
            results[place] = type(error)

    threads = [threading.Thread(target=call, args=item) for item in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def channels(pair: Pair) -> tuple[wire.Channel, wire.Channel]:
    asks, waits = pair
    both = together(lambda: wire.greet(asks, SECRET, 3), lambda: wire.welcome(waits, SECRET, 3))
    asking, waiting = both
    assert isinstance(asking, wire.Channel)
    assert isinstance(waiting, wire.Channel)
    return asking, waiting


def test_messages_arrive_in_order(pair: Pair) -> None:
    asking, waiting = channels(pair)
    asking.send(wire.STDIN, b"a")
    asking.send(wire.STDIN, b"")
    waiting.send(wire.EXIT, b"-9")
    assert [waiting.receive(60), waiting.receive(60)] == [(wire.STDIN, b"a"), (wire.STDIN, b"")]
    assert asking.receive(60) == (wire.EXIT, b"-9")
    assert asking.quiet()


@pytest.mark.parametrize(("secret", "node"), [(b"x" * 32, 3), (SECRET, 2)])
def test_another_secret_or_another_node_is_refused(pair: Pair, secret: bytes, node: int) -> None:
    asks, waits = pair

    def welcome() -> object:
        try:
            return wire.welcome(waits, SECRET, 3)
        except wire.Forged:
            waits.close()
            raise

    assert together(lambda: wire.greet(asks, secret, node), welcome) == [wire.Lost, wire.Forged]


def test_a_false_waiting_side_is_found_out(pair: Pair) -> None:
    asks, waits = pair

    def pretend() -> None:
        waits.sendall(b"n" * 32)
        waits.recv(1000)
        waits.sendall(b"s" * 32)

    assert together(lambda: wire.greet(asks, SECRET, 3), pretend)[0] is wire.Forged


def test_a_changed_a_repeated_and_a_foreign_message_are_found_out(pair: Pair) -> None:
    asks, waits = pair
    asking, waiting = channels(pair)
    asking.send(wire.SIGNAL, b"9")
    original = waits.recv(1000, socket.MSG_PEEK)
    assert waiting.receive(60) == (wire.SIGNAL, b"9")
    asks.sendall(original)
    with pytest.raises(wire.Forged):
        waiting.receive(60)


@pytest.mark.parametrize("place", [0, 4, 5, -1])
def test_every_byte_counts(pair: Pair, place: int) -> None:
    asks, waits = pair
    asking, waiting = channels(pair)
    waiting.send(wire.EXIT, b"0")
    message = bytearray(asks.recv(1000))
    message[place] ^= 1
    waits.sendall(message)  # as if somebody between had sent it in place of the first one
    waits.shutdown(socket.SHUT_WR)
    with pytest.raises((wire.Forged, wire.Lost)):
        asking.receive(60)


def test_silence_and_the_end_of_the_connection(pair: Pair) -> None:
    asking, waiting = channels(pair)
    with pytest.raises(wire.Lost, match="no sign of life"):
        asking.receive(0.01)
    waiting.close()
    waiting.close()
    with pytest.raises(wire.Lost, match="closed"):
        asking.receive(60)
    assert not asking.quiet()


def test_a_message_that_is_too_long_is_not_sent(pair: Pair) -> None:
    asking, _ = channels(pair)
    with pytest.raises(ValueError, match="too long"):
        asking.send(wire.STDIN, bytes(wire.LARGEST + 1))
