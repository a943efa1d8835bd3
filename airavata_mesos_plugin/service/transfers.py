"""How many transfers run at a time, and how fast: places, the line before them, and bandwidth."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airavata_mesos_plugin.clock import Clock

Sleep = Callable[[float], Awaitable[None]]

KEPT_SECONDS = 60.0
"""How long somebody who went away keeps the position in the line."""

SLICE_SECONDS = 0.25
SMALLEST_SLICE_BYTES = 4096
"""Where bandwidth is limited, no more is sent at once than fits into that time, but at least so much: large
pieces with long pauses would look like a broken connection."""


@dataclass
class _Waiter:
    called: asyncio.Future[None] | None = None  # None: not there just now
    left_at: float = 0.0


class Places:
    """A number of places, and a line of those who wait for one. For one event loop."""

    def __init__(self, number: int, clock: Clock) -> None:
        self._free = number
        self._clock = clock
        self._line: OrderedDict[Hashable, _Waiter] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many stand in the line."""
        return len(self._line)

    async def enter(self, name: Hashable, seconds: float) -> bool:
        """Take a place, after all who came before and are there. The caller must `leave` it.

        False when none was free for ``seconds``; who comes back under the same ``name`` soon enough has
        kept the position. A second one of the same name takes over from the first, who gets False.
        """
        waiter = self._line.setdefault(name, _Waiter())
        if waiter.called is not None:
            waiter.called.cancel()
        called = waiter.called = asyncio.get_running_loop().create_future()
        self._call()
        try:
            await asyncio.wait([called], timeout=seconds)
            if called.done() and not called.cancelled():
                return True
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self.leave()
            raise
        finally:
            if waiter.called is called:
                waiter.called, waiter.left_at = None, self._clock.monotonic()
        return False

    def leave(self) -> None:
        """Give a place back."""
        self._free += 1
        self._call()

    def _call(self) -> None:
        now = self._clock.monotonic()
        for name, waiter in list(self._line.items()):
            if waiter.called is None:
                if now - waiter.left_at > KEPT_SECONDS:
                    del self._line[name]
            elif self._free and not waiter.called.done():
                self._free -= 1
                del self._line[name]
                waiter.called.set_result(None)


class Bucket:
    """A token bucket: ``rate`` bytes a second, with one second's worth at once after a pause."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = rate
        self._filled_at = clock.monotonic()

    def take(self, size: int) -> float:
        """Take ``size`` bytes out; the seconds to wait until they may go. Who asks first, goes first."""
        now = self._clock.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate) - size
        self._filled_at = now
        return max(0.0, -self._tokens / self._rate)


class Bandwidth:
    """Bytes a second of all transfers together, and of those of one job; None is no limit."""

    def __init__(
        self, total: float | None, job: float | None, clock: Clock, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._total = None if total is None else Bucket(total, clock)
        self._job_rate = job
        self._clock = clock
        self._sleep = sleep
        self._jobs: dict[int, tuple[Bucket, int]] = {}  # and how many transfers share it
        rates = [rate for rate in (total, job) if rate is not None]
        self._slice = max(SMALLEST_SLICE_BYTES, int(min(rates) * SLICE_SECONDS)) if rates else None

    @contextmanager
    def transfer(self, job_id: int) -> Iterator[Flow]:
        """One transfer of a job."""
        buckets = [] if self._total is None else [self._total]
        if self._job_rate is not None:
            bucket, users = self._jobs.get(job_id) or (Bucket(self._job_rate, self._clock), 0)
            self._jobs[job_id] = bucket, users + 1
            buckets.append(bucket)
        try:
            yield Flow(buckets, self._slice, self._sleep)
        finally:
            if self._job_rate is not None:
                bucket, users = self._jobs.pop(job_id)
                if users > 1:
                    self._jobs[job_id] = bucket, users - 1


class Flow:
    """What one transfer asks before it sends."""

    def __init__(self, buckets: list[Bucket], slice_bytes: int | None, sleep: Sleep) -> None:
        self._buckets = buckets
        self._slice = slice_bytes
        self._sleep = sleep

    def slices(self, piece: bytes) -> Iterator[bytes | memoryview]:
        """The piece in parts that may be sent at once."""
        if self._slice is None or len(piece) <= self._slice:
            yield piece
            return
        view = memoryview(piece)
        for start in range(0, len(piece), self._slice):
            yield view[start : start + self._slice]

    async def wait(self, size: int) -> None:
        """Until ``size`` bytes may be sent."""
        pause = max((bucket.take(size) for bucket in self._buckets), default=0.0)
        if pause:
            await self._sleep(pause)
