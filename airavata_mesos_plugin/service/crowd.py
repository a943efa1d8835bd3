"""How many commands an account may have on the command socket, and how much they may send: the daemon has
one table of descriptors and one memory for all.

Used by one event loop only, so nothing here is locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from airavata_mesos_plugin.errors import ProtocolError

BYTES_OF_ACCOUNT = 512 * 1024 * 1024
"""Bytes of requests and scripts that are held for one account at a time."""


class Guest(Protocol):
    """One connection."""

    @property
    def silent(self) -> bool:
        """Whether it has not said yet what it wants."""

    def hang_up(self) -> None:
        """Close it at once."""


class Crowd:
    """All connections, by account."""

    def __init__(self, most_of_account: int, bytes_of_account: int = BYTES_OF_ACCOUNT) -> None:
        self._most = most_of_account
        self._most_bytes = bytes_of_account
        self._guests: dict[int, dict[Guest, int]] = {}  # and the bytes held for each

    @contextmanager
    def inside(self, uid: int, guest: Guest) -> Iterator[None]:
        """Count the guest until the end of the block.

        Where its account has too many, the one that has been silent for longest has to go; when all have
        spoken, ProtocolError is raised.
        """
        guests = self._guests.setdefault(uid, {})
        if len(guests) >= self._most:
            silent = next((other for other in guests if other.silent), None)
            if silent is None:
                raise ProtocolError(f"{self._most} commands of this account are under way; try again later")
            del guests[silent]
            silent.hang_up()
        guests[guest] = 0
        try:
            yield
        finally:
            guests.pop(guest, None)
            if not guests and self._guests.get(uid) is guests:
                del self._guests[uid]

    def take(self, uid: int, guest: Guest, count: int) -> None:
        """Note that ``count`` more bytes are held for the guest. Raises ProtocolError when it is too much."""
        guests = self._guests.get(uid, {})
        if guest in guests:
            guests[guest] += count
        if sum(guests.values()) > self._most_bytes:
            limit = self._most_bytes
            raise ProtocolError(f"commands of this account send over {limit} bytes at once; try again later")
