"""Processes as a test needs them: with a ready line and a log."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

READY_SECONDS = 100.0
STOP_SECONDS = 60.0


class Program:
    """A process that prints one line of JSON on stdout when it is ready. Its stderr goes to a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """All that was written to stderr."""
        return self._log.read_text(errors="replace")

    def ready(self) -> dict[str, Any]:
        """The document of the ready line. Raises AssertionError with the log when there is none in time."""
        line = read_line(self._process, READY_SECONDS)
        if not line:
            self.kill()
            raise AssertionError(f"{self._process.args!r} is not ready:\n{self.log}")
        document: dict[str, Any] = json.loads(line)
        return document

    def terminate(self) -> int:
        """SIGTERM, and the exit code once it has ended; a process that stays is an error."""
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self._process.args!r} did not end on SIGTERM:\n{self.log}") from None
        self._close()
        return code

    def kill(self) -> None:
        """SIGKILL, and wait. Repeatable."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._close()

    def signal(self, number: signal.Signals) -> None:
        """Send any other signal."""
        self._process.send_signal(number)

    def running(self) -> bool:
        return self._process.poll() is None

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()


def read_line(process: subprocess.Popen[bytes], seconds: float) -> str:
    """The next line of a process' stdout; what there is of it when the process ends or the time is up."""
    assert process.stdout is not None
    end = time.monotonic() + seconds
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not data.endswith(b"\n") and selector.select(max(0.0, end - time.monotonic())):
            piece = os.read(process.stdout.fileno(), 1)  # one, so that the next line stays in the pipe
            if not piece:
                break
            data += piece
    return data.decode()


def own_environment(**more: str) -> dict[str, str]:
    """The environment of our programs: this one's, without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRAVATA_MESOS_")}
    return {**kept, **more}
