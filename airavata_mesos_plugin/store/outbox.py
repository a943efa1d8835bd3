"""What has been told of each job on each channel, and what is still to be told.

Nothing is written twice: what there is to tell follows from the events of a job, and a delivery only
remembers how far one channel has come. Whoever records an event marks the deliveries of the job as due in
the same transaction, so nothing is missed when the process dies in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.jobs import JobRequest
from airavata_mesos_plugin.store.table import LedgerTable, Reader, Writing

Choose = Callable[[JobRequest, str], Collection[str]]
"""Which channels a job with this request and script is told on."""


@dataclass(frozen=True)
class Delivery:
    """How far one channel has come with one job. Times are seconds since the epoch."""

    job_id: int
    channel: str
    told: int = 0  # how many of the states that follow from the job's events
    state: str = ""  # the last one that was really sent; empty: none yet
    told_at: float | None = None
    failures: int = 0  # in a row
    trouble: str = ""  # why the last try did not work
    due_at: float | None = None  # the next look; None: when the next event comes
    over: bool = False  # nothing can follow


class Outbox(LedgerTable):
    """The deliveries of one ledger."""

    def __init__(self, reader: Reader, writing: Writing, clock: Clock) -> None:
        super().__init__(reader, writing)
        self._clock = clock
        self._choose: Choose = _nowhere

    # Within a transaction of the ledger

    def choose(self, request: JobRequest, script: str) -> Collection[str]:
        """The channels of a new job."""
        return self._choose(request, script)

    @staticmethod
    def enter(cursor: sqlite3.Cursor, job_id: int, channels: Iterable[str], now: float) -> None:
        """A job has to be told on ``channels``. A repeat changes nothing."""
        cursor.executemany(
            "INSERT OR IGNORE INTO deliveries (job_id, channel, due_at) VALUES (?, ?, ?)",
            [(job_id, channel, now) for channel in channels],
        )

    @staticmethod
    def touch(cursor: sqlite3.Cursor, job_id: int, now: float) -> None:
        """A job has a new event. A channel in a pause after a failure keeps its pause."""
        cursor.execute(
            "UPDATE deliveries SET due_at = ? WHERE job_id = ? AND NOT over AND failures = 0"
            " AND (due_at IS NULL OR due_at > ?)",
            (now, job_id, now),
        )

    # By whoever tells

    def opened(self) -> frozenset[str]:
        """The channels that were open last time."""
        return frozenset(row[0] for row in self._reader().execute("SELECT name FROM channels"))

    def open(
        self, channels: Collection[str], choose: Choose, entries: Iterable[tuple[int, str]] = ()
    ) -> None:
        """Tell on ``channels`` from now on; ``choose`` is asked for every new job.

        ``entries`` are jobs, each with a channel, that were accepted before their channel was there.
        Repeatable.
        """
        now = self._clock.now()
        with self._writing() as cursor:
            for job_id, channel in entries:
                self.enter(cursor, job_id, [channel], now)
            cursor.execute("DELETE FROM channels")
            cursor.executemany("INSERT INTO channels VALUES (?)", [(name,) for name in channels])
        self._choose = choose

    def due(self, channel: str, now: float, limit: int) -> list[Delivery]:
        """Deliveries to look at now, those that wait longest first. Finds them by an index."""
        rows = self._reader().execute(
            "SELECT * FROM deliveries WHERE channel = ? AND due_at IS NOT NULL AND due_at <= ?"
            " ORDER BY due_at, job_id LIMIT ?",
            (channel, now, limit),
        )
        return [_to_delivery(row) for row in rows]

    def next_due(self, channel: str) -> float | None:
        """When `due` will have something next; None when nothing waits."""
        row = (
            self._reader()
            .execute(
                "SELECT MIN(due_at) FROM deliveries WHERE channel = ? AND due_at IS NOT NULL", (channel,)
            )
            .fetchone()
        )
        return None if row[0] is None else float(row[0])

    def store(self, deliveries: Sequence[tuple[Delivery, int]]) -> None:
        """Store how far deliveries have come, each with the last event that was looked at.

        When there is a later event by now, and no pause after a failure, the delivery is due at once.
        """
        now = self._clock.now()
        with self._writing() as cursor:
            for delivery, seen in deliveries:
                cursor.execute(
                    "UPDATE deliveries SET told = ?, state = ?, told_at = ?, failures = ?,"
                    " trouble = ?, over = ?, due_at = ? WHERE job_id = ? AND channel = ?",
                    (
                        delivery.told,
                        delivery.state,
                        delivery.told_at,
                        delivery.failures,
                        delivery.trouble,
                        delivery.over,
                        None if delivery.over else delivery.due_at,
                        delivery.job_id,
                        delivery.channel,
                    ),
                )
                (last,) = cursor.execute(
                    "SELECT MAX(sequence) FROM events WHERE job_id = ?", (delivery.job_id,)
                ).fetchone()
                if last is not None and last > seen:
                    self.touch(cursor, delivery.job_id, now)

    def of(self, job_id: int) -> list[Delivery]:
        """The deliveries of a job; empty when it is told nowhere."""
        rows = self._reader().execute("SELECT * FROM deliveries WHERE job_id = ? ORDER BY channel", (job_id,))
        return [_to_delivery(row) for row in rows]


def _nowhere(_request: JobRequest, _script: str) -> Collection[str]:
    return ()


def _to_delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(**{**dict(row), "over": bool(row["over"])})
