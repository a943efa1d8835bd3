"""The job ledger: durable, and the single source of truth for job ids and phases.

SQLite in WAL mode with full synchronisation: what a call has returned survives a crash of the process
and of the machine. One writer at a time inside the process; any number of readers, also from other
processes. A change of phase and the event that records it are one transaction.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import LedgerError, NotFound
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobEvent, JobKey, JobPhase, JobRecord, JobRequest
from airavata_mesos_plugin.states import may_follow

SCHEMA_VERSION = 1

_ACTIVE = ", ".join(f"'{phase.value}'" for phase in sorted(ACTIVE_PHASES))

_SCHEMA = f"""
CREATE TABLE ledger (instance TEXT NOT NULL);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_name TEXT NOT NULL,
    user TEXT NOT NULL,
    queue TEXT NOT NULL,
    request TEXT NOT NULL,
    phase TEXT NOT NULL,
    cluster TEXT NOT NULL,
    role TEXT NOT NULL,
    environment TEXT NOT NULL,
    key_name TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    run INTEGER NOT NULL,
    accepted_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    queued_at REAL,
    started_at REAL,
    ended_at REAL,
    native_state TEXT NOT NULL DEFAULT '',
    task_id TEXT NOT NULL DEFAULT '',
    host TEXT NOT NULL DEFAULT '',
    agent_id TEXT NOT NULL DEFAULT '',
    outcome TEXT,
    exit_code INTEGER,
    signal INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    pending_reason TEXT NOT NULL DEFAULT '',
    cancel_requested_at REAL,
    cancel_requested_by TEXT NOT NULL DEFAULT '',
    cancel_sent_at REAL
);
CREATE INDEX jobs_active ON jobs (id) WHERE phase IN ({_ACTIVE});
CREATE INDEX jobs_by_name ON jobs (job_name);
CREATE TABLE payloads (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (id),
    script TEXT NOT NULL,
    snapshot TEXT NOT NULL
);
CREATE TABLE events (
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    sequence INTEGER NOT NULL,
    time REAL NOT NULL,
    phase TEXT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    native_state TEXT NOT NULL,
    PRIMARY KEY (job_id, sequence)
) WITHOUT ROWID;
"""

_CHANGEABLE = frozenset(
    "run queued_at started_at ended_at native_state task_id host agent_id outcome exit_code signal reason "
    "pending_reason cancel_sent_at".split()
)


@dataclass(frozen=True)
class JobSelection:
    """Which jobs to list; every condition that is not None must hold."""

    ids: frozenset[int] | None = None
    names: frozenset[str] | None = None
    users: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    clusters: frozenset[str] | None = None
    phases: frozenset[JobPhase] | None = None
    limit: int | None = None


class Ledger:
    """The ledger in one file. Safe to use from several threads.

    Raises LedgerError when the file cannot be opened, is damaged, or was made by a later release.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._writer = self._open()
        with self._writing() as cursor:
            (version,) = cursor.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise LedgerError(
                    f"{path} was written by a later release (schema {version}, this one knows {SCHEMA_VERSION})",
                    advice="install that release again, or set another home directory",
                )
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    cursor.execute(statement)
                cursor.execute("INSERT INTO ledger (instance) VALUES (?)", (secrets.token_hex(4),))
                cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        (self.instance,) = self._writer.execute("SELECT instance FROM ledger").fetchone()
        """A random word of this ledger, so that keys made by two ledgers never meet on one cluster."""

    def close(self) -> None:
        """Close all connections; the ledger cannot be used after. Repeatable."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    # Writing

    def accept(
        self,
        request: JobRequest,
        script: str,
        *,
        snapshot: str,
        cluster: str,
        key: Callable[[int, int], JobKey],
        source: str,
    ) -> JobRecord:
        """Store a new job and give it the next id. Durable on return.

        ``key`` makes the job key from id and attempt. A repeat makes another job.
        """
        now = self._clock.now()
        with self._writing() as cursor:
            cursor.execute(
                "INSERT INTO jobs (job_name, user, queue, request, phase, cluster, role, environment,"
                " key_name, attempt, run, accepted_at, changed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, '', '', '', 1, 0, ?, ?)",
                (
                    request.name,
                    request.user,
                    request.queue,
                    request.model_dump_json(exclude_defaults=True),
                    JobPhase.ACCEPTED.value,
                    cluster,
                    now,
                    now,
                ),
            )
            job_id = cursor.lastrowid
            if job_id is None:  # SQLite sets it on every insert
                raise LedgerError(f"{self._path}: no id for a new job")
            made = key(job_id, 1)
            cursor.execute(
                "UPDATE jobs SET role = ?, environment = ?, key_name = ? WHERE id = ?",
                (made.role, made.environment, made.name, job_id),
            )
            cursor.execute("INSERT INTO payloads VALUES (?, ?, ?)", (job_id, script, snapshot))
            self._record(cursor, job_id, JobPhase.ACCEPTED, source, "", "", now)
            return self._fetch(cursor, job_id)

    def advance(
        self,
        job_id: int,
        phase: JobPhase,
        *,
        source: str,
        reason: str = "",
        run: int | None = None,
        **fields: object,
    ) -> JobRecord | None:
        """Move a job to ``phase`` and set ``fields``, if the order of phases allows it.

        Returns the record after the change, or None when the job is at or past that phase already, so
        a repeat is harmless. A later ``run`` forgets what belonged to the earlier one. Raises NotFound.
        """
        self._check(fields)
        with self._writing() as cursor:
            before = self._fetch(cursor, job_id)
            new_run = before.run if run is None else run
            if not may_follow(before.run, before.phase, new_run, phase):
                return None
            changes: dict[str, object] = {
                "phase": phase.value,
                "run": new_run,
                "changed_at": self._clock.now(),
            }
            if new_run > before.run:
                changes.update(started_at=None, ended_at=None, outcome=None, exit_code=None, signal=None)
                changes.update(host="", agent_id="", task_id="")
            if phase is not JobPhase.QUEUED:
                changes["pending_reason"] = ""
            changes["reason"] = reason
            changes.update(fields)
            self._update(cursor, job_id, changes)
            native = str(fields.get("native_state", before.native_state))
            self._record(cursor, job_id, phase, source, reason, native, self._clock.now())
            return self._fetch(cursor, job_id)

    def annotate(self, job_id: int, **fields: object) -> None:
        """Set fields that are no change of phase. Repeatable. Raises NotFound."""
        self._check(fields)
        with self._writing() as cursor:
            self._fetch(cursor, job_id)
            self._update(cursor, job_id, dict(fields))

    def note(self, job_id: int, *, source: str, reason: str) -> None:
        """Record an event without a change. A repeat records it again. Raises NotFound."""
        with self._writing() as cursor:
            record = self._fetch(cursor, job_id)
            self._record(cursor, job_id, record.phase, source, reason, record.native_state, self._clock.now())

    def request_cancel(self, job_id: int, by: str) -> bool:
        """Record that the job shall end. Durable on return.

        False when it is over, or was asked for before; a repeat changes nothing. Raises NotFound.
        """
        with self._writing() as cursor:
            record = self._fetch(cursor, job_id)
            if record.phase.final or record.cancel_requested_at is not None:
                return False
            now = self._clock.now()
            self._update(cursor, job_id, {"cancel_requested_at": now, "cancel_requested_by": by})
            self._record(
                cursor, job_id, record.phase, "scancel", f"cancel requested by {by}", record.native_state, now
            )
            return True

    # Reading

    def job(self, job_id: int) -> JobRecord:
        """One job. Raises NotFound."""
        return self._fetch(self._reader(), job_id)

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        """The selected jobs, newest first."""
        conditions: list[str] = []
        values: list[object] = []
        for column, wanted in (
            ("id", selection.ids),
            ("job_name", selection.names),
            ("user", selection.users),
            ("queue", selection.queues),
            ("cluster", selection.clusters),
        ):
            if wanted is not None:
                conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values.extend(wanted)
        if selection.phases is not None:
            if selection.phases <= ACTIVE_PHASES:
                conditions.append(f"phase IN ({_ACTIVE})")  # lets the partial index serve
            conditions.append(f"phase IN ({', '.join('?' * len(selection.phases))})")
            values.extend(phase.value for phase in selection.phases)
        text = "SELECT * FROM jobs"
        if conditions:
            text += " WHERE " + " AND ".join(conditions)
        text += " ORDER BY id DESC"
        if selection.limit is not None:
            text += " LIMIT ?"
            values.append(selection.limit)
        return [_record(row) for row in self._reader().execute(text, values)]

    def active(self, cluster: str | None = None) -> list[JobRecord]:
        """All jobs that are not over, oldest first."""
        clusters = None if cluster is None else frozenset({cluster})
        return self.jobs(JobSelection(clusters=clusters, phases=ACTIVE_PHASES))[::-1]

    def events(self, job_id: int) -> list[JobEvent]:
        """The history of a job, oldest first. Raises NotFound."""
        self.job(job_id)
        rows = self._reader().execute("SELECT * FROM events WHERE job_id = ? ORDER BY sequence", (job_id,))
        return [
            JobEvent(
                job_id=row["job_id"],
                sequence=row["sequence"],
                time=row["time"],
                phase=JobPhase(row["phase"]),
                source=row["source"],
                reason=row["reason"],
                native_state=row["native_state"],
            )
            for row in rows
        ]

    def script(self, job_id: int) -> str:
        """The job script as it was accepted. Raises NotFound."""
        return self._payload(job_id, "script")

    def snapshot(self, job_id: int) -> str:
        """The list of the working directory at submission, as text. Raises NotFound."""
        return self._payload(job_id, "snapshot")

    # Inside

    def _payload(self, job_id: int, column: str) -> str:
        row = self._reader().execute(f"SELECT {column} FROM payloads WHERE job_id = ?", (job_id,)).fetchone()  # noqa: S608 - a column name of ours
        if row is None:
            raise NotFound(f"no job has the id {job_id}")
        return str(row[0])

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error as error:
            raise LedgerError(
                f"cannot open the job ledger {self._path}: {error}",
                advice="check that the directory is there, belongs to this account and has space",
            ) from error
        with self._lock:
            self._connections.append(connection)
        return connection

    def _reader(self) -> sqlite3.Cursor:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
        return connection.cursor()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            cursor = self._writer.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                cursor.execute("COMMIT")
            except sqlite3.Error as error:
                raise LedgerError(f"the job ledger {self._path} cannot be written: {error}") from error
            finally:
                if self._writer.in_transaction:
                    self._writer.rollback()
                cursor.close()

    @staticmethod
    def _check(fields: dict[str, object]) -> None:
        unknown = fields.keys() - _CHANGEABLE
        if unknown:
            raise TypeError(f"not a field of a job that may change: {sorted(unknown)}")

    @staticmethod
    def _update(cursor: sqlite3.Cursor, job_id: int, changes: dict[str, object]) -> None:
        values = [value.value if isinstance(value, JobPhase) else value for value in changes.values()]
        columns = ", ".join(f"{column} = ?" for column in changes)
        cursor.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*values, job_id))  # noqa: S608 - checked names

    @staticmethod
    def _record(
        cursor: sqlite3.Cursor,
        job_id: int,
        phase: JobPhase,
        source: str,
        reason: str,
        native_state: str,
        now: float,
    ) -> None:
        cursor.execute(
            "INSERT INTO events SELECT ?, COALESCE(MAX(sequence), 0) + 1, ?, ?, ?, ?, ?"
            " FROM events WHERE job_id = ?",
            (job_id, now, phase.value, source, reason, native_state, job_id),
        )

    @staticmethod
    def _fetch(cursor: sqlite3.Cursor, job_id: int) -> JobRecord:
        try:
            row = cursor.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        except OverflowError:  # an id that no SQLite integer can hold
            row = None
        if row is None:
            raise NotFound(f"no job has the id {job_id}")
        return _record(row)


@lru_cache(maxsize=20_000)
def _request(document: str) -> JobRequest:
    """Requests never change, and listings show the same ones again and again."""
    return JobRequest.model_validate_json(document)


def _record(row: sqlite3.Row) -> JobRecord:
    return JobRecord(
        id=row["id"],
        request=_request(row["request"]),
        phase=JobPhase(row["phase"]),
        cluster=row["cluster"],
        key=JobKey(row["role"], row["environment"], row["key_name"]),
        attempt=row["attempt"],
        run=row["run"],
        accepted_at=row["accepted_at"],
        changed_at=row["changed_at"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        native_state=row["native_state"],
        task_id=row["task_id"],
        host=row["host"],
        agent_id=row["agent_id"],
        outcome=JobPhase(row["outcome"]) if row["outcome"] else None,
        exit_code=row["exit_code"],
        signal=row["signal"],
        reason=row["reason"],
        pending_reason=row["pending_reason"],
        cancel_requested_at=row["cancel_requested_at"],
        cancel_requested_by=row["cancel_requested_by"],
        cancel_sent_at=row["cancel_sent_at"],
    )
