"""The scheduler's memory on disk: one small SQLite file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from airavata_mesos_plugin.minicluster.clock import Clock, Timer

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS things"
    " (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
)
_PUT = "INSERT INTO things VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"
_ALL = "SELECT * FROM things ORDER BY kind, key"
Entry = tuple[str, str, bytes]
"""Kind, key and value of one thing."""


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
    connection.execute("PRAGMA journal_mode = WAL")
    # What was answered survives the end of the process, not that of the machine.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_SCHEMA)
    return connection


def write_copy(path: Path, entries: Iterable[Entry]) -> None:
    """A file with just these things, in the place of one of that name. Raises OSError and sqlite3.Error."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(part)) as connection, connection:
        connection.execute(_SCHEMA)
        connection.executemany(_PUT, entries)
    part.replace(path)


def read_copy(path: Path) -> list[Entry]:
    """What `write_copy` wrote. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
        return [(kind, key, bytes(value)) for kind, key, value in connection.execute(_ALL)]


def by_kind(entries: Iterable[Entry]) -> dict[str, list[tuple[str, bytes]]]:
    """Pairs of key and value by kind, in their order."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for kind, key, value in entries:
        found.setdefault(kind, []).append((key, value))
    return found


class SqliteJournal:
    """Writes what changed in one transaction, at the latest when the event loop has nothing else to do."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises OSError when the file cannot be used."""
        try:
            self._connection = _connect(path)
        except sqlite3.Error as error:
            raise OSError(f"cannot use {path} to remember the scheduler's state: {error}") from error
        self._path = path
        self._clock = clock
        self._changes: dict[tuple[str, str], Callable[[], bytes] | None] = {}
        self._timer: Timer | None = None
        self._closed = False

    def put(self, kind: str, key: str, value: Callable[[], bytes]) -> None:
        self._change(kind, key, value)

    def delete(self, kind: str, key: str) -> None:
        self._change(kind, key, None)

    def _change(self, kind: str, key: str, value: Callable[[], bytes] | None) -> None:
        if self._closed:
            return
        self._changes[kind, key] = value
        if self._timer is None:
            self._timer = self._clock.call_later(0, self.flush)

    def flush(self) -> None:
        """Raises OSError when the file cannot be written; the changes stay noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._changes or self._closed:
            return
        put = [(kind, key, value()) for (kind, key), value in self._changes.items() if value is not None]
        gone = [name for name, value in self._changes.items() if value is None]
        with self._transaction():
            self._connection.executemany(_PUT, put)
            self._connection.executemany("DELETE FROM things WHERE kind = ? AND key = ?", gone)
        self._changes.clear()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise OSError(f"cannot write {self._path}: {error}") from error

    def all(self) -> dict[str, list[tuple[str, bytes]]]:
        """Everything kept, as pairs of key and value by kind, sorted by key."""
        return by_kind(self._connection.execute(_ALL))

    def replace(self, entries: Iterable[Entry]) -> None:
        """Keep just these things, and take no more.  Raises OSError; then everything is as before."""
        with self._transaction():
            self._connection.execute("DELETE FROM things")
            self._connection.executemany(_PUT, entries)
        self._changes.clear()
        self.close()

    def close(self) -> None:
        """Write what is noted, and take no more.  May be repeated."""
        if not self._closed:
            self.flush()
            self._closed = True
            self._connection.close()


class Lock:
    """Held by the one process whose scheduler may write the state; ends with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    @property
    def held(self) -> bool:
        return self._fd >= 0

    def take(self) -> bool:
        """False when another process holds it.  Harmless when held already."""
        if self.held:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def give_back(self) -> None:
        """May be repeated."""
        if self.held:
            os.close(self._fd)
            self._fd = -1
