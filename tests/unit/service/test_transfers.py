"""Places, the line before them, and bandwidth, with a clock that moves only when told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.service.transfers import (
    KEPT_SECONDS,
    SMALLEST_SLICE_BYTES,
    Bandwidth,
    Bucket,
    Places,
)

FOREVER = 3600.0


def in_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(bounded())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_comes_first_is_served_first() -> None:
    async def test() -> None:
        places = Places(2, ManualClock())
        served: list[int] = []

        async def agent(number: int) -> None:
            assert await places.enter(number, FOREVER)
            served.append(number)

        agents = []
        for number in range(5):
            agents.append(asyncio.create_task(agent(number)))
            await settle()
        assert served == [0, 1]
        assert places.waiting == 3
        for expected in ([0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4]):
            places.leave()
            await settle()
            assert served == expected
        assert places.waiting == 0
        await asyncio.gather(*agents)

    in_loop(test)


def test_who_comes_back_has_kept_the_position() -> None:
    async def test() -> None:
        clock = ManualClock()
        places = Places(1, clock)
        assert await places.enter("busy", 0)
        assert not await places.enter("first", 0)
        assert not await places.enter("second", 0)
        clock.advance(KEPT_SECONDS)
        second = asyncio.create_task(places.enter("second", FOREVER))
        first = asyncio.create_task(places.enter("first", FOREVER))
        await settle()
        places.leave()
        await settle()
        assert (first.done(), second.done()) == (True, False)
        places.leave()
        assert await second

    in_loop(test)


def test_a_place_is_not_kept_free_for_who_is_away() -> None:
    async def test() -> None:
        clock = ManualClock()
        places = Places(1, clock)
        assert await places.enter("busy", 0)
        assert not await places.enter("away", 0)
        there = asyncio.create_task(places.enter("there", FOREVER))
        await settle()
        places.leave()
        assert await there
        assert places.waiting == 1  # whoever is away has the position still
        clock.advance(KEPT_SECONDS + 1)
        places.leave()
        assert places.waiting == 0
        assert await places.enter("away", 0)

    in_loop(test)


def test_a_second_one_of_the_same_name_takes_over() -> None:
    async def test() -> None:
        places = Places(1, ManualClock())
        assert await places.enter("busy", 0)
        old = asyncio.create_task(places.enter("agent", FOREVER))
        await settle()
        new = asyncio.create_task(places.enter("agent", FOREVER))
        assert not await old
        places.leave()
        assert await new
        places.leave()
        assert await places.enter("next", 0)

    in_loop(test)


def test_a_place_of_one_who_gives_up_goes_to_the_next() -> None:
    async def test() -> None:
        places = Places(1, ManualClock())
        assert await places.enter("busy", 0)
        agent = asyncio.create_task(places.enter("agent", FOREVER))
        await settle()
        places.leave()  # it is called, and cancelled before it hears of it
        agent.cancel()
        await asyncio.wait([agent])
        assert agent.cancelled()
        assert await places.enter("next", 0)

    in_loop(test)


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 3)), min_size=1, max_size=50))
def test_no_more_than_the_rate_and_one_second_at_once(steps: list[tuple[int, float]]) -> None:
    clock = ManualClock(0.0)
    bucket = Bucket(1000.0, clock)
    sent = 0
    for size, pause in steps:
        clock.advance(pause)
        clock.advance(bucket.take(size))
        sent += size
        assert sent <= 1000.0 * clock.now() + 1000.0 + 5000.0


def test_bandwidth_is_shared_in_turn() -> None:
    async def test() -> None:
        clock = ManualClock(0.0)
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        bandwidth = Bandwidth(1000.0, None, clock, sleep)
        with bandwidth.transfer(1) as one, bandwidth.transfer(2) as two:
            for flow in (one, two, one, two):
                await flow.wait(1000)
        assert pauses == [1.0, 2.0, 3.0]

    in_loop(test)


def test_a_job_has_a_limit_of_its_own_however_many_transfers_it_has() -> None:
    async def test() -> None:
        clock = ManualClock(0.0)
        pauses: list[tuple[str, float]] = []
        turn = ""

        async def sleep(seconds: float) -> None:
            pauses.append((turn, seconds))

        bandwidth = Bandwidth(None, 1000.0, clock, sleep)
        with bandwidth.transfer(1) as one:
            with bandwidth.transfer(1) as same, bandwidth.transfer(2) as other:
                for name, flow in (("one", one), ("same", same), ("other", other)):
                    turn = name
                    await flow.wait(1000)
            turn = "one"
            await one.wait(1000)
        with bandwidth.transfer(1) as later:
            turn = "later"
            await later.wait(1000)
        assert pauses == [("same", 1.0), ("one", 2.0)]

    in_loop(test)


def test_pieces_are_sliced_only_where_there_is_a_limit() -> None:
    piece = bytes(range(256)) * 4096
    with Bandwidth(None, None, ManualClock()).transfer(1) as flow:
        assert list(flow.slices(piece)) == [piece]
    with Bandwidth(1e6, 2e6, ManualClock()).transfer(1) as flow:
        slices = list(flow.slices(piece))
        assert max(map(len, slices)) == 250_000
        assert b"".join(slices) == piece
    with Bandwidth(10.0, None, ManualClock()).transfer(1) as flow:
        assert len(next(flow.slices(piece))) == SMALLEST_SLICE_BYTES
