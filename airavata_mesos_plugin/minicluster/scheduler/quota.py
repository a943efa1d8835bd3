"""Quota: how much production work a role may have (Aurora 0.22)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.journal import Journal
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, amount_of, milli
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore


class UpdatedConfigs(Protocol):
    """What updates in progress will make of their jobs."""

    def wanted_of(self, key: JobKey) -> Mapping[int, Any] | None:
        """Configuration per instance; None when the job is not being updated."""

    def updating(self, role: str) -> Iterable[JobKey]: ...


def is_dedicated(config: Any) -> bool:
    return any(constraint.name == "dedicated" for constraint in config.constraints)


def larger(one: Amount, other: Amount) -> Amount:
    """The larger of each resource."""
    return Amount(*map(max, one, other))


def aggregate(amount: Amount) -> Any:
    values = (
        api.Resource(numCpus=amount.cores),
        api.Resource(ramMb=amount.ram),
        api.Resource(diskMb=amount.disk),
    )
    return api.ResourceAggregate(resources=frozenset(values))


class Quotas:
    """What roles were granted and what they use."""

    def __init__(
        self,
        store: TaskStore,
        crons: Mapping[JobKey, Any],
        updates: UpdatedConfigs,
        granted: Mapping[str, tuple[float, int, int]],
        journal: Journal,
    ) -> None:
        self._store = store
        self._crons = crons
        self._updates = updates
        self._journal = journal
        self._granted = {
            role: Amount(milli(cores), ram, disk) for role, (cores, ram, disk) in granted.items()
        }

    def granted(self, role: str) -> Amount:
        """Nothing for a role that was given none."""
        return self._granted.get(role, Amount())

    def all(self) -> dict[str, Amount]:
        return dict(self._granted)

    def grant(self, role: str, amount: Amount) -> None:
        self._granted[role] = amount
        self._journal.put("quota", role, lambda: json.dumps(self._granted[role][:3]).encode())

    def written(self) -> Iterator[tuple[str, bytes]]:
        return ((role, json.dumps(amount[:3]).encode()) for role, amount in self._granted.items())

    def restore(self, granted: Iterable[tuple[str, bytes]]) -> None:
        for role, data in granted:
            self._granted[role] = Amount(*json.loads(data))

    def of_job(self, key: JobKey, production: bool, dedicated: bool) -> Amount:
        """What the job counts with now."""

        def counts(config: Any) -> bool:
            return bool(config.production) == production and is_dedicated(config) == dedicated

        active = [task for task in self._store.active_of_job(key) if counts(task.config)]
        wanted = self._updates.wanted_of(key)
        total = Amount()
        if wanted is not None:
            per_instance: dict[int, Amount] = {}
            for task in active:
                per_instance[task.instance] = larger(per_instance.get(task.instance, Amount()), task.needs)
            for instance, config in wanted.items():
                if counts(config):
                    before = per_instance.get(instance, Amount())
                    per_instance[instance] = larger(before, amount_of(config))
            for amount in per_instance.values():
                total = total.plus(amount)
            return total
        for task in active:
            total = total.plus(task.needs)
        cron = self._crons.get(key)
        if cron is not None and counts(cron.taskConfig):
            total = larger(total, amount_of(cron.taskConfig).times(cron.instanceCount))
        return total

    def consumed(self, role: str, production: bool, dedicated: bool, without: JobKey | None = None) -> Amount:
        keys = {*self._store.active_jobs(role), *self._updates.updating(role)}
        keys |= {key for key in self._crons if key.role == role}
        total = Amount()
        for key in keys - {without}:
            total = total.plus(self.of_job(key, production, dedicated))
        return total

    def shortage(self, config: Any, key: JobKey, whole_job: Amount) -> str | None:
        """Why the job, counting with `whole_job`, does not fit into the quota of its role; None when it
        does."""
        if not config.production or is_dedicated(config):
            return None
        role = key.role
        used = self.consumed(role, production=True, dedicated=False, without=key)
        over = used.plus(whole_job).minus(self.granted(role))
        parts = []
        if over.cpu > 0:
            parts.append(f"CPU quota exceeded by {over.cores:.2f} core(s)")
        if over.ram > 0:
            parts.append(f"RAM quota exceeded by {over.ram:.2f} MB")
        if over.disk > 0:
            parts.append(f"disk quota exceeded by {over.disk:.2f} MB")
        return "; ".join(parts) or None
