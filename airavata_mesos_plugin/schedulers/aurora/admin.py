"""AuroraAdmin's calls, as far as an operator of a gateway needs them (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.schedulers.aurora.caller import Caller
from airavata_mesos_plugin.schedulers.aurora.views import Amounts, HostMode, host_modes, resource_aggregate

HOSTS_PER_CALL = 500


class AdminCalls:
    """Quota, maintenance, states, reconciliation and backups. See `Caller` for errors."""

    def __init__(self, caller: Caller) -> None:
        self._call = caller.call

    def set_quota(self, role: str, quota: Amounts) -> None:
        """Replace a role's quota of cores, memory and disk. Repeatable."""
        self._call("setQuota", role, ownerRole=role, quota=resource_aggregate(quota))

    def force_state(self, task_id: str, state: str) -> None:
        """Move a task to a state. Repeatable. Aurora does not say whether it could or knows the task.

        Raises InvalidRequest for a state that there is not.
        """
        status = api.ScheduleStatus._NAMES_TO_VALUES.get(state)
        if status is None:
            raise InvalidRequest(f"{state!r} is no state of a task")
        self._call("forceTaskState", task_id, taskId=task_id, status=status)

    def start_maintenance(self, hosts: Collection[str]) -> Sequence[HostMode]:
        """Mark hosts, which still take tasks. Repeatable. Unknown hosts are missing in the answer."""
        return self._hosts("startMaintenance", hosts)

    def drain(self, hosts: Collection[str]) -> Sequence[HostMode]:
        """Move all tasks away at once. Repeatable. Unknown hosts are missing in the answer."""
        return self._hosts("drainHosts", hosts)

    def sla_drain(
        self,
        hosts: Collection[str],
        *,
        timeout_seconds: int,
        percentage: float = 95.0,
        duration_seconds: int = 1800,
    ) -> Sequence[HostMode]:
        """Move tasks away as their SLA allows, and by force after ``timeout_seconds``.

        A repeat starts the time anew. ``percentage`` of a job's tasks must have run for
        ``duration_seconds`` where the job has no policy of its own.
        """
        policy = api.SlaPolicy(
            percentageSlaPolicy=api.PercentageSlaPolicy(percentage=percentage, durationSecs=duration_seconds)
        )
        return self._hosts("slaDrainHosts", hosts, defaultSlaPolicy=policy, timeoutSecs=timeout_seconds)

    def end_maintenance(self, hosts: Collection[str]) -> Sequence[HostMode]:
        """Let hosts take tasks as usual. Repeatable. Unknown ones are missing in the answer."""
        return self._hosts("endMaintenance", hosts)

    def maintenance(self, hosts: Collection[str]) -> Sequence[HostMode]:
        """The modes of hosts. Repeatable. Unknown ones are missing in the answer."""
        return self._hosts("maintenanceStatus", hosts)

    def prune(self, task_ids: Collection[str]) -> None:
        """Delete ended tasks. Repeatable. Raises CallFailed when one of them is active."""
        if not task_ids:
            return
        query = api.TaskQuery(taskIds=frozenset(task_ids))
        self._call("pruneTasks", f"{len(task_ids)} tasks", query=query)

    def reconcile(self, batch_size: int | None = None) -> None:
        """Ask Mesos for the state of each task that Aurora knows, so many at a time. Repeatable."""
        settings = api.ExplicitReconciliationSettings(batchSize=batch_size)
        self._call("triggerExplicitTaskReconciliation", "the cluster", settings=settings)

    def reconcile_all(self) -> None:
        """Ask Mesos for the state of all tasks that Mesos knows. Repeatable."""
        self._call("triggerImplicitTaskReconciliation", "the cluster")

    def backups(self) -> Sequence[str]:
        """Names of the stored backups. Repeatable."""
        return sorted(self._call("listBackups", "the cluster").backups or ())

    def back_up(self) -> None:
        """Write a backup. NOT repeatable: each one is a file."""
        self._call("performBackup", "the cluster")

    def snapshot(self) -> None:
        """Write a snapshot of the storage. NOT repeatable: each one takes space in the log."""
        self._call("snapshot", "the cluster")

    def _hosts(self, name: str, hosts: Collection[str], **more: object) -> Sequence[HostMode]:
        found: list[HostMode] = []
        for chunk in _chunks(sorted(set(hosts))):
            wire = api.Hosts(hostNames=frozenset(chunk))
            found += host_modes(self._call(name, f"{len(chunk)} hosts", hosts=wire, **more).statuses or ())
        return found


def _chunks(hosts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(hosts), HOSTS_PER_CALL):
        yield hosts[start : start + HOSTS_PER_CALL]
