"""Quota: how much production work a role may have (Aurora 0.22)."""

from __future__ import annotations

from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, milli
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.settings import ClusterSettings


def is_dedicated(config: Any) -> bool:
    return any(constraint.name == "dedicated" for constraint in config.constraints)


def granted(settings: ClusterSettings, role: str) -> Amount:
    cores, ram, disk = settings.quotas.get(role, (0.0, 0, 0))
    return Amount(milli(cores), ram, disk)


def consumed(store: TaskStore, role: str, production: bool, dedicated: bool) -> Amount:
    total = Amount()
    for key in store.active_jobs(role):
        for task in store.active_of_job(key):
            if task.config.production == production and is_dedicated(task.config) == dedicated:
                total = total.plus(task.needs)
    return total


def aggregate(amount: Amount) -> Any:
    values = (
        api.Resource(numCpus=amount.cores),
        api.Resource(ramMb=amount.ram),
        api.Resource(diskMb=amount.disk),
    )
    return api.ResourceAggregate(resources=frozenset(values))


def shortage(store: TaskStore, settings: ClusterSettings, config: Any, needs: Amount) -> str | None:
    """Why `needs` more of this configuration do not fit into the quota of its role; None when they do."""
    if not config.production or is_dedicated(config):
        return None
    role = config.job.role
    used = consumed(store, role, production=True, dedicated=False)
    over = used.plus(needs).minus(granted(settings, role))
    parts = []
    if over.cpu > 0:
        parts.append(f"CPU quota exceeded by {over.cores:.2f} core(s)")
    if over.ram > 0:
        parts.append(f"RAM quota exceeded by {over.ram:.2f} MB")
    if over.disk > 0:
        parts.append(f"disk quota exceeded by {over.disk:.2f} MB")
    return "; ".join(parts) or None
