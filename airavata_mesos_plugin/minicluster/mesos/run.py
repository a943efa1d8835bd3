"""One executor process, seen from its agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from airavata_mesos_plugin.minicluster.launch import Launch

_LOG = logging.getLogger(__name__)
_ROOT = str(Path(__file__).resolve().parents[3])
# Without the site module the interpreter starts in a fraction of the time, so the package's place is told.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from airavata_mesos_plugin.minicluster.executor.guardian import main; "
    "sys.exit(main(int(sys.argv[1]), sys.argv[2]))"
)

Report = Callable[[Mapping[str, str]], None]
"""State, message, and reason and source where they are told."""


class ExecutorRun:
    """Starts the executor, passes its reports on, and notices its end.

    `cache` is where the fetcher keeps what it may.
    `on_report` is called for every status, `on_end()` once, when the executor and its
    runner are gone.
    """

    def __init__(
        self, launch: Launch, directory: Path, cache: Path, on_report: Report, on_end: Callable[[], None]
    ) -> None:
        self.launch = launch
        self._cache = cache
        self.directory = directory
        self.pid = 0
        self.ended = asyncio.Event()
        self._on_report = on_report
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._pidfd = -1

    def start(self) -> None:
        """Raises OSError when no process can be started."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = self._spawn(theirs)
                self._pidfd = os.pidfd_open(self._process.pid)
            except OSError:
                ours.close()
                raise
        self.pid = self._process.pid
        self._channel = ours
        ours.setblocking(False)
        self._loop.add_reader(ours, self._readable)
        self._loop.add_reader(self._pidfd, self._exited)

    def _spawn(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        order = {
            "task_id": self.launch.task_id,
            "role": self.launch.role,
            "instance": self.launch.instance,
            "hostname": self.launch.hostname,
            "ports": dict(self.launch.ports),
            "data": self.launch.data,
            "uris": self.launch.uris,
            "command": None if self.launch.command is None else self.launch.command._asdict(),
            "cache": str(self._cache),
        }
        # A file in memory: the order may be larger than a pipe holds, and nobody has to wait for its reader.
        with (
            os.fdopen(os.memfd_create("launch"), "w+b") as stdin,
            (self.directory / "stdout").open("ab") as stdout,
            (self.directory / "stderr").open("ab") as stderr,
        ):
            stdin.write(json.dumps(order).encode())
            stdin.seek(0)
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, _ROOT, str(channel.fileno()), str(self.directory)],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(channel.fileno(),),
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd=self.directory,
                start_new_session=True,
            )

    def request(self, what: str, grace: float | None = None) -> None:
        """Ask the executor for `kill` or `shutdown`, with `grace` seconds for it instead of the launch's;
        harmless when it is gone."""
        if self._channel is None:
            return
        try:
            self._channel.send(json.dumps({"type": what, "grace": grace}).encode() + b"\n")
        except OSError as error:
            _LOG.debug("executor of %s no longer listens: %s", self.launch.task_id, error)

    def abandon(self) -> None:
        """Close our end: the executor kills everything of the task at once and leaves.  May be repeated."""
        if self._channel is not None:
            with contextlib.suppress(OSError):  # the other end is gone already
                self._channel.shutdown(socket.SHUT_WR)

    def force(self) -> None:
        """SIGKILL to the executor; what is below it ends as well.  May be repeated."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _readable(self) -> None:
        assert self._channel is not None
        while True:
            try:
                chunk = self._channel.recv(65536)
            except BlockingIOError:
                return
            except ConnectionError:
                chunk = b""
            if not chunk:
                self._loop.remove_reader(self._channel)
                self._channel.close()
                self._channel = None
                self._check_end()
                return
            *lines, self._received = (self._received + chunk).split(b"\n")
            for line in lines:
                self._on_report(json.loads(line))

    def _exited(self) -> None:
        assert self._process is not None
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._process.wait()
        self._check_end()

    def _check_end(self) -> None:
        # The runner holds the channel, the guardian is the process: only when both are gone is nothing left.
        if self._channel is None and self._pidfd == -1:
            self._on_end()
            self.ended.set()
