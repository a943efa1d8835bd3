"""The job ledger in one SQLite file."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import LedgerError, NotFound
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobEvent, JobKey, JobPhase, JobRecord, JobRequest
from airavata_mesos_plugin.states import may_follow
from airavata_mesos_plugin.store.rows import SCHEMA, SCHEMA_VERSION, to_event, to_record
from airavata_mesos_plugin.store.selection import JobSelection

_CHANGEABLE = frozenset(
    [
        "run",
        "queued_at",
        "started_at",
        "ended_at",
        "native_state",
        "task_id",
        "host",
        "agent_id",
        "outcome",
        "exit_code",
        "signal",
        "reason",
        "pending_reason",
        "cancel_sent_at",
    ]
)


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
                    f"{path} was written by a later release "
                    f"(schema {version}, this one knows {SCHEMA_VERSION})",
                    advice="install that release again, or set another home directory",
                )
            if version == 0:
                for statement in SCHEMA.split(";"):
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

        ``key`` makes the job key from id and attempt. A repeat makes another job, unless the request has a
        submission key: then the job that was accepted first with it is given back, whatever is in this
        request.
        """
        now = self._clock.now()
        with self._writing() as cursor:
            known = self._with_submission_key(cursor, request.uid, request.submission_key)
            if known is not None:
                return self._fetch(cursor, known)
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
            if request.submission_key:
                cursor.execute(
                    "INSERT INTO submission_keys VALUES (?, ?, ?)",
                    (request.uid, request.submission_key, job_id),
                )
            cursor.executemany(
                "INSERT OR IGNORE INTO labels VALUES (?, ?, ?)",
                [(name, value, job_id) for name, value in request.labels],
            )
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
        fields: Mapping[str, object] | None = None,
    ) -> JobRecord | None:
        """Move a job to ``phase`` and set ``fields``, if the order of phases allows it.

        Returns the record after the change, or None when the job is at or past that phase already, so
        a repeat is harmless. A later ``run`` forgets what belonged to the earlier one. Raises NotFound.
        """
        fields = fields or {}
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
            changes.update(reason=reason, pending_reason="")
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

    def with_submission_key(self, uid: int, key: str) -> JobRecord | None:
        """The job that this account submitted with this key; None when there is none."""
        cursor = self._reader()
        job_id = self._with_submission_key(cursor, uid, key)
        return None if job_id is None else self._fetch(cursor, job_id)

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        """The selected jobs, newest first."""
        text, values = selection.query()
        return [to_record(row) for row in self._reader().execute(text, values)]

    def active(self, cluster: str | None = None) -> list[JobRecord]:
        """All jobs that are not over, oldest first."""
        clusters = None if cluster is None else frozenset({cluster})
        return self.jobs(JobSelection(clusters=clusters, phases=ACTIVE_PHASES))[::-1]

    def events(self, job_id: int) -> list[JobEvent]:
        """The history of a job, oldest first. Raises NotFound."""
        self.job(job_id)
        rows = self._reader().execute("SELECT * FROM events WHERE job_id = ? ORDER BY sequence", (job_id,))
        return [to_event(row) for row in rows]

    def script(self, job_id: int) -> str:
        """The job script as it was accepted. Raises NotFound."""
        return self._payload(job_id, "script")

    def snapshot(self, job_id: int) -> str:
        """The list of the working directory at submission, as text. Raises NotFound."""
        return self._payload(job_id, "snapshot")

    # Inside

    @staticmethod
    def _with_submission_key(cursor: sqlite3.Cursor, uid: int, key: str) -> int | None:
        if not key:
            return None
        found = cursor.execute("SELECT job_id FROM submission_keys WHERE uid = ? AND text = ?", (uid, key))
        row = found.fetchone()
        return None if row is None else int(row[0])

    def _payload(self, job_id: int, column: str) -> str:
        row = self._reader().execute(f"SELECT {column} FROM payloads WHERE job_id = ?", (job_id,)).fetchone()
        if row is None:
            raise NotFound(f"no job has the id {job_id}")
        return str(row[0])

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.touch(mode=0o600)  # job scripts are in it; SQLite's other files get the same mode
            connection = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except (sqlite3.Error, OSError) as error:
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
    def _check(fields: Mapping[str, object]) -> None:
        unknown = fields.keys() - _CHANGEABLE
        if unknown:
            raise TypeError(f"not a field of a job that may change: {sorted(unknown)}")

    @staticmethod
    def _update(cursor: sqlite3.Cursor, job_id: int, changes: dict[str, object]) -> None:
        values = [value.value if isinstance(value, JobPhase) else value for value in changes.values()]
        columns = ", ".join(f"{column} = ?" for column in changes)
        cursor.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*values, job_id))

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
        return to_record(row)
