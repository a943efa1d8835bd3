"""Finding and ending every process of a task.

A task may start processes that leave its session or lose their parent. A child subreaper (Linux 3.4)
inherits such orphans, so everything a task ever started stays below its executor in the process tree.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}) failed: {os.strerror(code)}")


def become_subreaper() -> None:
    """Inherit orphaned descendants from now on.  Raises OSError when the kernel refuses."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def signal_on_parent_death(signum: int) -> None:
    """Ask the kernel for `signum` when the parent thread ends. The caller must check afterwards that the
    parent had not ended before."""
    _prctl(PR_SET_PDEATHSIG, signum)


def _children_from_listing(pid: int) -> list[int] | None:
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
    except OSError:
        return []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listing:  # noqa: PTH123 - no pathlib here
                found += [int(word) for word in listing.read().split()]
        except FileNotFoundError:
            if os.path.isdir(f"/proc/{pid}/task/{thread}"):  # noqa: PTH112
                return None  # the kernel was built without child lists
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
    return found


def _parents() -> dict[int, list[int]]:
    tree: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123
                fields = stat.read().rpartition(b")")[2].split()
        except OSError:
            continue
        tree.setdefault(int(fields[1]), []).append(int(name))
    return tree


def descendants(root: int | None = None) -> list[int]:
    """Process ids below `root` (default: this process), parents before children; zombies included."""
    start = os.getpid() if root is None else root
    tree: dict[int, list[int]] | None = None
    found: list[int] = []
    queue = [start]
    while queue:
        pid = queue.pop()
        below = tree.get(pid, []) if tree is not None else _children_from_listing(pid)
        if below is None:
            tree = _parents()
            below = tree.get(pid, [])
        found += below
        queue += below
    return found


def send_to_all(signum: int) -> int:
    """Signal every descendant; returns how many could be signalled."""
    count = 0
    for pid in descendants():
        try:
            os.kill(pid, signum)
            count += 1
        except OSError as error:
            if error.errno not in (errno.ESRCH, errno.EPERM):
                raise
    return count


def kill_everything(timeout_secs: float = 10.0) -> bool:
    """SIGKILL to all descendants until none is left; children are reaped on the way.

    Returns False when something outlived the timeout (a process the account may not signal, or one stuck in
    the kernel). Calling it again is harmless.
    """
    deadline = time.monotonic() + timeout_secs
    pause = 0.0005
    while True:
        send_to_all(signal.SIGKILL)
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                break
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
