"""Waiting for something to become true, with a word about what was there instead.

A test machine may stand still for some seconds at any moment, and its other work may leave little for us.
So limits here only tell a test that hangs from one that is slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_SECONDS = 0.05
STALL_SECONDS = 1.0
"""What counts of the time between two looks: the rest is the machine's doing."""


def wait_for(
    look: Callable[[], T],
    good: Callable[[T], bool],
    what: str,
    *,
    seconds: float = 60.0,
    pause: float = PAUSE_SECONDS,
    context: Callable[[], str] = str,
) -> T:
    """Look again and again; the first value that is ``good``.

    Raises AssertionError with the last value, and what ``context`` tells, when ``seconds`` have passed.
    """
    left = seconds
    looked_at = time.monotonic()
    while True:
        value = look()
        if good(value):
            return value
        if left <= 0:
            raise AssertionError(f"after {seconds:g} s still not {what}; last: {value!r}\n{context()}")
        time.sleep(pause)
        now = time.monotonic()
        left -= min(now - looked_at, STALL_SECONDS)
        looked_at = now
