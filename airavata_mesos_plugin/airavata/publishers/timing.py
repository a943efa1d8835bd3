"""When the next state of a job may be told on a channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.airavata.publishers.announcements import ACTIVE, Announcement
from airavata_mesos_plugin.store import Delivery


@dataclass(frozen=True)
class Say:
    """Tell this now; ``again``: it was told before."""

    announcement: Announcement
    again: bool = False


@dataclass(frozen=True)
class Wait:
    """Look again at this time, seconds since the epoch."""

    until: float


@dataclass(frozen=True)
class Rest:
    """Nothing to tell before the next event; ``over``: nothing ever."""

    over: bool = False


Move = Say | Wait | Rest


def next_move(
    delivery: Delivery,
    steps: Sequence[Announcement],
    accepted_at: float,
    now: float,
    *,
    pause_seconds: float,
    settle_seconds: float,
) -> Move:
    """What to do for a delivery of which ``steps`` are to be told. All times are in seconds.

    Airavata develop works off messages that come together in several threads, so there is a pause between
    two states of a job. It stores a job only after sbatch has answered, and drops what it hears before:
    within ``settle_seconds`` after the submission an end is held back, and a start that was told is told
    once more afterwards (0 where that does not matter).
    """
    settled_at = accepted_at + settle_seconds
    free_at = 0.0
    # A clock that was set back must not make anybody wait for the time that it left.
    if delivery.told_at is not None and delivery.told_at <= now:
        free_at = delivery.told_at + pause_seconds
    if delivery.told < len(steps):
        step = steps[delivery.told]
        if step.final and accepted_at <= now:
            free_at = max(free_at, settled_at)
        return Say(step) if free_at <= now else Wait(free_at)
    if steps and steps[-1].final:
        return Rest(over=True)
    early = delivery.told_at is not None and accepted_at <= delivery.told_at < settled_at
    if early and delivery.state == ACTIVE:
        free_at = max(free_at, settled_at)
        return Say(steps[delivery.told - 1], again=True) if free_at <= now else Wait(free_at)
    return Rest()
