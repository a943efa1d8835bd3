"""A daemon with its commands on an embedded cluster with several agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster, roomy


def agents(number: int, cpus: float = 4) -> tuple[AgentSettings, ...]:
    """Agents that count as different hosts for constraints, though all are this machine."""
    return tuple(
        AgentSettings(
            host="127.0.0.1",
            cpus=cpus,
            memory_mb=8192,
            disk_mb=10_000,
            attributes={"host": (f"agent-{one + 1}",)},
        )
        for one in range(number)
    )


@contextmanager
def running_mini_site(
    directory: Path, number: int, settings: Mapping[str, Any], **cluster: Any
) -> Iterator[ComputeResource]:
    """A site with ``number`` such agents. ``settings`` are of `ComputeResource`, ``cluster`` of `roomy`."""
    with EmbeddedCluster(roomy(directory / "cluster", agents=agents(number), **cluster)) as embedded:
        site = ComputeResource(directory, embedded, settings)
        site.start()
        try:
            site.install()
            yield site
        finally:
            site.stop()
