"""The connections to one agent, shared by all fetches from it so that nobody waits for very long.

Whoever has the fewest gets the next one; among equals, whoever came first. Those that were passed over
several times count as having fewer. Large files keep a connection for as long as they take, so not all
connections are for them: listings and small files always find one that is free soon.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airavata_mesos_plugin.sandbox.abort import Abort

_LOOK_SECONDS = 0.1  # how often an abort is looked at
_PATIENCE = 4  # so often a waiting one is passed over until it counts as having one less


@dataclass(eq=False)
class _Waiting:
    owner: Hashable
    long: bool
    passed_over: int = 0


class Room:
    """Places for one agent. Safe to use from several threads."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._free_for_long = places if places == 1 else places - max(1, places // 4)
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []  # in the order in which they came
        self._held: Counter[Hashable] = Counter()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    @contextmanager
    def places(self, owner: Hashable, most: int, *, long: bool, abort: Abort | None) -> Iterator[int]:
        """So many places for ``owner`` as the block is told: one, which is waited for, and up to ``most``
        if nobody else waits. ``long`` when it is not known how soon they come back.

        Raises TransferError when ``abort`` is set while this waits.
        """
        count = self._enter(_Waiting(owner, long), most, abort)
        try:
            yield count
        finally:
            with self._changed:
                self._take(owner, -count, long=long)
                self._changed.notify_all()

    def _enter(self, me: _Waiting, most: int, abort: Abort | None) -> int:
        with self._changed:
            self._waiting.append(me)
            try:
                while self._next() is not me:
                    self._changed.wait(_LOOK_SECONDS)
                    if abort is not None:
                        abort.check()
                for other in self._waiting:
                    other.passed_over += other is not me and self._may_enter(other)
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()  # perhaps there is room for another one
            # Only the first is waited for: two that wait while they hold some would wait for ever.
            room = min(self._free, self._free_for_long) if me.long else self._free
            count = 1 if self._waiting else max(1, min(most, room))
            self._take(me.owner, count, long=me.long)
            return count

    def _next(self) -> _Waiting | None:
        able = [one for one in self._waiting if self._may_enter(one)]
        return min(able, key=lambda one: self._held[one.owner] - one.passed_over // _PATIENCE, default=None)

    def _may_enter(self, one: _Waiting) -> bool:
        return self._free > 0 and (not one.long or self._free_for_long > 0)

    def _take(self, owner: Hashable, count: int, *, long: bool) -> None:
        self._free -= count
        if long:
            self._free_for_long -= count
        self._held[owner] += count
        if not self._held[owner]:
            del self._held[owner]
