"""Starting and ending the processes of `worker`, from the daemon's side."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import FilesUnavailable
from airavata_mesos_plugin.sandbox.accounts.rights import Identity
from airavata_mesos_plugin.sandbox.paths import escape

log = logging.getLogger(__name__)

START_SECONDS = 30.0
"""How long a helper may take until it has become its account."""

_COMPLAINT_BYTES = 16 * 1024
_F_ADD_SEALS, _F_SEAL_SHRINK, _F_SEAL_GROW = 1033, 0x0002, 0x0004  # Linux; not in every Python

# It inherits neither environment nor search path: what it runs is this very package.
_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from airavata_mesos_plugin.sandbox.accounts.worker import main
main(int(sys.argv[2]))
"""
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class HelperGone(Exception):
    """The helper has ended, so it took no request."""


class Helper:
    """One process; it is root's until `assign` has told it who it is, and does nothing before."""

    def __init__(self, clock: Clock) -> None:
        """Start it; it gets ready at its own pace. Raises OSError."""
        self._clock = clock
        self.started_at = clock.monotonic()
        self._complaints = _sealed_memory()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-X", "utf8", "-c", _PROGRAM),
                    *(str(Path(__file__).resolve().parents[3]), str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                cwd="/",
                env=_ENVIRONMENT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                umask=0o022,
            )
        except BaseException:
            ours.close()
            os.close(self._complaints)
            raise
        finally:
            theirs.close()
        self._control = ours
        self._lock = threading.Lock()
        self._killed = False
        self._user = ""
        # Reaps it at once, whenever it ends.
        self._watcher = threading.Thread(target=self._watch, name=f"helper-{self.pid}", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._watcher.is_alive()

    @property
    def lost(self) -> bool:
        """Whether it was killed and is still there."""
        return self._killed and self.alive

    def assign(self, user: str, identity: Identity, settings: FetchSettings) -> None:
        """Make it the account's. Raises FilesUnavailable when it cannot become that."""
        self._user = user
        message = {
            "uid": identity.uid,
            "gid": identity.gid,
            "groups": identity.groups,
            "fetch": settings.model_dump(mode="json"),
        }
        answer = b""
        with contextlib.suppress(OSError):
            self._control.settimeout(START_SECONDS)
            self._control.send(json.dumps(message).encode("ascii"))
            answer = self._control.recv(16)
        if answer != b"ready":
            self.kill()
            self._watcher.join(1.0)
            raise FilesUnavailable(
                f"the helper process for the files of {user} could not be started",
                advice="the log of the provider says more",
            )
        self._control.settimeout(1.0)  # a stopped helper must not hold up whoever has a request for it

    def open(self, more: Sequence[socket.socket] = ()) -> socket.socket:
        """A connection for one request; the helper gets ``more`` with it, which stay the caller's to close.

        Raises HelperGone when it takes none any more.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._lock:
                socket.send_fds(self._control, [b"r"], [theirs.fileno(), *(one.fileno() for one in more)])
        except OSError as error:
            ours.close()
            raise HelperGone from error
        finally:
            theirs.close()
        return ours

    def retire(self) -> None:
        """Let it finish what it has, and end. Repeatable."""
        with self._lock, contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End it now. A process that hangs in the kernel stays until the kernel lets it go. Repeatable."""
        self._killed = True
        self._process.kill()

    def close(self, seconds: float) -> None:
        """End it in order, and by force when it has not ended after ``seconds``. Repeatable."""
        self.retire()
        self._watcher.join(seconds)
        if self.alive:
            self.kill()
            self._watcher.join(1.0)

    def _watch(self) -> None:
        code = self._process.wait()
        self._control.close()
        try:
            size = os.lseek(self._complaints, 0, os.SEEK_CUR)
            said = os.pread(self._complaints, size, 0).decode(errors="replace").strip()
        finally:
            os.close(self._complaints)
        if code and not self._killed:
            log.warning("the helper of %s ended with code %d: %s", self._user or "nobody", code, escape(said))


def _sealed_memory() -> int:
    """A descriptor that takes a few complaints and no more: what runs as a user must not fill our log."""
    descriptor = os.memfd_create("complaints", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(descriptor, _COMPLAINT_BYTES)
    fcntl.fcntl(descriptor, _F_ADD_SEALS, _F_SEAL_SHRINK | _F_SEAL_GROW)
    return descriptor
