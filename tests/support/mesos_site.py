"""A compute resource whose daemon schedules by itself on a real Mesos."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.testing.settings import NOWHERE
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.hosts import Host
from tests.realmesos.server import Server
from tests.support.mesos_framework import ENDED
from tests.support.site import Site


class _Addresses:
    """Where the cluster listens, for `ComputeResource`."""

    scheduler_url = NOWHERE

    def __init__(self, cluster: RealMesosCluster) -> None:
        self.master_url = cluster.url(cluster.masters[0])


class MesosSite(Site):
    """One home directory with everything that works on it, and the Mesos behind it.

    The daemon runs on ``host`` if the agents are on hosts of their own, too.
    """

    def __init__(
        self,
        directory: Path,
        mesos: RealMesosCluster,
        settings: Mapping[str, Any],
        host: Host | None = None,
    ) -> None:
        changes: dict[str, Any] = dict(settings)
        self._framework = f"site-{uuid.uuid4()}"
        cluster = dict(settings.get("clusters", {}))
        own = {"framework_name": self._framework, **cluster.pop("mesos", {})}
        changes["clusters"] = {"kind": "mesos", "mesos": own, **cluster}
        # Tasks run as the account that the queue's role names.
        changes["queues"] = {"role": getpass.getuser(), "disk_mb": 32, **settings.get("queues", {})}
        prefix: list[str] = []
        if host is not None:
            prefix = host.prefix
            changes["staging"] = {"listen": host.address, **settings.get("staging", {})}
        super().__init__(directory, None, changes, prefix)
        self.mesos = mesos
        self.cluster = _Addresses(mesos)
        self.config = directory / "provider.yaml"

    def tasks(self) -> dict[str, str]:
        """Every task of this site that the leading master counts as active, with its state."""
        leader = self.mesos.leader()
        mine = {one["id"] for one in self._frameworks(leader)}
        found = self.mesos.get(leader, "/tasks?limit=10000")["tasks"]
        return {
            one["id"]: one["state"]
            for one in found
            if one["framework_id"] in mine and one["state"] not in ENDED
        }

    def offers(self) -> set[str]:
        """Ids of the offers that this site has and has not answered, as the leading master says."""
        frameworks = self._frameworks(self.mesos.leader())
        return {offer["id"] for one in frameworks for offer in one.get("offers", ())}

    def _frameworks(self, leader: Server) -> list[dict[str, Any]]:
        found = self.mesos.get(leader, "/frameworks")
        every = [*found["frameworks"], *found["completed_frameworks"]]
        return [one for one in every if one["name"] == self._framework]


@contextmanager
def running_mesos_site(
    directory: Path,
    mesos: RealMesosCluster,
    settings: Mapping[str, Any] | None = None,
    host: Host | None = None,
) -> Iterator[MesosSite]:
    """A site on a cluster that runs; ``settings`` as for `Site`, ``host`` as for `MesosSite`."""
    site = MesosSite(directory, mesos, settings or {}, host)
    site.start()
    try:
        site.install()
        yield site
    finally:
        site.stop()
