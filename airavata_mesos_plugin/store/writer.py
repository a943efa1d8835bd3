"""Opening the ledger for changes, and its transactions."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airavata_mesos_plugin.errors import LedgerError
from airavata_mesos_plugin.store.reader import LedgerReader
from airavata_mesos_plugin.store.rows import SCHEMA, SCHEMA_VERSION
from airavata_mesos_plugin.store.table import LedgerTable


class LedgerWriter(LedgerReader):
    """The one connection that changes a ledger; threads take turns.

    ``tables`` are made besides the ledger's own. Raises LedgerError when the file cannot be opened, is
    damaged, or was made by a later release.
    """

    def __init__(self, path: Path, tables: Sequence[type[LedgerTable]]) -> None:
        self._prepare(path)
        self._writer = self._open()
        self._shared: sqlite3.Cursor | None = None  # of the block under way, see `together`
        try:
            self._make_tables(tables)
        except BaseException:
            self.close()
            raise
        (self.instance,) = self._writer.execute("SELECT instance FROM ledger").fetchone()
        """A random word of this ledger, so that keys made by two ledgers never meet on one cluster."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all changes of the block one transaction: one wait for the disk instead of many.

        Nothing of it is durable, or seen by readers, before the block ends; an error that leaves the
        block undoes all of it. Other writers wait, so the block must not. Blocks may not be nested.
        """
        with self._lock, self._writing() as cursor:
            self._shared = cursor
            try:
                yield
            finally:
                self._shared = None

    def _make_tables(self, tables: Sequence[type[LedgerTable]]) -> None:
        with self._writing() as cursor:
            (version,) = cursor.execute("PRAGMA user_version").fetchone()
            self._check_version(version)
            if version == 0:
                for statement in SCHEMA.split(";"):
                    cursor.execute(statement)
                cursor.execute("INSERT INTO ledger (instance) VALUES (?)", (secrets.token_hex(4),))
                cursor.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            for table in tables:
                cursor.execute(table.schema)

    def _connect(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)  # job scripts are in it; SQLite's other files get the same mode
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            if self._shared is not None:
                yield self._shared
                return
            cursor = self._writer.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                yield cursor
                cursor.execute("COMMIT")
            except sqlite3.Error as error:
                raise LedgerError(f"the job ledger {self._path} cannot be written: {error}") from error
            finally:
                if self._writer.in_transaction:
                    self._writer.rollback()
                cursor.close()
