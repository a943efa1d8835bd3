"""SHA-256 of streams that may break off: kept at places from which a later transfer can go on."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

SPACING_BYTES = 8 * 1024 * 1024
"""Between two places."""

PLACES = 16
"""Of one stream, the last ones: what was sent and had not arrived when the connection broke is less."""

STREAMS = 512
"""How many streams are remembered, those used last."""


class Digests:
    """Where streams have got to. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: OrderedDict[Hashable, deque[tuple[int, _Hash]]] = OrderedDict()

    def before(self, stream: Hashable, start: int) -> tuple[int, _Hash]:
        """The last known place at or before byte ``start``, and the digest of all bytes before it, for the
        caller to go on with. A ``start`` of 0 forgets what is known: the stream begins again.
        """
        with self._lock:
            if not start:
                self._streams.pop(stream, None)
            for position, digest in reversed(self._streams.get(stream, ())):
                if position <= start:
                    return position, digest.copy()
        return 0, hashlib.sha256()

    def note(self, stream: Hashable, position: int, digest: _Hash) -> None:
        """Remember the digest of the first ``position`` bytes, unless a place close by is known."""
        with self._lock:
            places = self._streams.setdefault(stream, deque(maxlen=PLACES))
            self._streams.move_to_end(stream)
            if not places or position >= places[-1][0] + SPACING_BYTES:
                places.append((position, digest.copy()))
            while len(self._streams) > STREAMS:
                self._streams.popitem(last=False)
