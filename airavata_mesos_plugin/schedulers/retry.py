"""How often, how long and with what pauses a call is tried again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError

T = TypeVar("T")


class Deadline:
    """A point in time until which a call has to be over."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that are left; 0 or less when the time is up."""
        return self._end - self._clock.monotonic()


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of repetition. Few attempts only: it bridges a blip; waiting out a failure is the caller's."""

    attempts: int = 3
    first_pause_seconds: float = 0.2
    growth: float = 2.0
    longest_pause_seconds: float = 5.0
    jitter: float = 0.5
    """Share of each pause that is random, so that many clients do not come back at one instant."""

    def pause(self, failures: int, chance: float) -> float:
        """Seconds to wait after that many failures (1 and up); ``chance`` is a random number in [0, 1)."""
        # The exponent is bounded, or a great number of failures would overflow.
        steps = min(failures - 1, 64)
        whole = min(self.first_pause_seconds * self.growth**steps, self.longest_pause_seconds)
        return whole * (1.0 - self.jitter * chance)


class Retrier:
    """Runs calls under one policy. Safe to use from several threads."""

    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock,
        stop: threading.Event,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._stop = stop
        self._chance = chance

    def run(self, action: Callable[[Deadline], T], *, repeatable: bool, seconds: float) -> T:
        """The result of ``action``, tried again after transient errors within ``seconds`` in all.

        An action that is not ``repeatable`` is tried again only when the error says that nothing was
        done. Raises the last error when attempts or time are used up or the stop event is set.
        """
        deadline = Deadline(self._clock, seconds)
        failures = 0
        while True:
            try:
                return action(deadline)
            except AiravataMesosError as error:
                failures += 1
                if not error.transient or (error.outcome_unknown and not repeatable):
                    raise
                pause = self._policy.pause(failures, self._chance())
                if failures >= self._policy.attempts or deadline.remaining() <= pause:
                    raise
                if self._clock.wait(self._stop, pause):
                    raise
