"""The job ledger in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import LedgerError, NotFound
from airavata_mesos_plugin.jobs import (
    Hold,
    JobKey,
    JobPhase,
    JobRecord,
    JobRequest,
    array_indexes,
)
from airavata_mesos_plugin.states import may_follow, may_requeue
from airavata_mesos_plugin.store import waiting
from airavata_mesos_plugin.store.fetches import Fetches
from airavata_mesos_plugin.store.gangs import Gangs
from airavata_mesos_plugin.store.notes import Notes
from airavata_mesos_plugin.store.outbox import Outbox
from airavata_mesos_plugin.store.writer import LedgerWriter

_CHANGEABLE = frozenset(
    [
        "run",
        "queued_at",
        "started_at",
        "ended_at",
        "native_state",
        "task_id",
        "host",
        "node_list",
        "agent_id",
        "outcome",
        "exit_code",
        "signal",
        "reason",
        "pending_reason",
        "cancel_sent_at",
        "held",
        "begin_at",
        "wait_reason",
        "requeue_requested_at",
        "requeue_requested_by",
    ]
)

_FORGOTTEN: dict[str, object] = {
    **dict.fromkeys(
        [
            *("queued_at", "started_at", "ended_at", "outcome", "exit_code", "signal", "eligible_at"),
            *("cancel_requested_at", "cancel_requested_uid", "cancel_sent_at", "requeue_requested_at"),
        ]
    ),
    **dict.fromkeys(
        [
            *("native_state", "task_id", "host", "node_list", "agent_id", "reason", "pending_reason"),
            *("cancel_requested_by", "requeue_requested_by", "dependency"),
        ],
        "",
    ),
    "begin_at": None,
    "run": 0,
}
"""What a new attempt does not take over from the one before."""


class Ledger(LedgerWriter):
    """The ledger in one file, made when it is not there. Safe to use from several threads.

    Raises LedgerError when the file cannot be opened, is damaged, or was made by a later release.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, (Notes, Fetches, Gangs))
        self._clock = clock
        self.outbox = Outbox(self._reader, self._writing, clock)
        self.fetches = Fetches(self._reader, self._writing)
        self.gangs = Gangs(self._reader, self._writing)

    def notes(self, owner: str) -> Notes:
        """What ``owner``, a scheduler of our own, keeps in the ledger."""
        return Notes(owner, self._reader, self._writing)

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
        environment: str = "",
    ) -> JobRecord:
        """Store a new job and give it the next id. Durable on return.

        ``key`` makes the job key from id and attempt. ``environment`` is that of the submitter, in any form.
        An array becomes one job for each task, and its last task, which has the array's id, is given back.
        A job that somebody holds, that has to wait for a time, for others or for its array's limit is kept
        back until `decide` lets it go. A repeat makes another job, unless the request has a
        submission key: then the job that was accepted first with it is given back, whatever is in this
        request.
        """
        now = self._clock.now()
        channels = self.outbox.choose(request, script)
        with self._writing() as cursor:
            known = self._with_submission_key(cursor, request.uid, request.submission_key)
            if known is not None:
                return self._fetch(cursor, known)
            tasks: Sequence[int | None] = array_indexes(request.array) if request.array else (None,)
            first: int | None = None
            # As in SLURM the last index has the id of the array, which is the one that is printed.
            for index in (tasks[-1], *tasks[:-1]):
                job_id = self._insert(cursor, request, cluster, index, first, now)
                first = first or job_id
                made = key(job_id, 1)
                cursor.execute(
                    "UPDATE jobs SET role = ?, environment = ?, key_name = ?, array_id = ?,"
                    " version = version + 1 WHERE id = ?",
                    (made.role, made.environment, made.name, first if request.array else None, job_id),
                )
                self._record(cursor, job_id, JobPhase.ACCEPTED, source, "", "", now)
                self.outbox.enter(cursor, job_id, channels, now)
                cursor.executemany(
                    "INSERT OR IGNORE INTO labels VALUES (?, ?, ?)",
                    [(name, value, job_id) for name, value in request.labels],
                )
            job_id = first or 0
            cursor.execute(
                "INSERT INTO payloads VALUES (?, ?, ?, ?)", (job_id, script, snapshot, environment)
            )
            if request.submission_key:
                cursor.execute(
                    "INSERT INTO submission_keys VALUES (?, ?, ?)",
                    (request.uid, request.submission_key, job_id),
                )
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
                changes.update(host="", node_list="", agent_id="", task_id="")
            changes.update(reason=reason, pending_reason="")
            changes.update(fields)
            self._update(cursor, job_id, changes)
            native = str(fields.get("native_state", before.native_state))
            self._record(cursor, job_id, phase, source, reason, native, self._clock.now())
            return self._fetch(cursor, job_id)

    def requeue(
        self,
        job_id: int,
        *,
        state: str,
        key: Callable[[int, int], JobKey],
        snapshot: str,
        source: str,
        reason: str,
        held: Hold | None = None,
    ) -> JobRecord | None:
        """Begin a new attempt of a job whose present one has ended; that one is kept as ``state``, if any.

        ``snapshot`` is the working directory as it is now. None when the present attempt has not ended, so
        a repeat is harmless. Raises NotFound.
        """
        with self._writing() as cursor:
            before = self._fetch(cursor, job_id)
            if not may_requeue(before.phase):
                return None
            now = self._clock.now()
            if state:
                cursor.execute(
                    "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        job_id,
                        before.attempt,
                        state,
                        before.accepted_at if before.submitted_at is None else before.submitted_at,
                        before.started_at,
                        before.ended_at if before.ended_at is not None else now,
                        before.host,
                        before.node_list,
                        before.exit_code,
                        before.signal,
                    ),
                )
            made = key(job_id, before.attempt + 1)
            wait_reason = {None: "", Hold.USER: "JobHeldUser", Hold.ADMIN: "JobHeldAdmin"}[held]
            begin_at = before.begin_at if before.begin_at is not None and before.begin_at > now else None
            if begin_at is not None and not wait_reason:
                wait_reason = "BeginTime"
            changes: dict[str, object] = {
                **_FORGOTTEN,
                "phase": JobPhase.ACCEPTED,
                "attempt": before.attempt + 1,
                "key_name": made.name,
                "submitted_at": now,
                "changed_at": now,
                "held": held,
                "begin_at": begin_at,
                "wait_reason": wait_reason,
            }
            self._update(cursor, job_id, changes)
            # A task of an array gets a payload of its own.
            cursor.execute(
                "INSERT OR REPLACE INTO payloads SELECT ?, script, ?, environment FROM payloads"
                " WHERE job_id = COALESCE((SELECT job_id FROM payloads WHERE job_id = ?), ?)",
                (job_id, snapshot, job_id, before.array_id),
            )
            self._record(cursor, job_id, JobPhase.ACCEPTED, source, reason, "", now)
            return self._fetch(cursor, job_id)

    def amend(
        self,
        job_id: int,
        request: JobRequest,
        *,
        key: Callable[[int, int], JobKey],
        source: str,
        reason: str,
    ) -> bool:
        """Change what a job asks for; False when it was sent to a scheduler already. Raises NotFound."""
        with self._writing() as cursor:
            record = self._fetch(cursor, job_id)
            if record.phase is not JobPhase.ACCEPTED:
                return False
            made = key(job_id, record.attempt)
            changes: dict[str, object] = {
                "role": made.role,
                "environment": made.environment,
                "key_name": made.name,
                "request": request.model_dump_json(exclude_defaults=True),
                "job_name": request.name,
                "queue": request.queue,
            }
            self._update(cursor, job_id, changes)
            self._record(cursor, job_id, record.phase, source, reason, "", self._clock.now())
            return True

    def decide(self, verdicts: Sequence[waiting.Verdict]) -> None:
        """Write what becomes of jobs that are kept back. A job that is none of them is left alone."""
        with self._writing() as cursor:
            waiting.decide(cursor, verdicts, self._clock.now())

    def annotate(self, job_id: int, **fields: object) -> None:
        """Set fields that are no change of phase. Repeatable. Raises NotFound."""
        self._check(fields)
        with self._writing() as cursor:
            self._update(cursor, job_id, dict(fields))
            if not cursor.rowcount:
                raise NotFound(f"no job has the id {job_id}")

    def note(self, job_id: int, *, source: str, reason: str) -> None:
        """Record an event without a change. A repeat records it again. Raises NotFound."""
        with self._writing() as cursor:
            record = self._fetch(cursor, job_id)
            self._record(cursor, job_id, record.phase, source, reason, record.native_state, self._clock.now())

    def request_cancel(self, job_id: int, by: str, uid: int | None = None) -> bool:
        """Record that the job shall end. Durable on return.

        False when it is over, or was asked for before; a repeat changes nothing. Raises NotFound.
        """
        with self._writing() as cursor:
            record = self._fetch(cursor, job_id)
            if record.phase.final or record.cancel_requested_at is not None:
                return False
            now = self._clock.now()
            asked: dict[str, object] = {
                "cancel_requested_at": now,
                "cancel_requested_by": by,
                "cancel_requested_uid": uid,
            }
            self._update(cursor, job_id, asked)
            self._record(
                cursor, job_id, record.phase, "scancel", f"cancel requested by {by}", record.native_state, now
            )
            return True

    # Inside

    @staticmethod
    def _insert(
        cursor: sqlite3.Cursor,
        request: JobRequest,
        cluster: str,
        index: int | None,
        array_id: int | None,
        now: float,
    ) -> int:
        cursor.execute(
            "INSERT INTO jobs (job_name, user, queue, request, phase, cluster, role, environment, key_name,"
            " attempt, run, accepted_at, changed_at, array_id, array_index, held, begin_at, dependency,"
            " array_limit, wait_reason)"
            " VALUES (?, ?, ?, ?, ?, ?, '', '', '', 1, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request.name,
                request.user,
                request.queue,
                request.model_dump_json(exclude_defaults=True),
                JobPhase.ACCEPTED.value,
                cluster,
                now,
                now,
                array_id,
                index,
                Hold.USER.value if request.hold else None,
                request.begin_at,
                request.dependency,
                request.array_limit,
                _first_reason(request, now),
            ),
        )
        if cursor.lastrowid is None:  # SQLite sets it on every insert
            raise LedgerError("no id for a new job")
        return cursor.lastrowid

    @staticmethod
    def _check(fields: Mapping[str, object]) -> None:
        unknown = fields.keys() - _CHANGEABLE
        if unknown:
            raise TypeError(f"not a field of a job that may change: {sorted(unknown)}")

    @staticmethod
    def _update(cursor: sqlite3.Cursor, job_id: int, changes: dict[str, object]) -> None:
        values = [value.value if isinstance(value, Enum) else value for value in changes.values()]
        columns = ", ".join(f"{column} = ?" for column in changes)
        # Readers keep a record for as long as its version is the same.
        cursor.execute(f"UPDATE jobs SET {columns}, version = version + 1 WHERE id = ?", (*values, job_id))

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
        Outbox.touch(cursor, job_id, now)


def _first_reason(request: JobRequest, now: float) -> str:
    """Why a new job is kept back, before anybody has looked closer."""
    if request.hold:
        return "JobHeldUser"
    if request.begin_at is not None and request.begin_at > now:
        return "BeginTime"
    if request.dependency:
        return "Dependency"
    return "JobArrayTaskLimit" if request.array_limit else ""
