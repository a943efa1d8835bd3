"""Which names have been found to be regular files a while ago."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from airavata_mesos_plugin.schedulers.base import SandboxAddress

GOOD_SECONDS = 600.0
"""A job may put something else in the place of a file; more looks would not make that impossible."""

_MOST = 4096


class KnownFiles:
    """A bounded memory. Safe to use from several threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[SandboxAddress, str], float] = OrderedDict()

    def has(self, address: SandboxAddress, relative: str) -> bool:
        """Whether it was added in the last `GOOD_SECONDS`."""
        with self._lock:
            seen = self._seen.get((address, relative))
        return seen is not None and self._now() - seen < GOOD_SECONDS

    def add(self, address: SandboxAddress, relative: str) -> None:
        """Repeatable: the last time counts."""
        with self._lock:
            self._seen[address, relative] = self._now()
            self._seen.move_to_end((address, relative))
            if len(self._seen) > _MOST:
                self._seen.popitem(last=False)
