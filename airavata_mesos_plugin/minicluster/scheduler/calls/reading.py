"""Calls that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thrift.Thrift import TFrozenDict

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler import query as queries
from airavata_mesos_plugin.minicluster.scheduler import quota, reads
from airavata_mesos_plugin.minicluster.scheduler.calls.base import Answer, Calls, Method
from airavata_mesos_plugin.minicluster.scheduler.envelope import failed_precondition, invalid
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.scheduler.tiers import DEFAULT_TIER, TIERS
from airavata_mesos_plugin.minicluster.wire.text import thrift_text


class ReadCalls(Calls):
    def methods(self) -> dict[str, Method]:
        return {
            "getRoleSummary": lambda *_: self._role_summary(),
            "getJobSummary": lambda a, _: self._job_summary(a.role),
            "getTasksStatus": lambda a, _: self._tasks(a.query, Task.struct),
            "getTasksWithoutConfigs": lambda a, _: self._tasks(a.query, Task.struct_without_config),
            "getPendingReason": lambda a, _: self._pending_reason(a.query),
            "getConfigSummary": lambda a, _: self._config_summary(a.job),
            "getJobs": lambda a, _: self._jobs(a.ownerRole),
            "getQuota": lambda a, _: self._quota(a.ownerRole),
            "populateJobConfig": lambda a, _: self._populate(a.description),
            "getTierConfigs": lambda *_: self._tiers(),
        }

    def _role_summary(self) -> Answer:
        summaries = reads.role_summaries(self.store, self.scheduler.cron.entries)
        return api.Result(roleSummaryResult=api.RoleSummaryResult(summaries=summaries)), ()

    def _job_summary(self, role: str | None) -> Answer:
        cron = self.scheduler.cron
        summaries = reads.job_summaries(self.store, role, cron.entries, cron.next_ms)
        return api.Result(jobSummaryResult=api.JobSummaryResult(summaries=summaries)), ()

    def _found(self, query: Any) -> list[Task]:
        if query is None:
            raise failed_precondition()
        try:
            return queries.find(self.store, query)
        except queries.BadQuery as error:
            raise failed_precondition(str(error)) from None

    def _tasks(self, query: Any, form: Callable[[Task], Any]) -> Answer:
        tasks = queries.page(self._found(query), query)
        try:
            structs = tuple(map(form, tasks))
        except ValueError as error:
            raise failed_precondition(str(error) or None) from None
        return api.Result(scheduleStatusResult=api.ScheduleStatusResult(tasks=structs)), ()

    def _pending_reason(self, query: Any) -> Answer:
        if query is None:
            raise failed_precondition()
        if query.slaveHosts:
            raise invalid(f"SlaveHosts are not supported in {thrift_text(query)}")
        if query.statuses:
            raise invalid(f"Statuses is not supported in {thrift_text(query)}")
        pending = (task for task in self._found(query) if task.status == Status.PENDING)
        reasons = (
            api.PendingReason(taskId=task.task_id, reason=",".join(self.scheduler.queue.reason(task)))
            for task in queries.page(pending, query)
        )
        result = api.GetPendingReasonResult(reasons=frozenset(reasons))
        return api.Result(getPendingReasonResult=result), ()

    def _config_summary(self, job: Any) -> Answer:
        summary = reads.config_summary(self.store, self.key(job))
        return api.Result(configSummaryResult=api.ConfigSummaryResult(summary=summary)), ()

    def _jobs(self, role: str | None) -> Answer:
        configs = reads.active_jobs(self.store, role, self.scheduler.cron.entries)
        return api.Result(getJobsResult=api.GetJobsResult(configs=configs)), ()

    def _quota(self, role: str | None) -> Answer:
        if role is None or not role.strip():
            raise failed_precondition()
        quotas = self.scheduler.quotas

        def used(production: bool, dedicated: bool) -> Any:
            return quota.aggregate(quotas.consumed(role, production, dedicated))

        result = api.GetQuotaResult(
            quota=quota.aggregate(quotas.granted(role)),
            prodSharedConsumption=used(production=True, dedicated=False),
            nonProdSharedConsumption=used(production=False, dedicated=False),
            prodDedicatedConsumption=used(production=True, dedicated=True),
            nonProdDedicatedConsumption=used(production=False, dedicated=True),
        )
        return api.Result(getQuotaResult=result), ()

    def _populate(self, description: Any) -> Answer:
        job = self.valid_job(description, "Invalid configuration: ")
        return api.Result(populateJobResult=api.PopulateJobResult(taskConfig=job.taskConfig)), ()

    def _tiers(self) -> Answer:
        tiers = frozenset(
            api.TierConfig(name=n, settings=TFrozenDict(t.settings())) for n, t in TIERS.items()
        )
        result = api.GetTierConfigResult(defaultTierName=DEFAULT_TIER, tiers=tiers)
        return api.Result(getTierConfigResult=result), ()
