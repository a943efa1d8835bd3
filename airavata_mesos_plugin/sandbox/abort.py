"""One thread ends what others are waiting for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Protocol

from airavata_mesos_plugin.errors import TransferError


class Abortable(Protocol):
    """Something that blocks and can be made to stop, such as a connection."""

    def abort(self) -> None:
        """End what goes on, from any thread; the object is of no use afterwards. Repeatable."""


class Abort:
    """Lets one thread end the transfers of others at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[Abortable] = set()
        self._aborted = False

    @property
    def aborted(self) -> bool:
        """True after `abort`."""
        return self._aborted

    def abort(self) -> None:
        """End every transfer under this object and refuse new ones. Repeatable."""
        with self._lock:
            self._aborted = True
            watched = tuple(self._watched)
        for one in watched:
            one.abort()

    def check(self) -> None:
        """Raises TransferError after `abort`."""
        if self._aborted:
            raise TransferError("the transfer was stopped")

    @contextlib.contextmanager
    def watch(self, one: Abortable) -> Iterator[None]:
        """Make ``one`` something that `abort` ends. Raises TransferError when it has been called before."""
        with self._lock:
            self.check()
            self._watched.add(one)
        try:
            yield
        finally:
            with self._lock:
                self._watched.discard(one)
