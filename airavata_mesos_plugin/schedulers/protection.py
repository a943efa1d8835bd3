"""Keeps calls away from a scheduler that does not answer, and creates within a budget."""

from __future__ import annotations

import threading

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError, OutcomeUnknown, Unreachable


class Breaker:
    """After some failures in a row nothing is sent for a while; then one call tries. Thread-safe.

    Only failures to reach the scheduler count. A refusal is an answer.
    """

    def __init__(self, clock: Clock, failures: int, pause_seconds: float) -> None:
        self._clock = clock
        self._most = failures
        self._pause = pause_seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._last = ""

    def check(self) -> None:
        """Raises Unreachable while nothing is to be sent."""
        with self._lock:
            if self._failures < self._most:
                return
            now = self._clock.monotonic()
            if now >= self._open_until:
                # This caller tries; the others wait for what becomes of it.
                self._open_until = now + self._pause
                return
            seconds = self._open_until - now
        raise Unreachable(
            f"nothing is sent for another {seconds:.0f} s after {self._most} failures: {self._last}"
        )

    def note(self, error: AiravataMesosError | None) -> None:
        """What became of a call."""
        with self._lock:
            if not isinstance(error, (Unreachable, OutcomeUnknown)):
                self._failures = 0
                return
            self._failures += 1
            self._last = error.message
            if self._failures >= self._most:
                self._open_until = self._clock.monotonic() + self._pause


class Budget:
    """So many creates per second, after a burst; thread-safe. A rate of None sets no limit."""

    def __init__(self, clock: Clock, stop: threading.Event, per_second: float | None, burst: int) -> None:
        self._clock = clock
        self._stop = stop
        self._rate = per_second
        self._burst = float(burst)
        self._lock = threading.Lock()
        self._left = float(burst)
        self._seen = clock.monotonic()

    def take(self, seconds: float) -> bool:
        """Take one, waiting ``seconds`` at most; False when none is free by then."""
        if self._rate is None:
            return True
        with self._lock:
            now = self._clock.monotonic()
            self._left = min(self._burst, self._left + (now - self._seen) * self._rate)
            self._seen = now
            pause = max(0.0, (1.0 - self._left) / self._rate)
            if pause > seconds:
                return False
            self._left -= 1.0  # below zero: taken from what is to come
        return pause == 0 or not self._clock.wait(self._stop, pause)
