"""The nodes of parallel jobs, from the moment that all of an attempt are there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from airavata_mesos_plugin.store.table import LedgerTable

_OF = "SELECT nodes, task_id FROM gangs WHERE job_id = ? AND attempt = ?"


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


class Gangs(LedgerTable):
    """The gangs of one ledger."""

    schema = (
        "CREATE TABLE IF NOT EXISTS gangs (job_id INTEGER NOT NULL REFERENCES jobs (id),"
        " attempt INTEGER NOT NULL, nodes TEXT NOT NULL, task_id TEXT NOT NULL,"
        " PRIMARY KEY (job_id, attempt)) WITHOUT ROWID"
    )

    def keep(self, job_id: int, attempt: int, nodes: Sequence[GangNode]) -> Gang:
        """Store the nodes of an attempt. Durable on return.

        An attempt has one gang for good: a repeat gives back what was stored first, whatever ``nodes`` are.
        """
        with self._writing() as cursor:
            values = (job_id, attempt, _text(nodes))
            cursor.execute("INSERT OR IGNORE INTO gangs VALUES (?, ?, ?, '')", values)
            return _gang(cursor.execute(_OF, (job_id, attempt)).fetchone())

    def observe(self, job_id: int, attempt: int, task_id: str, nodes: Sequence[GangNode]) -> None:
        """Store the first node's task, and ``nodes`` with what else was seen of them. Durable on return.

        Nothing changes once the first node has had another task, or where there is no gang; repeatable.
        """
        with self._writing() as cursor:
            cursor.execute(
                "UPDATE gangs SET task_id = ?, nodes = ?"
                " WHERE job_id = ? AND attempt = ? AND task_id IN ('', ?)",
                (task_id, _text(nodes), job_id, attempt, task_id),
            )

    def of(self, job_id: int, attempt: int) -> Gang | None:
        """The nodes of an attempt; None when they have not all been there."""
        row = self._reader().execute(_OF, (job_id, attempt)).fetchone()
        return None if row is None else _gang(row)


def _text(nodes: Sequence[GangNode]) -> str:
    return json.dumps([asdict(node) for node in nodes], separators=(",", ":"))


def _gang(row: sqlite3.Row) -> Gang:
    return Gang(tuple(GangNode(**node) for node in json.loads(row[0])), str(row[1]))
