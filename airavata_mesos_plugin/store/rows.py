"""How the ledger lies in SQLite: the schema, and rows turned into records."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobEvent, JobKey, JobPhase, JobRecord, JobRequest

SCHEMA_VERSION = 1

ACTIVE_VALUES = ", ".join(f"'{phase.value}'" for phase in sorted(ACTIVE_PHASES))

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
CREATE INDEX jobs_active ON jobs (id) WHERE phase IN ({ACTIVE_VALUES});
CREATE INDEX jobs_by_name ON jobs (job_name);
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


def to_event(row: sqlite3.Row) -> JobEvent:
    """One row of the events table."""
    return JobEvent(
        job_id=row["job_id"],
        sequence=row["sequence"],
        time=row["time"],
        phase=JobPhase(row["phase"]),
        source=row["source"],
        reason=row["reason"],
        native_state=row["native_state"],
    )
