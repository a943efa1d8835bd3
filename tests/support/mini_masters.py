"""The Mesos master of a minicluster, for `tests.realmesos.scheduler.Scheduler`."""

from __future__ import annotations

from dataclasses import dataclass

from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster


@dataclass(frozen=True)
class MiniMaster:
    address: str


class MiniMasters:
    """Whoever leads."""

    tls = None
    credentials = None

    def __init__(self, cluster: ThreadedCluster) -> None:
        self._cluster = cluster

    def leader(self) -> MiniMaster:
        """Raises RuntimeError when none leads."""
        masters = self._cluster.run(lambda mini: mini.masters)
        if masters.leading is None:
            raise RuntimeError("no master leads")
        return MiniMaster(masters.urls[masters.leading].removeprefix("http://"))
