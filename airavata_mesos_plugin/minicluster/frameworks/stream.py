"""One subscription: events on their way to a framework."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any


class Torn(Exception):
    """The stream breaks without an end, as when the master dies."""


class Stream:
    """Filled by the master, emptied by whoever holds the connection."""

    def __init__(self) -> None:
        self.id = str(uuid.uuid4())
        self._records: asyncio.Queue[bytes | Torn | None] = asyncio.Queue()
        self._over = False

    def send(self, kind: str, **members: Any) -> None:
        """An event.  Harmless when the stream has ended."""
        if not self._over:
            payload = json.dumps({"type": kind, **members}, separators=(",", ":")).encode()
            self._records.put_nowait(b"%d\n%s" % (len(payload), payload))

    def end(self, *, torn: bool = False) -> None:
        """What was sent before still arrives, unless it is torn.  May be repeated."""
        if not self._over:
            self._over = True
            self._records.put_nowait(Torn() if torn else None)

    async def records(self) -> AsyncIterator[bytes]:
        """All events as records.  Raises Torn."""
        while (record := await self._records.get()) is not None:
            if isinstance(record, Torn):
                raise record
            yield record
