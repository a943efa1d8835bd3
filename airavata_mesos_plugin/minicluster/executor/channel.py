"""What every runner of a task shares: its order, the stream to the agent, and fetching."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod

KILLED = "Instructed to kill task."
SHUT_DOWN = "Told to shut down executor."


class AgentGone(Exception):
    """Nobody listens any more: the task must not outlive the cluster."""


class FetchFailed(Exception):
    """The text is what Mesos says of it."""


class Channel(ABC):
    """One task. `launch` is the agent's message, `channel` the stream to the agent (one JSON object a line,
    both ways), `run_dir` the directory of this executor run."""

    def __init__(self, launch: dict[str, object], channel: socket.socket, run_dir: str, wakeup: int) -> None:
        self._launch = launch
        self._channel = channel
        self._run_dir = run_dir
        self._wakeup = wakeup
        self._received = b""
        self._stop_reason: str | None = None
        self._grace: float | None = None
        """Seconds, as the last order to end said."""
        self.terminated = False  # set by the handler of SIGTERM
        self.abandoned = False  # set when the guardian process is gone

    @abstractmethod
    def run(self) -> None:
        """Run to the end and report it.  Raises AgentGone when the agent's end of the channel closed."""

    def _fetch(self) -> bool:
        """In Mesos this happens before there is an executor. False when the task was to end meanwhile.
        Raises FetchFailed."""
        uris = self._launch.get("uris")
        if not isinstance(uris, list) or not uris:
            return True
        pid = os.fork()
        if not pid:
            code = 1
            try:
                self._channel.close()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                from airavata_mesos_plugin.minicluster.executor import fetcher  # most tasks need none

                code = fetcher.run(uris, self._run_dir, str(self._launch["cache"]))
            finally:
                sys.stderr.flush()
                os._exit(code)
        status: int | None = None
        while status is None:
            ended, code = os.waitpid(pid, os.WNOHANG)
            if ended:
                status = os.waitstatus_to_exitcode(code)
                break
            self._wait(None)
            if self._stop_reason is not None:
                return False
        if status:
            container = os.path.basename(self._run_dir)  # noqa: PTH119
            raise FetchFailed(
                f"Failed to launch container: Failed to fetch all URIs for container '{container}':"
                f" exited with status {status}"
            )
        return True

    def _wait(self, timeout: float | None) -> None:
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        ready = dict(poll.poll(None if timeout is None else timeout * 1000 + 1))
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        if self._channel.fileno() in ready:
            self._receive()
        if self.abandoned:
            raise AgentGone
        if self.terminated:
            self._stop(SHUT_DOWN)

    def _receive(self) -> None:
        try:
            chunk = self._channel.recv(65536)
        except ConnectionError:
            chunk = b""
        if not chunk:
            raise AgentGone
        *lines, self._received = (self._received + chunk).split(b"\n")
        for line in lines:
            request = json.loads(line)
            self._grace = request.get("grace")
            self._stop(KILLED if request["type"] == "kill" else SHUT_DOWN)

    def _stop(self, reason: str) -> None:
        if self._stop_reason is None:
            self._stop_reason = reason
            self._log(reason)

    def _report(self, state: str, message: str | None, reason: str = "", source: str = "") -> None:
        said = {"state": state, "message": message}
        said.update({name: text for name, text in (("reason", reason), ("source", source)) if text})
        line = json.dumps(said) + "\n"
        try:
            self._channel.sendall(line.encode())
        except ConnectionError as error:
            raise AgentGone from error

    def _log(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        sys.stderr.write(f"{stamp} {text}\n")
        sys.stderr.flush()
