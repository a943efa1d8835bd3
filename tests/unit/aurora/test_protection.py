"""The breaker and the budget of creates."""

from __future__ import annotations

import threading

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import OutcomeUnknown, Refused, Unreachable
from airavata_mesos_plugin.schedulers.protection import Breaker, Budget


def test_breaker_opens_and_lets_one_call_try() -> None:
    clock = ManualClock()
    breaker = Breaker(clock, failures=3, pause_seconds=10)
    for error in (Unreachable("a"), OutcomeUnknown("b"), Unreachable("refused")):
        breaker.check()
        breaker.note(error)
    with pytest.raises(Unreachable, match="another 10 s after 3 failures: refused"):
        breaker.check()
    clock.advance(10)
    breaker.check()
    with pytest.raises(Unreachable):
        breaker.check()  # somebody else is trying
    breaker.note(Unreachable("still"))
    clock.advance(9)
    with pytest.raises(Unreachable, match="still"):
        breaker.check()
    clock.advance(1)
    breaker.check()
    breaker.note(None)
    for _ in range(5):
        breaker.check()


def test_refusals_are_answers() -> None:
    breaker = Breaker(ManualClock(), failures=2, pause_seconds=10)
    for _ in range(5):
        breaker.note(Unreachable("x"))
        breaker.note(Refused("no"))
        breaker.check()


def test_budget_waits_and_refuses() -> None:
    clock = ManualClock()
    budget = Budget(clock, threading.Event(), per_second=2.0, burst=3)
    begin = clock.now()
    assert [budget.take(0) for _ in range(4)] == [True, True, True, False]
    assert clock.now() == begin
    assert budget.take(5)
    assert clock.now() == begin + 0.5
    clock.advance(100)
    assert [budget.take(0) for _ in range(4)] == [True, True, True, False]


def test_budget_of_a_stopped_adapter_gives_nothing() -> None:
    stop = threading.Event()
    budget = Budget(ManualClock(), stop, per_second=1.0, burst=1)
    assert budget.take(0)
    stop.set()
    assert not budget.take(10)


def test_no_limit() -> None:
    budget = Budget(ManualClock(), threading.Event(), per_second=None, burst=1)
    assert all(budget.take(0) for _ in range(1000))
