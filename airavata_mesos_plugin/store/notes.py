"""What schedulers of our own keep: texts by name, apart for each cluster."""

from __future__ import annotations

from collections.abc import Mapping

from airavata_mesos_plugin.store.table import LedgerTable, Reader, Writing


class Notes(LedgerTable):
    """The notes of one owner; a `SchedulerStore`."""

    schema = (
        "CREATE TABLE IF NOT EXISTS scheduler_notes (owner TEXT NOT NULL, name TEXT NOT NULL,"
        " text TEXT NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID"
    )

    def __init__(self, owner: str, reader: Reader, writing: Writing) -> None:
        super().__init__(reader, writing)
        self._owner = owner

    def load(self) -> Mapping[str, str]:
        """All notes of the owner. Repeatable."""
        found = self._reader().execute(
            "SELECT name, text FROM scheduler_notes WHERE owner = ?", (self._owner,)
        )
        return {str(row[0]): str(row[1]) for row in found}

    def keep(self, changes: Mapping[str, str | None]) -> None:
        """Write texts and drop those that are None, in one transaction. Durable on return; repeatable."""
        with self._writing() as cursor:
            cursor.executemany(
                "INSERT INTO scheduler_notes VALUES (?, ?, ?)"
                " ON CONFLICT (owner, name) DO UPDATE SET text = excluded.text",
                [(self._owner, name, text) for name, text in changes.items() if text is not None],
            )
            cursor.executemany(
                "DELETE FROM scheduler_notes WHERE owner = ? AND name = ?",
                [(self._owner, name) for name, text in changes.items() if text is None],
            )
