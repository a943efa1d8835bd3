"""What the parts of a ledger have in common that have tables of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar

Reader = Callable[[], sqlite3.Cursor]
Writing = Callable[[], AbstractContextManager[sqlite3.Cursor]]


class LedgerTable:
    """A part of one ledger. Safe to use from several threads."""

    schema: ClassVar[str] = ""
    """Makes its table where there is none; empty when the ledger's own schema does."""

    def __init__(self, reader: Reader, writing: Writing) -> None:
        """``reader`` sees what is durable; all changes within one ``writing`` are one transaction."""
        self._reader = reader
        self._writing = writing
