"""Time as the cluster sees it, so that tests can move it instead of waiting."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None:
        """Do not call back any more; harmless after the call and when repeated."""


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since the epoch; never less than an answer given before."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call back once, after `seconds`, from the event loop."""


class LoopClock:
    """The running event loop's timers and the system's clock."""

    def __init__(self) -> None:
        self._last = 0

    def now_ms(self) -> int:
        self._last = max(self._last, time.time_ns() // 1_000_000)
        return self._last

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


class OffsetClock:
    """Another clock, wrong by `offset` seconds: a fault to be switched on.  Timers run as before.

    Moving the offset back breaks the promise of `now_ms`, as a clock that is set back does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset = 0.0

    def now_ms(self) -> int:
        return self._clock.now_ms() + round(self.offset * 1000)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return self._clock.call_later(seconds, callback)


async def pause(clock: Clock, seconds: float) -> None:
    """Wait for as long as `clock` says."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not over.done():
            over.set_result(None)

    timer = clock.call_later(seconds, wake)
    try:
        await over
    finally:
        timer.cancel()


class _ManualTimer:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class ManualClock:
    """Stands still until `advance` is called; needs no event loop."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._start_ms = start_ms
        self._elapsed = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _ManualTimer]] = []

    def now_ms(self) -> int:
        return self._start_ms + round(self._elapsed * 1000)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        timer = _ManualTimer(callback)
        heapq.heappush(self._timers, (self._elapsed + max(0.0, seconds), next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move time forward, calling back in order everything that falls due, also what is added on the
        way."""
        end = self._elapsed + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, due)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._elapsed = end
