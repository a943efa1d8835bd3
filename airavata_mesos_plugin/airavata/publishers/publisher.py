"""Tells what is due on one channel, at least once and in order, whatever happens to the channel."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from airavata_mesos_plugin.airavata.publishers.announcements import Announcement, announcements
from airavata_mesos_plugin.airavata.publishers.base import Channel, Parcel
from airavata_mesos_plugin.airavata.publishers.timing import Rest, Say, Wait, next_move
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config.airavata import AiravataSettings
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.jobs import JobEvent, JobRecord
from airavata_mesos_plugin.provider.pacing import Pacing
from airavata_mesos_plugin.store import Delivery, Ledger

log = logging.getLogger(__name__)

BATCH = 100
"""Deliveries of one turn."""

LOOK_SECONDS = 1.0
"""Longest pause between two looks into the ledger."""


class Publisher:
    """One channel with its deliveries. Used by one thread.

    Everything that counts is in the ledger; a restart goes on where the last one ended, and tells at most
    one state of a job a second time.
    """

    def __init__(self, channel: Channel, ledger: Ledger, clock: Clock, settings: AiravataSettings) -> None:
        self.channel = channel
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._settle_seconds = settings.settle_seconds if channel.settles else 0.0
        self._destinations = Pacing(clock, settings.retry_seconds, settings.longest_retry_seconds)

    def turn(self, stop: threading.Event) -> float:
        """Tell what is due, until ``stop`` is set. Returns the seconds until the next look. Repeatable."""
        outbox = self._ledger.outbox
        due = outbox.due(self.channel.name, self._clock.now(), BATCH)
        put_off: list[tuple[Delivery, int]] = []
        for delivery in due:
            if stop.is_set():
                break
            later = self._tell(delivery, stop)
            if later is not None:
                put_off.append(later)
        if put_off:
            outbox.store(put_off)
        if len(due) == BATCH:
            return 0.0
        soonest = outbox.next_due(self.channel.name)
        return LOOK_SECONDS if soonest is None else min(LOOK_SECONDS, max(0.0, soonest - self._clock.now()))

    def told(self, delivery: Delivery) -> tuple[list[str], list[str]]:
        """The states of a job that this channel has told, and those that wait."""
        events = self._ledger.events(delivery.job_id)
        record = self._ledger.job(delivery.job_id)
        said: list[str] = []
        waiting: list[str] = []
        last = ""
        for index, step in enumerate(announcements(events)):
            if step.state != last and self._compose(record, step) is not None:
                last = step.state
                (said if index < delivery.told else waiting).append(step.state)
        return said, [] if delivery.over else waiting

    def _tell(self, delivery: Delivery, stop: threading.Event) -> tuple[Delivery, int] | None:
        """Tell what may be told of one job. What is left to store, or None when all is stored."""
        record = self._ledger.job(delivery.job_id)
        events = self._ledger.events(delivery.job_id)
        steps = announcements(events)
        seen = events[-1].sequence
        while True:
            move = next_move(
                delivery,
                steps,
                record.accepted_at,
                self._clock.now(),
                pause_seconds=self._settings.pause_seconds,
                settle_seconds=self._settle_seconds,
            )
            if isinstance(move, Wait):
                return replace(delivery, due_at=move.until), seen
            if isinstance(move, Rest):
                return replace(delivery, due_at=None, over=move.over), seen
            if stop.is_set():
                return None
            parcel: Parcel | None = None
            try:
                parcel = self._parcel(delivery, record, move)
                if parcel is not None:
                    pause = self._destinations.seconds(parcel.destination)
                    if pause > 0:
                        return replace(delivery, due_at=self._clock.now() + pause), seen
                    parcel.send()
                    self._destinations.forget(parcel.destination)
            except AiravataMesosError as error:
                if parcel is not None and (error.transient or error.outcome_unknown):
                    self._destinations.postpone(parcel.destination)
                return self._failed(delivery, move.announcement.event, str(error)), seen
            except Exception as error:
                # A fault of ours with one job must not silence the others.
                log.exception("job %d cannot be told on %s", delivery.job_id, self.channel.name)
                return self._failed(
                    delivery, move.announcement.event, f"{type(error).__name__}: {error}"
                ), seen
            delivery = self._advanced(delivery, move, sent=parcel is not None)
            self._ledger.outbox.store([(delivery, seen)])

    def _parcel(self, delivery: Delivery, record: JobRecord, move: Say) -> Parcel | None:
        if move.announcement.state == delivery.state and not move.again:
            return None  # the steps between were none that this channel can tell
        return self._compose(record, move.announcement)

    def _compose(self, record: JobRecord, announcement: Announcement) -> Parcel | None:
        return self.channel.compose(record, lambda: self._ledger.script(record.id), announcement)

    def _advanced(self, delivery: Delivery, move: Say, *, sent: bool) -> Delivery:
        now = self._clock.now()
        after = replace(delivery, failures=0, trouble="", due_at=now)
        if move.again:
            return replace(after, told_at=now)
        after = replace(after, told=delivery.told + 1)
        return replace(after, state=move.announcement.state, told_at=now) if sent else after

    def _failed(self, delivery: Delivery, event: JobEvent, trouble: str) -> Delivery:
        settings = self._settings
        now = self._clock.now()
        if trouble != delivery.trouble:
            log.warning("job %d is not told on %s yet: %s", delivery.job_id, self.channel.name, trouble)
        if now - event.time > settings.give_up_hours * 3600:
            log.warning("job %d is not told on %s any more: %s", delivery.job_id, self.channel.name, trouble)
            return replace(delivery, over=True, trouble=f"given up: {trouble}")
        pause = min(settings.retry_seconds * 2 ** min(delivery.failures, 32), settings.longest_retry_seconds)
        return replace(delivery, failures=delivery.failures + 1, trouble=trouble, due_at=now + pause)
