"""Forking a process of a task: it finds signals as any program expects them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD)
# Python ignores these two; programs expect the defaults.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)


def forked(become: Callable[[], None]) -> int:
    """Process id of a child that does ``become`` and ends. Raises OSError when none can be made."""
    # Blocked over the fork: a signal before the exec would meet our handlers and be lost to the task.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                become()
            finally:
                os._exit(127)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def stand_alone(directory: str) -> None:
    """For a child that is about to be another program, in a session of its own. Raises OSError."""
    for changed in (*_HANDLED, *_IGNORED):
        signal.signal(changed, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.chdir(directory)
