"""A minicluster as a process of its own, which can go away and come back on the same ports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.testing.programs import Program, own_environment


class MiniclusterProcess:
    """One agent with more than this machine has, so that tests wait only where waiting is what they test."""

    def __init__(self, directory: Path, *, cpus: int) -> None:
        self._directory = directory
        self._cpus = cpus
        self._addresses: dict[str, Any] = {}
        self._program: Program | None = None

    @property
    def scheduler_url(self) -> str:
        return str(self._addresses["scheduler"])

    @property
    def master_url(self) -> str:
        return str(self._addresses["master"])

    @property
    def program(self) -> Program:
        assert self._program is not None
        return self._program

    def start(self) -> None:
        """Start it, on the ports that it had before. Raises AssertionError with its log when it does not."""
        ports = []
        if self._addresses:
            urls = (self.scheduler_url, self.master_url, self._addresses["agents"][0])
            for name, url in zip(("scheduler", "master", "agent"), urls, strict=True):
                ports += [f"--{name}-port", url.rsplit(":", 1)[1]]
        self._program = Program(
            [
                *(sys.executable, "-m", "airavata_mesos_plugin.minicluster", "--exit-with-parent"),
                *("--work-dir", str(self._directory / "cluster"), "--cluster-name", "testing"),
                *("--cpus", str(self._cpus), "--memory-mb", "65536", "--disk-mb", "1000000"),
                *ports,
            ],
            self._directory / "minicluster.log",
            own_environment(),
        )
        self._addresses = self._program.ready()

    def stop(self) -> None:
        """End it in order. Repeatable."""
        if self._program is not None and self._program.running():
            self._program.terminate()
