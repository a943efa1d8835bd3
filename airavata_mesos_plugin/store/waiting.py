"""What the ledger knows of jobs that are kept back: light rows, since there may be very many of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.jobs import Hold, JobPhase
from airavata_mesos_plugin.store.rows import ACTIVE_VALUES, UNDECIDED

_CHUNK = 500
"""Values of one IN list; SQLite allows more, but not without limit."""


@dataclass(frozen=True)
class KeptBack:
    """A job that may not be submitted yet, with all that decides about it."""

    id: int
    name: str
    user: str
    array_id: int | None
    array_index: int | None
    array_limit: int
    held: Hold | None
    begin_at: float | None
    dependency: str
    wait_reason: str


@dataclass(frozen=True)
class Target:
    """A job that others depend on."""

    id: int
    phase: JobPhase
    started_at: float | None
    array_id: int | None
    array_index: int | None


@dataclass(frozen=True)
class Verdict:
    """What becomes of a job that is kept back: an empty reason lets it go."""

    id: int
    wait_reason: str
    dependency: str


def kept_back(cursor: sqlite3.Cursor, cluster: str) -> list[KeptBack]:
    """The jobs of a cluster that are kept back, about which something may be decided, oldest first.

    Left out are those that somebody wants to end, and held ones that wait for nothing else.
    """
    rows = cursor.execute(
        "SELECT id, job_name, user, array_id, array_index, array_limit, held, begin_at, dependency,"
        f" wait_reason FROM jobs WHERE {UNDECIDED} AND cluster = ? AND cancel_requested_at IS NULL"
        " ORDER BY id",
        (cluster,),
    )
    return [
        KeptBack(
            row["id"],
            row["job_name"],
            row["user"],
            row["array_id"],
            row["array_index"],
            row["array_limit"],
            Hold(row["held"]) if row["held"] else None,
            row["begin_at"],
            row["dependency"],
            row["wait_reason"],
        )
        for row in rows
    ]


def any_kept_back(cursor: sqlite3.Cursor) -> bool:
    """True when at least one job is kept back about which something may be decided."""
    row = cursor.execute(f"SELECT 1 FROM jobs WHERE {UNDECIDED} LIMIT 1").fetchone()
    return row is not None


def targets(cursor: sqlite3.Cursor, ids: Iterable[int]) -> list[Target]:
    """The jobs with these ids, and all tasks of the arrays with these ids."""
    found: dict[int, Target] = {}
    for chunk in _chunks(sorted(set(ids))):
        marks = ", ".join("?" * len(chunk))
        for column in ("id", "array_id"):
            rows = cursor.execute(
                f"SELECT id, phase, started_at, array_id, array_index FROM jobs WHERE {column} IN ({marks})",
                chunk,
            )
            for row in rows:
                found[row["id"]] = Target(
                    row["id"],
                    JobPhase(row["phase"]),
                    row["started_at"],
                    row["array_id"],
                    row["array_index"],
                )
    return [found[number] for number in sorted(found)]


def under_way(cursor: sqlite3.Cursor, array_ids: Iterable[int]) -> dict[int, int]:
    """For each array the number of its tasks that were let go and are not over."""
    counts: dict[int, int] = {}
    for chunk in _chunks(sorted(set(array_ids))):
        marks = ", ".join("?" * len(chunk))
        rows = cursor.execute(
            f"SELECT array_id, COUNT(*) FROM jobs WHERE array_id IN ({marks})"
            f" AND phase IN ({ACTIVE_VALUES}) AND wait_reason = '' GROUP BY array_id",
            chunk,
        )
        counts.update((row[0], row[1]) for row in rows)
    return counts


def oldest_active(cursor: sqlite3.Cursor, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """For each (job name, user) the smallest id of a job that is not over."""
    found = {}
    for name, user in set(names):
        row = cursor.execute(
            f"SELECT MIN(id) FROM jobs WHERE phase IN ({ACTIVE_VALUES}) AND job_name = ? AND user = ?",
            (name, user),
        ).fetchone()
        if row[0] is not None:
            found[name, user] = int(row[0])
    return found


def decide(cursor: sqlite3.Cursor, verdicts: Sequence[Verdict], now: float) -> None:
    """Write what was decided; a job that went on meanwhile is left alone."""
    cursor.executemany(
        "UPDATE jobs SET version = version + 1, wait_reason = ?, dependency = ?,"
        " eligible_at = CASE WHEN ? = '' THEN ? ELSE eligible_at END"
        f" WHERE id = ? AND phase = '{JobPhase.ACCEPTED.value}'",
        [(v.wait_reason, v.dependency, v.wait_reason, now, v.id) for v in verdicts],
    )


def _chunks(values: list[int]) -> list[list[int]]:
    return [values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK)]
