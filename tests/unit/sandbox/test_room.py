"""Connections to one agent are shared fairly."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airavata_mesos_plugin.errors import TransferError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.room import Room
from tests.support.waiting import wait_for


class Crowd:
    """Threads that want places, begun one after the other."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.entered: queue.Queue[tuple[str, int]] = queue.Queue()
        self._leave: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def ask(self, name: str, owner: object = None, most: int = 1, *, long: bool = False) -> None:
        """Begin to ask, and return when the place is there or the wait for it has begun."""
        leave = self._leave[name] = threading.Event()
        before = self.room.waiting + self.entered.qsize()

        def stay() -> None:
            with self.room.places(owner or name, most, long=long, abort=None) as count:
                self.entered.put((name, count))
                assert leave.wait(60)

        thread = threading.Thread(target=stay)
        thread.start()
        self._threads.append(thread)
        wait_for(lambda: self.room.waiting + self.entered.qsize(), lambda n: n > before, f"{name} asks")

    def inside(self) -> tuple[str, int]:
        """Who came in next, and with how many places."""
        return self.entered.get(timeout=60)

    def leaves(self, name: str) -> None:
        self._leave[name].set()

    def end(self) -> None:
        for leave in self._leave.values():
            leave.set()
        for thread in self._threads:
            thread.join(60)


@contextmanager
def crowd(places: int) -> Iterator[Crowd]:
    made = Crowd(Room(places))
    try:
        yield made
    finally:
        made.end()


def test_idle_places_are_given_out_together() -> None:
    with crowd(4) as people:
        people.ask("a", most=8)
        assert people.inside() == ("a", 4)
        people.ask("b", most=8)
        people.ask("c", most=8)
        people.leaves("a")
        assert people.inside() == ("b", 1), "since somebody else waits"
        assert people.inside() == ("c", 3)


def test_in_the_order_of_arrival() -> None:
    with crowd(1) as people:
        for name in "abcd":
            people.ask(name)
        for name in "abcd":
            assert people.inside() == (name, 1)
            people.leaves(name)


def test_whoever_has_the_fewest_is_next() -> None:
    with crowd(3) as people:
        for name in ("big 1", "big 2", "big 3"):
            people.ask(name, owner="big")
            people.inside()
        people.ask("big 4", owner="big")
        people.ask("small", owner="small")
        people.leaves("big 1")
        assert people.inside() == ("small", 1)
        people.leaves("big 2")
        assert people.inside() == ("big 4", 1)


def test_nobody_waits_for_ever_behind_newcomers() -> None:
    with crowd(2) as people:
        people.ask("held", owner="big")
        people.inside()
        people.ask("other")
        people.inside()
        people.ask("patient", owner="big")
        last = "other"
        order = []
        for number in range(8):
            people.ask(f"new {number}")
            people.leaves(last)
            last = people.inside()[0]
            order.append(last)
            if last == "patient":
                break
        assert order == ["new 0", "new 1", "new 2", "new 3", "patient"]


def test_large_files_leave_a_place_for_others() -> None:
    with crowd(4) as people:
        for number in range(5):
            people.ask(f"large {number}", owner=number, most=4, long=True)
        assert people.inside() == ("large 0", 3)
        people.ask("listing")
        assert people.inside() == ("listing", 1)
        people.leaves("listing")
        people.ask("small files", most=8)
        assert people.inside() == ("small files", 1)
        people.leaves("large 0")
        assert {people.inside()[0] for _ in range(3)} == {"large 1", "large 2", "large 3"}


def test_a_single_place_is_for_all() -> None:
    with crowd(1) as people:
        people.ask("large", long=True)
        assert people.inside() == ("large", 1)


def test_an_abort_ends_the_wait() -> None:
    room = Room(1)
    abort = Abort()
    with room.places("a", 1, long=False, abort=None):
        timer = threading.Timer(0.2, abort.abort)
        timer.start()
        with pytest.raises(TransferError, match="stopped"), room.places("b", 1, long=False, abort=abort):
            pass
        timer.join()
    assert room.waiting == 0
    with room.places("c", 1, long=False, abort=None) as count:
        assert count == 1


def test_places_come_back_after_errors() -> None:
    room = Room(2)
    for _ in range(5):
        with pytest.raises(KeyError), room.places("a", 2, long=True, abort=None):
            raise KeyError
    with room.places("a", 2, long=False, abort=None) as count:
        assert count == 2
