"""The nodes of parallel jobs, from the moment that all of an attempt are there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

_TABLE = (
    "CREATE TABLE IF NOT EXISTS gangs (job_id INTEGER PRIMARY KEY REFERENCES jobs (id),"
    " attempt INTEGER NOT NULL, nodes TEXT NOT NULL, task_id TEXT NOT NULL)"
)


@dataclass(frozen=True)
class GangNode:
    """One node. ``run`` tells two starts of its program apart; its task is empty until it was seen."""

    number: int
    name: str
    address: str
    port: int
    run: str
    task_id: str = ""
    agent_id: str = ""


@dataclass(frozen=True)
class Gang:
    """All nodes of an attempt in their order. ``task_id`` is the first one's, empty until it was seen."""

    nodes: tuple[GangNode, ...]
    task_id: str


class Gangs:
    """The gangs of one ledger. Safe to use from several threads."""

    def __init__(
        self,
        reader: Callable[[], sqlite3.Cursor],
        writing: Callable[[], AbstractContextManager[sqlite3.Cursor]],
    ) -> None:
        self._reader = reader
        self._writing = writing

    @staticmethod
    def prepare(cursor: sqlite3.Cursor) -> None:
        """Make the table where there is none."""
        cursor.execute(_TABLE)

    def keep(self, job_id: int, attempt: int, nodes: Sequence[GangNode], task_id: str = "") -> None:
        """Store the nodes of an attempt, in the place of those of earlier ones. Durable on return."""
        text = json.dumps([asdict(node) for node in nodes], separators=(",", ":"))
        with self._writing() as cursor:
            cursor.execute(
                "INSERT OR REPLACE INTO gangs VALUES (?, ?, ?, ?)", (job_id, attempt, text, task_id)
            )

    def of(self, job_id: int, attempt: int) -> Gang | None:
        """The nodes of an attempt; None when they have not all been there."""
        row = (
            self._reader()
            .execute("SELECT nodes, task_id FROM gangs WHERE job_id = ? AND attempt = ?", (job_id, attempt))
            .fetchone()
        )
        if row is None:
            return None
        return Gang(tuple(GangNode(**node) for node in json.loads(row[0])), str(row[1]))
