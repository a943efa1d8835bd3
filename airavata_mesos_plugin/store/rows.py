"""How the ledger lies in SQLite: the schema, and rows turned into records."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

from airavata_mesos_plugin.jobs import (
    ACTIVE_PHASES,
    Hold,
    JobEvent,
    JobKey,
    JobPhase,
    JobRecord,
    JobRequest,
    PastAttempt,
)

SCHEMA_VERSION = 1

ACTIVE_VALUES = ", ".join(f"'{phase.value}'" for phase in sorted(ACTIVE_PHASES))

_ACCEPTED = f"'{JobPhase.ACCEPTED.value}'"
TO_SUBMIT = (
    f"phase IN ({_ACCEPTED}, '{JobPhase.SUBMITTING.value}')"
    " AND (wait_reason = '' OR cancel_requested_at IS NOT NULL)"
)
"""Condition of a job that has to go to its scheduler; an index holds just these."""

WITH_SCHEDULER = f"phase IN ('{JobPhase.QUEUED.value}', '{JobPhase.RUNNING.value}')"
"""Condition of a job that its scheduler has; an index holds just these."""

UNDECIDED = (
    f"phase = {_ACCEPTED} AND wait_reason <> '' AND NOT (dependency = '' AND held IS NOT NULL"
    f" AND wait_reason = CASE held WHEN '{Hold.USER.value}' THEN 'JobHeldUser' ELSE 'JobHeldAdmin' END)"
)
"""Condition of a job that is kept back and may go on without anybody's doing; an index holds just these.

A held job that waits for nothing else is none of them.
"""

SCHEMA = f"""
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
    node_list TEXT NOT NULL DEFAULT '',
    agent_id TEXT NOT NULL DEFAULT '',
    outcome TEXT,
    exit_code INTEGER,
    signal INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    pending_reason TEXT NOT NULL DEFAULT '',
    cancel_requested_at REAL,
    cancel_requested_by TEXT NOT NULL DEFAULT '',
    cancel_requested_uid INTEGER,
    cancel_sent_at REAL,
    submitted_at REAL,
    array_id INTEGER,
    array_index INTEGER,
    held TEXT,
    begin_at REAL,
    dependency TEXT NOT NULL DEFAULT '',
    array_limit INTEGER NOT NULL DEFAULT 0,
    wait_reason TEXT NOT NULL DEFAULT '',
    eligible_at REAL,
    requeue_requested_at REAL,
    requeue_requested_by TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_active ON jobs (id) WHERE phase IN ({ACTIVE_VALUES});
CREATE INDEX jobs_by_name ON jobs (job_name);
CREATE INDEX jobs_of_array ON jobs (array_id, array_index) WHERE array_id IS NOT NULL;
CREATE INDEX jobs_undecided ON jobs (cluster, id) WHERE {UNDECIDED};
CREATE INDEX jobs_with_scheduler ON jobs (cluster, id) WHERE {WITH_SCHEDULER};
CREATE INDEX jobs_to_submit ON jobs (cluster, id) WHERE {TO_SUBMIT};
CREATE TABLE attempts (
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    submitted_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    host TEXT NOT NULL,
    node_list TEXT NOT NULL,
    exit_code INTEGER,
    signal INTEGER,
    PRIMARY KEY (job_id, attempt)
) WITHOUT ROWID;
CREATE TABLE submission_keys (
    uid INTEGER NOT NULL,
    text TEXT NOT NULL,
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    PRIMARY KEY (uid, text)
) WITHOUT ROWID;
CREATE TABLE labels (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    PRIMARY KEY (name, value, job_id)
) WITHOUT ROWID;
CREATE TABLE payloads (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (id),
    script TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    environment TEXT NOT NULL
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
CREATE TABLE channels (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE deliveries (
    job_id INTEGER NOT NULL REFERENCES jobs (id),
    channel TEXT NOT NULL,
    told INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT '',
    told_at REAL,
    failures INTEGER NOT NULL DEFAULT 0,
    trouble TEXT NOT NULL DEFAULT '',
    due_at REAL,
    over INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, channel)
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (channel, due_at) WHERE due_at IS NOT NULL;
"""


@lru_cache(maxsize=20_000)
def _request(document: str) -> JobRequest:
    """Requests never change, and listings show the same ones again and again."""
    return JobRequest.model_validate_json(document)


def to_record(row: sqlite3.Row) -> JobRecord:
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
        node_list=row["node_list"],
        agent_id=row["agent_id"],
        outcome=JobPhase(row["outcome"]) if row["outcome"] else None,
        exit_code=row["exit_code"],
        signal=row["signal"],
        reason=row["reason"],
        pending_reason=row["pending_reason"],
        cancel_requested_at=row["cancel_requested_at"],
        cancel_requested_by=row["cancel_requested_by"],
        cancel_requested_uid=row["cancel_requested_uid"],
        cancel_sent_at=row["cancel_sent_at"],
        submitted_at=row["submitted_at"],
        array_id=row["array_id"],
        array_index=row["array_index"],
        held=Hold(row["held"]) if row["held"] else None,
        begin_at=row["begin_at"],
        dependency=row["dependency"],
        wait_reason=row["wait_reason"],
        eligible_at=row["eligible_at"],
        requeue_requested_at=row["requeue_requested_at"],
        requeue_requested_by=row["requeue_requested_by"],
    )


def to_attempt(row: sqlite3.Row) -> PastAttempt:
    """One row of the attempts table."""
    return PastAttempt(**dict(row))


def to_event(row: sqlite3.Row) -> JobEvent:
    """One row of the events table."""
    return JobEvent(**{**dict(row), "phase": JobPhase(row["phase"])})
