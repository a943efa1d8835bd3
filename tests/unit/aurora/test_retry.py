from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    InvalidRequest,
    NotReady,
    OutcomeUnknown,
    Unreachable,
)
from airavata_mesos_plugin.schedulers.retry import Deadline, Retrier, RetryPolicy


class Flaky:
    def __init__(
        self, *errors: AiravataMesosError, clock: ManualClock | None = None, takes: float = 0
    ) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.clock = clock
        self.takes = takes

    def __call__(self, deadline: Deadline) -> str:
        self.calls += 1
        if self.clock is not None:
            self.clock.advance(self.takes)
        if self.errors:
            raise self.errors.pop(0)
        return f"{deadline.remaining():.2f}"


def retrier(clock: ManualClock, stop: threading.Event | None = None, **policy: float) -> Retrier:
    values = {"first_pause_seconds": 1.0, "jitter": 0.0, **policy}
    return Retrier(RetryPolicy(**values), clock, stop or threading.Event(), lambda: 0.0)  # type: ignore[arg-type]


def test_transient_errors_are_waited_out_with_growing_pauses() -> None:
    clock = ManualClock(1000.0)
    action = Flaky(NotReady("a"), Unreachable("b"))
    assert retrier(clock).run(action, repeatable=True, seconds=30) == "27.00"
    assert clock.now() == 1003.0


def test_unknown_outcome_is_repeated_only_where_that_is_harmless() -> None:
    harmless = Flaky(OutcomeUnknown("x"))
    retrier(ManualClock()).run(harmless, repeatable=True, seconds=30)
    assert harmless.calls == 2
    create = Flaky(OutcomeUnknown("x"))
    with pytest.raises(OutcomeUnknown):
        retrier(ManualClock()).run(create, repeatable=False, seconds=30)
    assert create.calls == 1


def test_nothing_sent_is_repeated_always() -> None:
    create = Flaky(Unreachable("x"))
    retrier(ManualClock()).run(create, repeatable=False, seconds=30)
    assert create.calls == 2


def test_lasting_errors_are_raised_at_once() -> None:
    action = Flaky(InvalidRequest("x"))
    with pytest.raises(InvalidRequest):
        retrier(ManualClock()).run(action, repeatable=True, seconds=30)
    assert action.calls == 1


def test_attempts_end() -> None:
    action = Flaky(*[NotReady(str(n)) for n in range(9)])
    with pytest.raises(NotReady, match="3"):
        retrier(ManualClock(), attempts=4).run(action, repeatable=True, seconds=300)
    assert action.calls == 4


def test_time_ends_before_the_attempts() -> None:
    clock = ManualClock(0.0)
    action = Flaky(*[NotReady("x")] * 9, clock=clock, takes=4)
    with pytest.raises(NotReady):
        retrier(clock, attempts=9).run(action, repeatable=True, seconds=10)
    assert action.calls == 2  # 4 s, pause 1 s, 4 s; the next pause of 2 s would pass the deadline
    assert clock.now() == 9.0


def test_stop_ends_the_waiting() -> None:
    stop = threading.Event()
    stop.set()
    action = Flaky(NotReady("x"))
    with pytest.raises(NotReady):
        retrier(ManualClock(), stop).run(action, repeatable=True, seconds=30)
    assert action.calls == 1


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_pauses_stay_within_bounds(failures: int, chance: float) -> None:
    policy = RetryPolicy()
    pause = policy.pause(failures, chance)
    assert policy.first_pause_seconds * (1 - policy.jitter) <= pause <= policy.longest_pause_seconds
