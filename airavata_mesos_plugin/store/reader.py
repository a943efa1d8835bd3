"""Reading the job ledger: from any number of threads, and from other processes too."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from airavata_mesos_plugin.errors import LedgerError, NotFound
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobEvent, JobRecord, PastAttempt
from airavata_mesos_plugin.store import waiting
from airavata_mesos_plugin.store.recent import RecentRecords
from airavata_mesos_plugin.store.rows import SCHEMA_VERSION, to_attempt, to_event, to_record
from airavata_mesos_plugin.store.selection import JobSelection


class LedgerReader:
    """The ledger in one file, read only: nothing is created and nothing is changed.

    Safe to use from several threads. Raises LedgerError when the file cannot be opened, is damaged, or was
    made by a later release.
    """

    def __init__(self, path: Path) -> None:
        self._prepare(path)
        try:
            (version,) = self._reader().execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            raise LedgerError(f"cannot read the job ledger {path}: {error}") from error
        self._check_version(version)
        if version != SCHEMA_VERSION:
            raise LedgerError(f"{path} is not a job ledger")

    def close(self) -> None:
        """Close all connections; the ledger cannot be used after. Repeatable."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def job(self, job_id: int) -> JobRecord:
        """One job. Raises NotFound."""
        return self._fetch(self._reader(), job_id)

    def with_submission_key(self, uid: int, key: str) -> JobRecord | None:
        """The job that this account submitted with this key; None when there is none."""
        cursor = self._reader()
        job_id = self._with_submission_key(cursor, uid, key)
        return None if job_id is None else self._fetch(cursor, job_id)

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        """The selected jobs, newest first. One that did not change is the same object as the last time."""
        cursor = self._reader()
        if selection.narrow or selection.to_submit:
            return [to_record(row) for row in cursor.execute(*selection.query())]
        cursor.execute("BEGIN")  # all that follows sees one state of the ledger
        try:
            return self._recent.records(cursor, selection)
        finally:
            cursor.execute("COMMIT")

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

    def environment(self, job_id: int) -> str:
        """The submitter's environment as it was accepted. Raises NotFound."""
        return self._payload(job_id, "environment")

    def past_attempts(self, job_ids: Iterable[int]) -> list[PastAttempt]:
        """The attempts of these jobs that were followed by others, oldest first."""
        found: list[PastAttempt] = []
        cursor = self._reader()
        for job_id in sorted(set(job_ids)):
            rows = cursor.execute("SELECT * FROM attempts WHERE job_id = ? ORDER BY attempt", (job_id,))
            found += [to_attempt(row) for row in rows]
        return found

    def kept_back(self, cluster: str) -> list[waiting.KeptBack]:
        """The jobs of a cluster that must not be submitted yet, oldest first."""
        return waiting.kept_back(self._reader(), cluster)

    def any_kept_back(self) -> bool:
        """True when a job of any cluster is kept back."""
        return waiting.any_kept_back(self._reader())

    def targets(self, ids: Iterable[int]) -> list[waiting.Target]:
        """The jobs with these ids, and all tasks of the arrays with these ids, oldest first."""
        return waiting.targets(self._reader(), ids)

    def under_way(self, array_ids: Iterable[int]) -> dict[int, int]:
        """For each of these arrays how many of its tasks were let go and are not over; none is missing."""
        return waiting.under_way(self._reader(), array_ids)

    def oldest_active(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """For each (job name, user) the smallest id of a job that is not over; none is missing."""
        return waiting.oldest_active(self._reader(), names)

    # Inside

    def _prepare(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._recent = RecentRecords()

    def _check_version(self, version: int) -> None:
        if version > SCHEMA_VERSION:
            raise LedgerError(
                f"{self._path} was written by a later release "
                f"(schema {version}, this one knows {SCHEMA_VERSION})",
                advice="install that release again, or set another home directory",
            )

    @staticmethod
    def _with_submission_key(cursor: sqlite3.Cursor, uid: int, key: str) -> int | None:
        if not key:
            return None
        found = cursor.execute("SELECT job_id FROM submission_keys WHERE uid = ? AND text = ?", (uid, key))
        row = found.fetchone()
        return None if row is None else int(row[0])

    def _payload(self, job_id: int, column: str) -> str:
        cursor = self._reader()
        text = f"SELECT {column} FROM payloads WHERE job_id = ?"
        row = cursor.execute(text, (job_id,)).fetchone()
        if row is None:  # tasks of an array share one
            row = cursor.execute(text, (self._fetch(cursor, job_id).array_id,)).fetchone()
        if row is None:
            raise NotFound(f"no job has the id {job_id}")
        return str(row[0])

    def _connect(self) -> sqlite3.Connection:
        address = f"{self._path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(address, uri=True, timeout=30, isolation_level=None, check_same_thread=False)

    def _open(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"cannot open the job ledger {self._path}: {error}",
                advice="check that the directory is there, belongs to this account and has space",
            ) from error
        connection.row_factory = sqlite3.Row
        with self._lock:
            self._connections.append(connection)
        return connection

    def _reader(self) -> sqlite3.Cursor:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
        return connection.cursor()

    @staticmethod
    def _fetch(cursor: sqlite3.Cursor, job_id: int) -> JobRecord:
        try:
            row = cursor.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        except OverflowError:  # an id that no SQLite integer can hold
            row = None
        if row is None:
            raise NotFound(f"no job has the id {job_id}")
        return to_record(row)
