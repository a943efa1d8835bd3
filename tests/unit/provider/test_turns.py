"""Many jobs end together: whose outputs are fetched now."""

from __future__ import annotations

import random

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.provider.turns import Turns

SECONDS = 10.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def turns(clock: ManualClock, quick: int = 2, long: int = 1) -> Turns:
    return Turns(clock, quick=quick, long=long, seconds=SECONDS)


def test_jobs_begin_in_their_order(clock: ManualClock) -> None:
    order = turns(clock)
    order.offer([5, 3, 9])
    assert order.begin() == [5, 3]
    order.offer([1, 5, 3, 9])
    assert order.begin() == []
    order.ended(3, over=True)
    assert order.begin() == [9], "it came before job 1"
    assert order.overdue() == []


def test_a_job_that_wants_no_turn_any_more_loses_its_place(clock: ManualClock) -> None:
    order = turns(clock, quick=1)
    order.offer([1, 2, 3])
    order.begin()
    order.offer([1, 3])
    order.ended(1, over=False)
    order.offer([3, 2])
    assert order.begin() == [3]


def test_a_long_one_gets_a_place_for_long_ones(clock: ManualClock) -> None:
    order = turns(clock)
    order.offer([1, 2, 3])
    assert order.begin() == [1, 2]
    clock.advance(SECONDS)
    assert order.overdue() == [], "job 1 moves, so there is a place"
    assert order.begin() == [3]
    order.offer([4, 5])
    assert order.overdue() == [2], "job 2 has nowhere to move to"
    order.ended(2, over=False)
    order.offer([2, 4, 5])
    assert order.begin() == [4], "job 2 waits for job 1"
    order.ended(1, over=True)
    assert order.begin() == [2]
    clock.advance(100 * SECONDS)
    assert order.overdue() == [3, 4], "job 2 is not disturbed any more"


def test_nobody_makes_way_when_nobody_waits(clock: ManualClock) -> None:
    order = turns(clock)
    order.offer([1, 2])
    order.begin()
    clock.advance(10 * SECONDS)
    assert order.overdue() == []
    order.offer([3])
    assert order.begin() == [3], "in the place of job 1, which has moved"
    order.offer([4])
    assert order.overdue() == [2]


def test_long_ones_that_wait_do_not_drive_others_away(clock: ManualClock) -> None:
    order = turns(clock, quick=1)
    order.offer([1, 2])
    order.begin()
    clock.advance(SECONDS)
    order.overdue()
    assert order.begin() == [2]
    order.offer([3])
    clock.advance(SECONDS)
    assert order.overdue() == [2]
    order.ended(2, over=False)
    order.offer([2, 3])
    assert order.begin() == [3]
    clock.advance(SECONDS)
    assert order.overdue() == [], "job 2 could not use the place"


@pytest.mark.parametrize("seed", range(20))
def test_nobody_waits_behind_a_terabyte(seed: int) -> None:
    """A model: jobs of all sizes, some without end, come at any time; what becomes of each?"""
    chance = random.Random(seed)
    clock = ManualClock(0.0)
    quick, long = chance.randint(1, 4), chance.randint(1, 3)
    order = turns(clock, quick=quick, long=long)
    left: dict[int, float] = {}  # seconds that each job still needs
    ahead: dict[int, int] = {}  # how many were there when it came
    waits_since: dict[int, float] = {}
    running: set[int] = set()
    done: set[int] = set()
    small: set[int] = set()
    number = 0
    for _ in range(2000):
        for _ in range(chance.choice([0] * 20 + [1, 2, 10])):
            number += 1
            left[number] = chance.choice([0.5, 1.0, 3.0, 8.0, 200.0, float("inf")])
            if left[number] < SECONDS:
                small.add(number)
            ahead[number] = len(left) - len(running) - 1
            waits_since[number] = clock.now()
        order.offer(job for job in left if job not in running)
        for job in order.begin():
            running.add(job)
            if job in waits_since:
                waited = clock.now() - waits_since.pop(job)
                assert waited <= (ahead[job] // quick + 1) * (SECONDS + 1), f"job {job} waited {waited} s"
        assert len(running) <= quick + long
        for job in order.overdue():
            assert job not in small, "what takes less than its time is not disturbed"
            running.remove(job)
            order.ended(job, over=False)
        clock.advance(0.5)
        for job in list(running):
            left[job] -= 0.5
            if left[job] <= 0:
                running.remove(job)
                order.ended(job, over=True)
                del left[job]
                done.add(job)
    assert small & done, "the model has done something"
    oldest_long = [job for job in sorted(left) if left[job] < float("inf") and job not in running][:1]
    assert all(job > long for job in oldest_long)
