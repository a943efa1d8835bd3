"""What operators may do: quota, states by force, history, backups, reconciliation (Aurora 0.22)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler import query as queries
from airavata_mesos_plugin.minicluster.scheduler.calls.base import DONE, Answer, Calls, Method
from airavata_mesos_plugin.minicluster.scheduler.envelope import failed_precondition, invalid
from airavata_mesos_plugin.minicluster.scheduler.recovery import PREFIX, RecoveryError
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, milli
from airavata_mesos_plugin.minicluster.scheduler.status import TERMINAL_STATES, Status
from airavata_mesos_plugin.minicluster.state import write_copy

_QUOTA_FIELDS = ("numCpus", "ramMb", "diskMb")


def _bag(amount: Amount) -> str:
    return f"{{CPUS={amount.cores}, RAM_MB={float(amount.ram)}, DISK_MB={float(amount.disk)}}}"


def _quota_of(aggregate: Any) -> Amount:
    if aggregate is None:
        raise failed_precondition()
    resources = list(aggregate.resources or ())
    if len(resources) > len(_QUOTA_FIELDS):
        raise failed_precondition("Too many resource values in quota.")
    values = {f: getattr(r, f) for r in resources for f in _QUOTA_FIELDS if getattr(r, f) is not None}
    if len(resources) != len(_QUOTA_FIELDS) or len(values) != len(_QUOTA_FIELDS):
        raise failed_precondition("Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]")
    amount = Amount(milli(values["numCpus"]), values["ramMb"], values["diskMb"])
    if min(amount) < 0:
        raise invalid(f"Negative values in: {_bag(amount)}")
    return amount


class AdminCalls(Calls):
    def methods(self) -> dict[str, Method]:
        return {
            "setQuota": lambda a, _: self._set_quota(a.ownerRole, a.quota),
            "forceTaskState": lambda a, user: self._force(a.taskId, a.status, user),
            "pruneTasks": lambda a, _: self._prune(a.query),
            "performBackup": lambda *_: self._back_up(),
            "listBackups": lambda *_: self._backups(),
            "stageRecovery": lambda a, _: self._recovery(lambda: self._stage(a.backupId)),
            "queryRecovery": lambda a, _: self._recovery(lambda: self._query_recovery(a.query)),
            "deleteRecoveryTasks": lambda a, _: self._recovery(lambda: self._delete_recovery(a.query)),
            "commitRecovery": lambda *_: self._recovery(self._commit_recovery),
            "unloadRecovery": lambda *_: self._recovery(self._unload_recovery),
            "snapshot": lambda *_: self._snapshot(),
            "triggerExplicitTaskReconciliation": lambda a, _: self._reconcile_explicitly(a.settings),
            "triggerImplicitTaskReconciliation": lambda *_: self._reconcile(),
        }

    def _set_quota(self, role: str | None, aggregate: Any) -> Answer:
        if role is None or not role.strip():
            raise failed_precondition()
        amount = _quota_of(aggregate)
        used = self.scheduler.quotas.consumed(role, production=True, dedicated=False)
        if any(have < need for have, need in zip(amount[:3], used[:3], strict=True)):
            raise invalid(f"Quota: {_bag(amount)} is less then current prod reservation: {_bag(used)}")
        self.scheduler.quotas.grant(role, amount)
        return DONE

    def _force(self, task_id: str | None, status: int | None, user: str) -> Answer:
        known = {int(s) for s in Status} - {int(Status.DELETED)}
        if task_id is None or not task_id.strip() or status not in known:
            raise failed_precondition()
        task = self.store.get(task_id)
        if task is not None:
            self.scheduler.manager.change(task, Status(status), f"Transition forced by {user}")
        return DONE

    def _prune(self, query: Any) -> Answer:
        if query is None:
            raise failed_precondition()
        if any(status not in TERMINAL_STATES for status in query.statuses or ()):
            raise failed_precondition("Tasks in non-terminal state cannot be pruned.")
        try:
            found = [t for t in queries.find(self.store, query) if t.status in TERMINAL_STATES]
        except queries.BadQuery as error:
            raise failed_precondition(str(error)) from None
        for task in found[: query.limit] if query.limit and query.limit > 0 else found:
            self.scheduler.manager.prune(task)
        return DONE

    def _back_up(self) -> Answer:
        now = datetime.fromtimestamp(self.scheduler.clock.now_ms() / 1000, timezone.utc)
        name = f"{PREFIX}{now:%Y-%m-%d-%H-%M}"
        self.settings.backup_dir.mkdir(parents=True, exist_ok=True)
        try:
            write_copy(self.settings.backup_dir / name, self.scheduler.remembered())
        except (OSError, sqlite3.Error) as error:
            raise failed_precondition(f"Cannot write the backup {name}: {error}") from None
        return DONE

    def _backups(self) -> Answer:
        result = api.ListBackupsResult(backups=self.scheduler.backups.names())
        return api.Result(listBackupsResult=result), ()

    def _recovery(self, step: Callable[[], Answer]) -> Answer:
        try:
            return step()
        except (RecoveryError, queries.BadQuery, OSError) as error:
            raise failed_precondition(str(error)) from None

    def _stage(self, name: str | None) -> Answer:
        if name is None or not name.strip():
            raise failed_precondition()
        self.scheduler.backups.load(name)
        return DONE

    def _query_recovery(self, query: Any) -> Answer:
        if query is None:
            raise failed_precondition()
        tasks = self.scheduler.backups.find(query)
        result = api.QueryRecoveryResult(tasks=frozenset(task.struct() for task in tasks))
        return api.Result(queryRecoveryResult=result), ()

    def _delete_recovery(self, query: Any) -> Answer:
        if query is None:
            raise failed_precondition()
        self.scheduler.backups.drop(query)
        return DONE

    def _commit_recovery(self) -> Answer:
        self.scheduler.recover()
        return DONE

    def _unload_recovery(self) -> Answer:
        self.scheduler.backups.unload()
        return DONE

    def _snapshot(self) -> Answer:
        self.scheduler.journal.flush()
        return DONE

    def _reconcile_explicitly(self, settings: Any) -> Answer:
        if settings is None:
            raise failed_precondition()
        if settings.batchSize is not None and settings.batchSize <= 0:
            raise invalid("Batch size must be greater than zero.")
        return self._reconcile()

    def _reconcile(self) -> Answer:
        self.scheduler.clock.call_later(0, self.scheduler.reconcile)
        return DONE
