"""Jobs that run at set times (Aurora 0.22)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from croniter import croniter

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import Clock, Timer
from airavata_mesos_plugin.minicluster.scheduler.journal import Journal, encoded
from airavata_mesos_plugin.minicluster.scheduler.manager import StateManager
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_KILLED = "Killed by cronScheduler"


class BadCron(ValueError):
    """The entry cannot be saved; the text is what the client reads."""


class _Field(NamedTuple):
    low: int
    high: int
    names: tuple[str, ...] = ()

    def accepts(self, text: str) -> bool:
        return all(self._part(part) for part in text.split(","))

    def _part(self, part: str) -> bool:
        span, slash, step = part.partition("/")
        if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
            return False
        if span == "*":
            return True
        first, dash, last = span.partition("-")
        begin, end = self._value(first), self._value(last) if dash else self._value(first)
        # A step needs something to step through.
        return begin is not None and end is not None and begin <= end and bool(dash or not slash)

    def _value(self, text: str) -> int | None:
        if text.upper() in self.names:
            return self.names.index(text.upper()) + self.low
        if not re.fullmatch(r"[0-9]{1,2}", text):
            return None
        return int(text) if self.low <= int(text) <= self.high else None


_FIELDS = (_Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS), _Field(0, 6, _DAYS))


def checked_expression(job: Any) -> str:
    """The schedule of a cron job, in five fields. Raises BadCron with Aurora's texts."""
    schedule: str = job.cronSchedule
    if job.cronCollisionPolicy == api.CronCollisionPolicy.RUN_OVERLAP:
        raise BadCron("The RUN_OVERLAP collision policy has been removed (AURORA-38).")
    if not schedule.strip():
        raise BadCron("Job has an empty cron schedule.")
    parts = schedule.split()
    good = len(parts) == 5 and all(f.accepts(p) for f, p in zip(_FIELDS, parts, strict=True))
    if not good or (parts[2] != "*" and parts[4] != "*") or not croniter.is_valid(" ".join(parts)):
        raise BadCron(f"Invalid cron schedule: {schedule}")
    return " ".join(parts)


def next_run_ms(expression: str, after_ms: int, zone: tzinfo) -> int:
    """The first time later than `after_ms`. Raises CroniterBadDateError when there is none in sight, such
    as for 30 February."""
    after = datetime.fromtimestamp(after_ms / 1000, zone)
    found: datetime = croniter(expression, after).get_next(datetime)
    return round(found.timestamp() * 1000)


class CronBook:
    """All entries and their timers.  Times that pass while nobody leads are not made up."""

    def __init__(
        self,
        store: TaskStore,
        manager: StateManager,
        clock: Clock,
        settings: ClusterSettings,
        journal: Journal,
    ) -> None:
        self.entries: dict[JobKey, Any] = {}
        self._store = store
        self._manager = manager
        self._clock = clock
        self._settings = settings
        self._journal = journal
        name = settings.cron_timezone
        # The default needs no data about time zones, which a small system may lack.
        self._zone: tzinfo = timezone.utc if name in ("GMT", "UTC") else ZoneInfo(name)
        self._timers: dict[JobKey, Timer] = {}
        self._waiting: dict[JobKey, Timer] = {}
        self._running = False

    def start(self) -> None:
        self._running = True
        for key in self.entries:
            self._arm(key)

    def stop(self) -> None:
        self._running = False
        for timer in (*self._timers.values(), *self._waiting.values()):
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()

    def restore(self, entries: Iterable[tuple[JobKey, Any]]) -> None:
        self.entries.update(entries)

    def save(self, key: JobKey, job: Any) -> None:
        """Add or replace an entry that was checked.  Starts nothing."""
        self.entries[key] = job
        self._journal.put("cron", str(key), lambda: encoded(job))
        self._arm(key)

    def remove(self, key: JobKey) -> bool:
        """False when there was none.  Tasks that run go on."""
        if self.entries.pop(key, None) is None:
            return False
        self._journal.delete("cron", str(key))
        for timers in (self._timers, self._waiting):
            timer = timers.pop(key, None)
            if timer is not None:
                timer.cancel()
        return True

    def next_ms(self, key: JobKey) -> int | None:
        """Time of the next run; None when the schedule has none."""
        try:
            return next_run_ms(checked_expression(self.entries[key]), self._clock.now_ms(), self._zone)
        except (BadCron, ValueError):
            return None

    def start_soon(self, key: JobKey) -> None:
        """A run outside the schedule."""
        self._clock.call_later(0, lambda: self._run(key))

    def _arm(self, key: JobKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        due = self.next_ms(key)
        if self._running and due is not None:
            wait = max(0, due - self._clock.now_ms()) / 1000
            self._timers[key] = self._clock.call_later(wait, lambda: self._due(key))

    def _due(self, key: JobKey) -> None:
        self._timers.pop(key, None)
        self._run(key)
        if key in self.entries:
            self._arm(key)

    def _run(self, key: JobKey) -> None:
        job = self.entries.get(key)
        if job is None or not self._running or key in self._waiting:
            return
        active = list(self._store.active_of_job(key))
        if not active:
            self._begin(key)
        elif job.cronCollisionPolicy != api.CronCollisionPolicy.CANCEL_NEW:
            for task in active:
                self._manager.change(task, Status.KILLING, _KILLED)
            self._await_end(key, self._settings.cron_start_backoff_first)

    def _await_end(self, key: JobKey, wait: float) -> None:
        def look() -> None:
            del self._waiting[key]
            if any(True for _ in self._store.active_of_job(key)):
                self._await_end(key, min(2 * wait, self._settings.cron_start_backoff_max))
            elif key in self.entries:
                self._begin(key)

        if not any(True for _ in self._store.active_of_job(key)):
            self._begin(key)  # all of them were waiting, and are gone
        else:
            self._waiting[key] = self._clock.call_later(wait, look)

    def _begin(self, key: JobKey) -> None:
        job = self.entries[key]
        self._manager.create(job.taskConfig, range(job.instanceCount))
