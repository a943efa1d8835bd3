"""An Aurora scheduler, a Mesos master and agents inside of the test's process, with faults to switch on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from airavata_mesos_plugin.testing.faults import ApiFaults


class EmbeddedCluster(ThreadedCluster):
    """`ThreadedCluster` whose API meets what is switched on in ``faults``.

    Agents, clock and leaders have their switches in `ThreadedCluster`: `lose_agent`, `partition_agent`,
    `return_agent`, `drain_agent`, `slow_agent`, `set_clock_offset`, `leading`, `resign`, `expire_session`.
    """

    def __init__(self, settings: ClusterSettings, clock: Clock | None = None) -> None:
        super().__init__(settings, clock)
        self.settings = settings
        self.faults = ApiFaults(self.add_fault)

    @property
    def faults_met(self) -> int:
        """Calls of the API that met a fault so far."""
        return self.run(lambda cluster: cluster.faults.met)


def roomy(directory: Path, **settings: Any) -> ClusterSettings:
    """Settings of a cluster with one agent, ``127.0.0.1``, that has more than any test asks for.

    ``settings`` are members of `ClusterSettings`. Raises TypeError for one that it does not have.
    """
    agent = AgentSettings(host="127.0.0.1", cpus=16, memory_mb=65536, disk_mb=1_000_000)
    members: dict[str, Any] = {"cluster_name": "testing", "agents": (agent,), "stop_grace": 0.5, **settings}
    return ClusterSettings(directory, **members)
