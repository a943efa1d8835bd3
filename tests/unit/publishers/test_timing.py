"""When a state may be told."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.airavata.publishers.announcements import Announcement, announcements
from airavata_mesos_plugin.airavata.publishers.timing import Move, Rest, Say, Wait, next_move
from airavata_mesos_plugin.jobs import JobEvent, JobPhase
from airavata_mesos_plugin.store import Delivery

ACCEPTED_AT = 1000.0
PHASES = (JobPhase.ACCEPTED, JobPhase.QUEUED, JobPhase.RUNNING, JobPhase.COMPLETED)


def told(count: int) -> list[Announcement]:
    """The announcements of a job that has come to the phase of that number."""
    return announcements(
        JobEvent(1, number, ACCEPTED_AT + number, phase, "test", "")
        for number, phase in enumerate(PHASES[:count], start=1)
    )


def move(delivery: Delivery, steps: list[Announcement], now: float, settle: float = 10.0) -> Move:
    return next_move(delivery, steps, ACCEPTED_AT, now, pause_seconds=2.0, settle_seconds=settle)


def at(count: int, **more: object) -> Delivery:
    state = ("", "ACTIVE", "COMPLETE")[count]
    return Delivery(1, "kafka", told=count, state=state, **more)  # type: ignore[arg-type]


RUNNING = told(3)
ENDED = told(4)


@pytest.mark.parametrize(
    ("delivery", "steps", "now", "expected"),
    [
        (at(0), told(2), 1001.0, Rest()),
        (at(0), RUNNING, 1003.0, Say(RUNNING[0])),
        # A start that was told early is told again, once.
        (at(1, told_at=1003.0), RUNNING, 1003.0, Wait(1010.0)),
        (at(1, told_at=1009.5), RUNNING, 1010.0, Wait(1011.5)),
        (at(1, told_at=1003.0), RUNNING, 1010.0, Say(RUNNING[0], again=True)),
        (at(1, told_at=1010.0), RUNNING, 1012.0, Rest()),
        # An end comes after the pause, and not before Airavata must know the job.
        (at(1, told_at=1003.0), ENDED, 1004.0, Wait(1010.0)),
        (at(1, told_at=1003.0), ENDED, 1010.0, Say(ENDED[1])),
        (at(1, told_at=1020.0), ENDED, 1021.0, Wait(1022.0)),
        (at(1, told_at=1020.0), ENDED, 1022.0, Say(ENDED[1])),
        (at(2, told_at=1022.0), ENDED, 1022.0, Rest(over=True)),
        # The clock was set back.
        (at(1, told_at=5000.0), ENDED, 1022.0, Say(ENDED[1])),
        (at(0), ENDED[1:], 900.0, Say(ENDED[1])),
    ],
)
def test_moves(delivery: Delivery, steps: list[Announcement], now: float, expected: Move) -> None:
    assert move(delivery, steps, now) == expected


def test_a_channel_on_which_nothing_is_lost_need_not_wait_or_repeat() -> None:
    assert move(at(1, told_at=1003.0), RUNNING, 1003.0, settle=0.0) == Rest()
    assert move(at(1, told_at=1003.0), ENDED, 1005.0, settle=0.0) == Say(ENDED[1])
    assert move(at(1, told_at=1003.0), ENDED, 1004.0, settle=0.0) == Wait(1005.0)
