"""A minicluster in a process of its own, for benchmarks that speak to it directly."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from airavata_mesos_plugin.config import ProviderSettings, embedded_settings
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.service.embedded import with_addresses

from .processes import Servers


@contextmanager
def minicluster() -> Iterator[tuple[Path, ProviderSettings]]:
    """A temporary directory, and settings whose only cluster is the one that runs until the block's end."""
    with tempfile.TemporaryDirectory(prefix="bench-mini-") as name:
        directory = Path(name)
        work = directory / "cluster"
        argv = [sys.executable, "-m", "airavata_mesos_plugin.minicluster", "--work-dir", str(work)]
        log = directory / "minicluster.log"
        with Servers(directory) as servers:
            servers.start(
                "minicluster",
                [*argv, "--exit-with-parent"],
                os.environ,
                lambda: log.read_bytes().startswith(b"{"),
            )
            settings = embedded_settings()
            addresses = json.loads(log.read_text().splitlines()[0])
            yield directory, with_addresses(settings, settings.clusters[0].name, addresses)


def document(key: JobKey, command: str, disk_mb: int = 64) -> Mapping[str, object]:
    """A job of one process that takes one CPU, in Aurora's JSON form."""
    return {
        "role": key.role,
        "cluster": "embedded",
        "environment": key.environment,
        "name": key.name,
        "tier": "preemptible",
        "task": {
            "processes": [{"name": "run", "cmdline": command}],
            "resources": {"cpu": 1, "ram": 16 * 2**20, "disk": disk_mb * 2**20},
        },
    }
