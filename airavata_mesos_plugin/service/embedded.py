"""The embedded minicluster: a child process of the daemon that ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from airavata_mesos_plugin.config import ClusterSettings, ProviderSettings
from airavata_mesos_plugin.errors import ConfigurationError


class EmbeddedCluster:
    """A minicluster on loopback. It must be started by a thread that lives as long as it shall live."""

    def __init__(self, name: str, work_directory: Path) -> None:
        self.name = name
        self._work_directory = work_directory
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> dict[str, object]:
        """Start it and return its addresses once it listens. Raises ConfigurationError."""
        self._work_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "airavata_mesos_plugin.minicluster",
                "--work-dir",
                str(self._work_directory),
                "--cluster-name",
                self.name,
                "--exit-with-parent",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the daemon, which ends the cluster in order
        )
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise ConfigurationError(
                f"the minicluster {self.name} did not start (exit code {self._process.wait()})",
                advice="its last lines above say why",
            )
        addresses: dict[str, object] = json.loads(line)
        return addresses

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it with all its tasks and wait until nothing is left. Repeatable."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None


def with_addresses(settings: ProviderSettings, name: str, addresses: dict[str, object]) -> ProviderSettings:
    """The settings with the real addresses of the embedded cluster ``name``."""
    changed = []
    for cluster in settings.clusters:
        document = cluster.model_dump()
        if cluster.name == name:
            document.update(schedulers=[addresses["scheduler"]], mesos_masters=[addresses["master"]])
        changed.append(ClusterSettings.model_validate(document))
    return settings.model_copy(update={"clusters": tuple(changed)})
