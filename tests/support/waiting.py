"""Waiting for something to become true, and for something to be quick.

A test machine may stand still for some seconds at any moment, so one slow try proves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from airavata_mesos_plugin.testing.waiting import wait_for

__all__ = ["quick_once", "wait_for"]

T = TypeVar("T")


def quick_once(action: Callable[[], T], seconds: float, *, tries: int = 8) -> T:
    """What ``action`` gives, from the first try that took less than ``seconds``.

    What waits for a time-out is slow each time; what is slow once stood still for another reason. Raises
    AssertionError when no try was quick.
    """
    took = []
    for _ in range(tries):
        begin = time.monotonic()
        value = action()
        took.append(round(time.monotonic() - begin, 2))
        if took[-1] < seconds:
            return value
    raise AssertionError(f"never took less than {seconds:g} s: {took}")
