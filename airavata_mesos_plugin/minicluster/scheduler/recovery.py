"""A backup that is looked at, cut and put in the place of the storage (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.minicluster.scheduler import query as queries
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.state import Entry, read_copy

PREFIX = "scheduler-backup-"


class RecoveryError(Exception):
    """The text says what is in the way."""


class Backups:
    """The backups in a directory, one of which may be loaded."""

    def __init__(self, directory: Path, task_of: Callable[[bytes], Task]) -> None:
        """``task_of`` makes a task from what is kept of one."""
        self._directory = directory
        self._task_of = task_of
        self._loaded: tuple[list[Entry], TaskStore] | None = None

    def names(self) -> frozenset[str]:
        """Of all backups that are there."""
        entries = self._directory.iterdir() if self._directory.is_dir() else ()
        return frozenset(entry.name for entry in entries if entry.name.startswith(PREFIX))

    def load(self, name: str) -> None:
        """Raises RecoveryError for one that is not there, and while another is loaded."""
        # Asked for among the names that there are, so that no path leads elsewhere.
        if name not in self.names():
            raise RecoveryError(f"Backup {name} does not exist.")
        if self._loaded is not None:
            raise RecoveryError("Another backup is already loaded.")
        try:
            entries = read_copy(self._directory / name)
            tasks = TaskStore()
            for kind, _, data in entries:
                if kind == "task":
                    tasks.restore(self._task_of(data))
        except Exception as error:  # whatever a damaged file leads to
            raise RecoveryError(f"Backup {name} cannot be read: {error}") from error
        self._loaded = entries, tasks

    def find(self, query: Any) -> list[Task]:
        """Tasks of the loaded backup. Raises RecoveryError without one, and BadQuery."""
        return queries.find(self._content()[1], query)

    def drop(self, query: Any) -> None:
        """Delete tasks from what is loaded; the backup stays as it is. Raises as `find`."""
        tasks = self._content()[1]
        for task in self.find(query):
            tasks.remove(task)

    def left(self) -> Iterable[Entry]:
        """All that was not deleted from what is loaded. Raises RecoveryError without a backup."""
        entries, tasks = self._content()
        return [
            (kind, key, data) for kind, key, data in entries if kind != "task" or tasks.get(key) is not None
        ]

    def unload(self) -> None:
        """Harmless when none is loaded."""
        self._loaded = None

    def _content(self) -> tuple[list[Entry], TaskStore]:
        if self._loaded is None:
            raise RecoveryError("No backup loaded.")
        return self._loaded
