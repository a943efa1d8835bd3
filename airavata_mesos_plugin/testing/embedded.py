"""An Aurora scheduler, a Mesos master and agents inside of the test's process, with faults to switch on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from airavata_mesos_plugin.testing.faults import ApiFaults
from airavata_mesos_plugin.testing.waiting import wait_for


class EmbeddedCluster(ThreadedCluster):
    """`ThreadedCluster` whose API meets what is switched on in ``faults``.

    Agents, clock and leaders have their switches in `ThreadedCluster`: `lose_agent`, `partition_agent`,
    `return_agent`, `drain_agent`, `slow_agent`, `set_clock_offset`, `leading`, `resign`,
    `expire_session`.
    """

    def __init__(self, settings: ClusterSettings, clock: Clock | None = None) -> None:
        super().__init__(settings, clock)
        self.settings = settings
        self.faults = ApiFaults(self.add_fault)

    @property
    def faults_met(self) -> int:
        """Calls of the API that met a fault so far."""
        return self.run(lambda cluster: cluster.faults.met)

    def change_leader(self, *, expire: bool = False) -> None:
        """The leader resigns, or its ZooKeeper session is ended; returns when a scheduler leads anew, which
        may be the same one if no other stood for election at that moment.

        Raises AssertionError when none does within a minute, and OSError when ZooKeeper is not to be reached.
        """

        def reign() -> object | None:
            return self.run(lambda cluster: None if cluster.leader is None else cluster.leader.scheduler)

        number = wait_for(self.leading, lambda now: now is not None, "a leader")
        before = reign()
        assert number is not None
        (self.expire_session if expire else self.resign)(number)
        wait_for(reign, lambda now: now is not None and now is not before, "another leader")


def roomy(directory: Path, **settings: Any) -> ClusterSettings:
    """Settings of a cluster with one agent, ``127.0.0.1``, that has more than any test asks for.

    ``settings`` are members of `ClusterSettings`. Raises TypeError for one that it does not have.
    """
    agent = AgentSettings(host="127.0.0.1", cpus=16, memory_mb=65536, disk_mb=1_000_000)
    members: dict[str, Any] = {"cluster_name": "testing", "agents": (agent,), "stop_grace": 0.5, **settings}
    return ClusterSettings(directory, **members)
