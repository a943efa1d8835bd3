"""Waiting for something to become true, with a word about what was there instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_SECONDS = 0.05


def wait_for(
    look: Callable[[], T],
    good: Callable[[T], bool],
    what: str,
    *,
    seconds: float = 30.0,
    pause: float = PAUSE_SECONDS,
    context: Callable[[], str] = str,
) -> T:
    """Look again and again; the first value that is ``good``.

    Raises AssertionError with the last value, and what ``context`` tells, when ``seconds`` have passed.
    """
    end = time.monotonic() + seconds
    while True:
        value = look()
        if good(value):
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:g} s still not {what}; last: {value!r}\n{context()}")
        time.sleep(pause)
