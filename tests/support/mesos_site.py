"""A compute resource whose daemon schedules by itself on a real Mesos."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.testing.settings import NOWHERE
from tests.realmesos.cluster import RealMesosCluster
from tests.support.site import Site


class _Addresses:
    """Where the cluster listens, for `ComputeResource`."""

    scheduler_url = NOWHERE

    def __init__(self, cluster: RealMesosCluster) -> None:
        self.master_url = cluster.url(cluster.masters[0])


class MesosSite(Site):
    """One home directory with everything that works on it, and the Mesos behind it."""

    def __init__(self, directory: Path, mesos: RealMesosCluster, settings: Mapping[str, Any]) -> None:
        changes: dict[str, Any] = dict(settings)
        changes["clusters"] = {"kind": "mesos", **settings.get("clusters", {})}
        # Tasks run as the account that the queue's role names.
        changes["queues"] = {"role": getpass.getuser(), "disk_mb": 32, **settings.get("queues", {})}
        super().__init__(directory, None, changes)
        self.mesos = mesos
        self.cluster = _Addresses(mesos)
        self.config = directory / "provider.yaml"

    def tasks(self) -> dict[str, str]:
        """Every task that the leading master counts as active, with its state."""
        found = self.mesos.get(self.mesos.leader(), "/tasks?limit=10000")["tasks"]
        return {task["id"]: task["state"] for task in found if task["state"] not in _ENDED}


_ENDED = frozenset(
    f"TASK_{word}" for word in ("FINISHED", "FAILED", "KILLED", "ERROR", "LOST", "DROPPED", "GONE")
)


@contextmanager
def running_mesos_site(
    directory: Path, mesos: RealMesosCluster, settings: Mapping[str, Any] | None = None
) -> Iterator[MesosSite]:
    """A site on a cluster that runs; ``settings`` as for `Site`."""
    site = MesosSite(directory, mesos, settings or {})
    site.start()
    try:
        site.install()
        yield site
    finally:
        site.stop()
