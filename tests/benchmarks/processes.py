"""Server processes of a peer: started in the foreground, ended by pid in the opposite order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .measure import BenchmarkFailed, wait_until

_STOP_SECONDS = 30.0
_LOG_TAIL = 1500  # characters of a log shown in a message


def free_ports(address: str, count: int) -> list[int]:
    """Ports of an address that nobody listens on now; all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind((address, 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def answers(address: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


class Servers:
    """Context manager over server processes; on leaving it none of them is left."""

    def __init__(self, log_directory: Path) -> None:
        self._logs = log_directory
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        ready: Callable[[], bool],
        seconds: float = 60.0,
    ) -> None:
        """Start a server that stays in the foreground, and wait until it is ``ready``.

        Raises BenchmarkFailed with the end of its log when it ends before, or is not ready in time.
        """
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the benchmark, which ends the servers in order
            )
        self._running.append((name, process))

        def look() -> bool:
            if process.poll() is not None:
                raise BenchmarkFailed(f"{name} ended with code {process.returncode}")
            return ready()

        try:
            wait_until(f"{name} is ready", look, seconds)
        except BenchmarkFailed as failure:
            text = log.read_text("utf-8", "replace")[-_LOG_TAIL:]
            raise BenchmarkFailed(f"{failure}; its log ends with:\n{text}") from None

    def stop(self) -> None:
        """End them, the last one first. Repeatable."""
        while self._running:
            _, process = self._running.pop()
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def kill_marked(mark: bytes) -> None:
    """Kill every process whose environment has the entry ``mark``: those that a server left behind."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ValueError):  # it has ended, or belongs to somebody else
            continue
