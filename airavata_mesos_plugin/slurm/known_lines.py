"""Lines of the default table that were shown before: most jobs of a long queue look as they did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.slurm import table, view
from airavata_mesos_plugin.slurm.entries import Entry

MOST_LINES = 50_000
"""Lines that are kept, with the records that they show."""


class KnownLines:
    """Keeps the line of a job for as long as the ledger gives the same record of it.

    For one set of columns, of which none but the run time depends on when it is asked. Safe to use from
    several threads.
    """

    def __init__(self, columns: Sequence[table.Column[Entry]]) -> None:
        self._columns = columns
        self._kept: dict[int, tuple[JobRecord, str]] = {}

    def render(self, rows: Iterable[Entry], *, header: bool) -> str:
        """As `table.render`."""
        lines = [table.heading(self._columns)] if header else []
        kept = self._kept
        for row in rows:
            job = row.job
            known = kept.get(job.id)
            if known is not None and known[0] is job and not row.indexes:
                lines.append(known[1])
                continue
            line = table.line(self._columns, row)
            lines.append(line)
            if not row.indexes and not view.run_time_grows(job):
                if len(kept) >= MOST_LINES:
                    kept = self._kept = {}
                kept[job.id] = (job, line)
        return "".join(lines)
