"""One scheduler process's place in the cluster: whether it leads, and who does."""

from __future__ import annotations

from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.settings import ClusterSettings


class Node:
    """`scheduler` is set while this node leads."""

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.scheduler: Scheduler | None = None
        self.url = ""

    def leader_url(self) -> str | None:
        """Where the leader is; None when nobody leads, or more than one claims to."""
        return self.url if self.scheduler is not None else None
