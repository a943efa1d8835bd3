"""How the outputs of each job came: one document for each, of the last fetch."""

from __future__ import annotations

import json
from collections.abc import Mapping

from airavata_mesos_plugin.store.table import LedgerTable


class Fetches(LedgerTable):
    """The documents of one ledger."""

    schema = (
        "CREATE TABLE IF NOT EXISTS fetches (job_id INTEGER PRIMARY KEY REFERENCES jobs (id), document TEXT)"
    )

    def keep(self, job_id: int, document: Mapping[str, object]) -> None:
        """Store what there is to say about the fetch of a job, in the place of what was said before."""
        text = json.dumps(document, separators=(",", ":"))
        with self._writing() as cursor:
            cursor.execute("INSERT OR REPLACE INTO fetches VALUES (?, ?)", (job_id, text))

    def of(self, job_id: int) -> dict[str, object] | None:
        """The document of a job; None when nothing has been fetched for it."""
        row = self._reader().execute("SELECT document FROM fetches WHERE job_id = ?", (job_id,)).fetchone()
        if row is None:
            return None
        document = json.loads(row[0])
        return document if isinstance(document, dict) else None
