"""Rows of jobs whose ledger was lost; they keep their ids."""

from __future__ import annotations

from collections.abc import Collection

from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRequest
from airavata_mesos_plugin.store.ledger import Ledger


def count(ledger: Ledger) -> int:
    """How many jobs the ledger has."""
    with ledger._writing() as cursor:
        (found,) = cursor.execute("SELECT COUNT(*) FROM jobs").fetchone()
    return int(found)


def restore(
    ledger: Ledger,
    job_id: int,
    request: JobRequest,
    script: str,
    *,
    snapshot: str,
    cluster: str,
    key: JobKey,
    attempt: int,
    run: int,
    node_list: str,
    array: tuple[int, int] | None,
    channels: Collection[str],
    accepted_at: float,
    now: float,
    reason: str,
) -> bool:
    """Enter a job that a scheduler has, as one that waits there; monitoring finds out the rest.

    ``array`` is the id of the array that it is a task of, and its index; ``node_list`` names the nodes of a
    job over several that has begun. Airavata is told on ``channels``.
    False when the ledger has a job with this id, so a repeat is harmless. Durable on return.
    """
    with ledger._writing() as cursor:
        if cursor.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchone():
            return False
        cursor.execute(
            "INSERT INTO jobs (id, job_name, user, queue, request, phase, cluster, role, environment,"
            " key_name, attempt, run, node_list, accepted_at, changed_at, array_id, array_index, array_limit)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(job_id, request.name, request.user, request.queue),
                request.model_dump_json(exclude_defaults=True),
                *(JobPhase.QUEUED.value, cluster, key.role, key.environment, key.name),
                *(attempt, run, node_list, accepted_at, now, *(array or (None, None)), request.array_limit),
            ),
        )
        cursor.execute("INSERT INTO payloads VALUES (?, ?, ?, '')", (job_id, script, snapshot))
        cursor.executemany(
            "INSERT OR IGNORE INTO labels VALUES (?, ?, ?)",
            [(name, value, job_id) for name, value in request.labels],
        )
        if request.submission_key:
            cursor.execute(
                "INSERT OR IGNORE INTO submission_keys VALUES (?, ?, ?)",
                (request.uid, request.submission_key, array[0] if array else job_id),
            )
        ledger._record(cursor, job_id, JobPhase.QUEUED, "rebuild", reason, "", now)
        ledger.outbox.enter(cursor, job_id, channels, now)
    return True


def begin_after(ledger: Ledger, job_id: int) -> None:
    """New jobs get ids above this one. Repeatable; the ids never go back."""
    with ledger._writing() as cursor:
        known = cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
        if known is None:
            cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (job_id,))
        elif known[0] < job_id:
            cursor.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'jobs'", (job_id,))
