"""A waiting job gets another list of inputs."""

from __future__ import annotations

from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.store.ledger import Ledger


def restage(ledger: Ledger, job_id: int, snapshot: str, *, source: str, reason: str) -> bool:
    """Replace the snapshot of a job that no scheduler has; False when one has it. Durable on return.

    A task of an array gets a list of its own. Raises NotFound.
    """
    with ledger._writing() as cursor:
        record = ledger._fetch(cursor, job_id)
        if record.phase is not JobPhase.ACCEPTED:
            return False
        cursor.execute(
            "INSERT OR REPLACE INTO payloads SELECT ?, script, ?, environment FROM payloads"
            " WHERE job_id = COALESCE((SELECT job_id FROM payloads WHERE job_id = ?), ?)",
            (job_id, snapshot, job_id, record.array_id),
        )
        ledger._record(cursor, job_id, record.phase, source, reason, record.native_state, ledger._clock.now())
        return True
