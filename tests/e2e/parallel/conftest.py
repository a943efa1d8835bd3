"""A site on an embedded cluster with several agents, for jobs over several nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster, roomy
from tests.support.mini_site import agents

AGENTS = 3
QUEUE = {"max_nodes": 4, "disk_mb": 100, "default_memory_mb_per_cpu": 100, "gathering_seconds": 120}


class ParallelSite(ComputeResource):
    """A daemon and its commands on that cluster."""

    def __init__(self, directory: Path, cluster: EmbeddedCluster, **queue: object) -> None:
        super().__init__(directory, cluster, {"queues": {**QUEUE, **queue}})
        self.embedded = cluster


@pytest.fixture
def three(tmp_path: Path) -> Iterator[ParallelSite]:
    """Three agents with four CPUs each."""
    cluster = EmbeddedCluster(roomy(tmp_path / "cluster", agents=agents(AGENTS)))
    with cluster:
        site = ParallelSite(tmp_path, cluster)
        site.start()
        try:
            site.install()
            yield site
        finally:
            site.stop()
