"""When to try again: growing pauses, per job, on the injected clock."""

from __future__ import annotations

from collections.abc import Hashable

from airavata_mesos_plugin.clock import Clock


class Pacing:
    """Remembers for each id how often it failed in a row and when its next try is due.

    In memory only: after a restart everything is due at once, which is right, since every step of the
    life cycle may be repeated.
    """

    def __init__(self, clock: Clock, first_seconds: float, longest_seconds: float) -> None:
        self._clock = clock
        self._first = first_seconds
        self._longest = longest_seconds
        self._waiting: dict[Hashable, tuple[int, float]] = {}

    def due(self, key: Hashable) -> bool:
        """True when ``key`` never failed, or its pause is over."""
        entry = self._waiting.get(key)
        return entry is None or entry[1] <= self._clock.monotonic()

    def seconds(self, key: Hashable) -> float:
        """How long the pause of ``key`` still is; 0 when it is due."""
        entry = self._waiting.get(key)
        return 0.0 if entry is None else max(0.0, entry[1] - self._clock.monotonic())

    def postpone(self, key: Hashable) -> int:
        """Note a failure and begin a pause, twice as long as the last. Returns the failures so far."""
        failures = self._waiting.get(key, (0, 0.0))[0] + 1
        pause = min(self._first * 2 ** min(failures - 1, 32), self._longest)
        self._waiting[key] = (failures, self._clock.monotonic() + pause)
        return failures

    def forget(self, key: Hashable) -> None:
        """It worked, or it does not matter any more."""
        self._waiting.pop(key, None)
