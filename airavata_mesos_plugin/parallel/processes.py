"""Processes that a node starts for the job, and their end wherever they have gone.

Every process of the job has a variable in its environment that children inherit, also those that left
the session: by it they are found. It is the same on all nodes, since MPICH's launcher gives its own
environment to the ranks of other nodes.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Sequence

MARKER = "AIRAVATA_MESOS_GANG"
"""Name of that variable."""

_PROC = Path("/proc")
_LOOK_SECONDS = 0.05
_STUCK_SECONDS = 30.0


def start(argv: Sequence[str], directory: str, environment: Dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own, with pipes. Raises OSError."""
    return subprocess.Popen(
        list(argv),
        cwd=directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


def marked(marker: str) -> List[int]:
    """The living processes that carry the marker, without this one."""
    wanted = (MARKER + "=" + marker).encode("utf-8", "surrogateescape")
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it is over, or somebody else's
        if wanted in variables:
            found.append(int(entry.name))
    return found


def end_marked(marker: str, grace_seconds: float) -> None:
    """TERM to all that carry the marker, KILL to those that are left after the grace. Repeatable.

    Comes back when none is left. One that the kernel does not let go is waited for `_STUCK_SECONDS`.
    """
    _send(marked(marker), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while True:
        left = marked(marker)
        now = time.monotonic()
        if not left or now >= deadline + _STUCK_SECONDS:
            return
        if now >= deadline:
            _send(left, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def _send(processes: List[int], number: int) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except OSError:
            pass  # it ended meanwhile
