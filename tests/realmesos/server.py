"""One process of a real cluster: a Mesos master or agent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.waiting import wait_for

STOP_SECONDS = 60.0
_STARTED = re.compile(r"started on (?:\(\d+\)@)?[\d.]+:(\d+)")


class Server:
    """Listens on a port of the system's choice, and on the same one whenever it is started again."""

    def __init__(
        self,
        name: str,
        directory: Path,
        command: Sequence[str],
        ip: str,
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        """``prefix`` stands before the command: what leads to the host where it is to run."""
        self.name = name
        self.directory = directory
        self.ip = ip
        self._command = (*prefix, *command)
        self._environment = dict(environment)
        self._log = directory / "log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        """Host and port; waits for the first start. Raises AssertionError with the log if there is none."""
        if not self._port:
            what = f"{self.name} listening"
            self._port = wait_for(self._announced, bool, what, seconds=60, context=self.log)
        return f"{self.ip}:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """All that the process wrote, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it, again after `kill` or `retire`. Its state on disk is kept.

        It ends with the thread that calls this.
        """
        assert not self.running()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                # A test run that is killed takes its servers along.
                ["setpriv", "--pdeathsig", "KILL", *self._command, f"--port={self._port}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self.directory,
                start_new_session=True,
            )

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a crash. What an agent runs with checkpoints goes on without it. Repeatable."""
        self._end(signal.SIGKILL)

    def retire(self) -> None:
        """SIGUSR1: an agent says goodbye to its master and ends its executors. Repeatable."""
        self._end(signal.SIGUSR1)

    def send(self, number: signal.Signals) -> None:
        """Any other signal, SIGSTOP and SIGCONT for instance."""
        os.kill(self.pid, number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._port = self._port or self._announced()  # it is to come back at the same place
            self.send(number)
            self._process.send_signal(signal.SIGCONT)  # it may have stopped together with a child
            self._process.wait(STOP_SECONDS)

    def _announced(self) -> int:
        found = _STARTED.search(self.log())
        if found:
            return int(found[1])
        if not self.running():
            raise AssertionError(f"{self.name} ended by itself:\n{self.log()}")
        return 0
