"""What to list."""

from __future__ import annotations

from dataclasses import dataclass

from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobPhase
from airavata_mesos_plugin.store.rows import ACTIVE_VALUES, TO_SUBMIT, WITH_SCHEDULER

_WITH_SCHEDULER = frozenset({JobPhase.QUEUED, JobPhase.RUNNING})


@dataclass(frozen=True)
class JobSelection:
    """Which jobs to list; every condition that is not None must hold."""

    ids: frozenset[int] | None = None
    families: frozenset[int] | None = None  # ids of jobs, and of arrays with all their tasks
    to_submit: bool = False  # not yet with a scheduler, and not kept back
    names: frozenset[str] | None = None
    users: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    clusters: frozenset[str] | None = None
    phases: frozenset[JobPhase] | None = None
    labels: frozenset[tuple[str, str]] | None = None  # a job must have all of them
    limit: int | None = None

    @property
    def narrow(self) -> bool:
        """True when the number of jobs is limited by the selection itself."""
        return self.ids is not None or self.families is not None or self.limit is not None

    def query(self, columns: str = "*") -> tuple[str, list[object]]:
        """The SQL statement and its values."""
        conditions: list[str] = []
        values: list[object] = []
        for column, wanted in (
            ("id", self.ids),
            ("job_name", self.names),
            ("user", self.users),
            ("queue", self.queues),
            ("cluster", self.clusters),
        ):
            if wanted is not None:
                conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values.extend(wanted)
        if self.families is not None:
            marks = ", ".join("?" * len(self.families))
            conditions.append(f"(id IN ({marks}) OR array_id IN ({marks}))")
            values += [*self.families, *self.families]
        if self.to_submit:
            conditions.append(TO_SUBMIT)
        if self.phases is not None:
            # These let a partial index serve; that of jobs with a scheduler is one for each cluster.
            if self.clusters is not None and self.phases <= _WITH_SCHEDULER:
                conditions.append(WITH_SCHEDULER)
            elif self.phases <= ACTIVE_PHASES:
                conditions.append(f"phase IN ({ACTIVE_VALUES})")
            conditions.append(f"phase IN ({', '.join('?' * len(self.phases))})")
            values.extend(phase.value for phase in self.phases)
        for name, value in sorted(self.labels or ()):
            conditions.append("id IN (SELECT job_id FROM labels WHERE name = ? AND value = ?)")
            values += [name, value]
        text = f"SELECT {columns} FROM jobs"
        if conditions:
            text += " WHERE " + " AND ".join(conditions)
        text += " ORDER BY id DESC"
        if self.limit is not None:
            text += " LIMIT ?"
            values.append(self.limit)
        return text, values
