"""A daemon with its commands on a minicluster with several agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster, roomy


@contextmanager
def running_mini_site(directory: Path, agents: int, settings: Mapping[str, Any]) -> Iterator[ComputeResource]:
    """The agents count as different hosts for constraints, though all are this machine."""
    each = tuple(
        AgentSettings(
            host="127.0.0.1",
            cpus=8,
            memory_mb=8192,
            disk_mb=10_000,
            attributes={"host": (f"agent-{number + 1}",)},
        )
        for number in range(agents)
    )
    with EmbeddedCluster(roomy(directory / "cluster", agents=each)) as cluster:
        site = ComputeResource(directory, cluster, settings)
        site.start()
        try:
            site.install()
            yield site
        finally:
            site.stop()
