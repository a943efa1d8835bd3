"""Logs that are rotated by size, written by a process that stands between a task's process and its files
(Thermos, Aurora 0.22).
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
from collections.abc import Callable

_PIECE = 4096
_MOST_PIECES = 1024 * 1024 // _PIECE  # the longest that Linux lets an ordinary account make a pipe
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class RotatedLog:
    """``path``, and ``path.1`` and so on for what was written before.

    A file that has reached ``log_size`` bytes is renamed; it may have some more, since what is written at
    once stays together. Of the renamed ones ``backups`` are kept.
    """

    def __init__(self, path: str, log_size: int, backups: int) -> None:
        self._path = path
        self._log_size = log_size
        self._backups = backups
        self._open()

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        written = 0
        while written < len(data):
            written += os.write(self._fd, data[written:])
        self._size += len(data)
        if self._size >= self._log_size:
            self._rotate()

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> None:
        self._fd = os.open(self._path, _FLAGS, 0o644)
        self._size = 0

    def _rotate(self) -> None:
        os.close(self._fd)
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._backups + 1))]
        for number in range(self._backups, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(names[number - 1], names[number])  # noqa: PTH105 - no pathlib in the executor
        self._open()


def run_between(start: Callable[[int, int], int], directory: str, log_size: int, backups: int) -> None:
    """Write what a process says until it ends, and then end as it did. Never returns.

    ``start`` starts the process with these descriptors for its output and gives its id. Signals for the
    task do not end us: what the process says at its end belongs into the logs.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    logs: dict[int, RotatedLog] = {}
    ends = []
    for name in ("stdout", "stderr"):
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        logs[reader] = RotatedLog(f"{directory}/{name}", log_size, backups)
        ends.append(writer)
    pid = start(*ends)
    for end in ends:
        os.close(end)
    status = _copy(logs, pid, wakeup)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        # Who waits for us sees the same end.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 255)


def _copy(logs: dict[int, RotatedLog], pid: int, wakeup: int) -> int:
    """Until the process has ended and all that it said is written; its status."""
    open_ends = set(logs)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            for reader in open_ends:
                _copy_rest(reader, logs[reader])
            return status
        ready = select.select([*open_ends, wakeup], [], [])[0]
        if wakeup in ready:
            os.read(wakeup, _PIECE)
        for reader in open_ends & set(ready):
            data = os.read(reader, _PIECE)
            if data:
                logs[reader].write(data)
            else:
                open_ends.discard(reader)


def _copy_rest(reader: int, log: RotatedLog) -> None:
    """What is in the pipe. Processes that were left behind may write on and on."""
    for _ in range(_MOST_PIECES):
        try:
            data = os.read(reader, _PIECE)
        except BlockingIOError:
            return
        if not data:
            return
        log.write(data)
