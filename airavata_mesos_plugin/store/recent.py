"""Records that were read before: a listing of ten thousand jobs reads those again that have changed."""

from __future__ import annotations

import sqlite3

from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.store.rows import to_record
from airavata_mesos_plugin.store.selection import JobSelection

MOST_RECORDS = 50_000
"""Records that are kept; about 2 KB each."""

_CHUNK = 500
"""Values of one IN list; SQLite allows more, but not without limit."""


class RecentRecords:
    """Keeps records by id and version of their row: every change of a row gives it another version.

    Safe to use from several threads: what is kept is only ever replaced as a whole.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[int, JobRecord]] = {}

    def records(self, cursor: sqlite3.Cursor, selection: JobSelection) -> list[JobRecord]:
        """The selected jobs in the selection's order, read within the transaction of ``cursor``."""
        text, values = selection.query("id, version")
        found = [(row[0], row[1]) for row in cursor.execute(text, values)]
        kept = self._kept
        nothing = (-1, None)
        records = {
            job_id: record
            for job_id, version in found
            for known, record in (kept.get(job_id, nothing),)
            if known == version and record is not None
        }
        missing = [(job_id, version) for job_id, version in found if job_id not in records]
        if missing and len(kept) + len(missing) > MOST_RECORDS:
            kept = self._kept = {}
        for start in range(0, len(missing), _CHUNK):
            versions = dict(missing[start : start + _CHUNK])
            marks = ", ".join("?" * len(versions))
            for row in cursor.execute(f"SELECT * FROM jobs WHERE id IN ({marks})", [*versions]):
                record = records[row["id"]] = to_record(row)
                kept[record.id] = (versions[record.id], record)
        return [records[job_id] for job_id, _ in found]
