"""The calls of the Aurora API (0.22) that this cluster has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from thrift.Thrift import TFrozenDict

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler import query as queries
from airavata_mesos_plugin.minicluster.scheduler import quota, reads
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.envelope import (
    Code,
    Refusal,
    failed_precondition,
    invalid,
    response,
)
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey, is_valid_key, key_of
from airavata_mesos_plugin.minicluster.scheduler.normal import EmptyUnion
from airavata_mesos_plugin.minicluster.scheduler.resources import amount_of
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.scheduler.tiers import DEFAULT_TIER, TIERS
from airavata_mesos_plugin.minicluster.scheduler.validation import Invalid, validated_job
from airavata_mesos_plugin.minicluster.wire.text import thrift_text

_LOG = logging.getLogger(__name__)
_USER = "UNSECURE"
"""Who acts when authentication is off."""

Answer = tuple[Any, tuple[str | None, ...]]
"""Result (or None) and messages of a call that went well."""


METHODS = frozenset(
    [
        "getRoleSummary",
        "getJobSummary",
        "getTasksStatus",
        "getTasksWithoutConfigs",
        "getPendingReason",
        "getConfigSummary",
        "getJobs",
        "getQuota",
        "populateJobConfig",
        "getTierConfigs",
        "createJob",
        "killTasks",
    ]
)


class Handler:
    """`call` answers in the envelope; the methods named like the API's do the work."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = self._scheduler = scheduler
        self._store = scheduler.store
        self._settings = scheduler.settings
        # fmt: off
        self._methods: dict[str, Callable[[Any], Answer]] = {
            "getRoleSummary": lambda _: self._role_summary(),
            "getJobSummary": lambda a: self._job_summary(a.role),
            "getTasksStatus": lambda a: self._tasks(a.query, Task.struct),
            "getTasksWithoutConfigs": lambda a: self._tasks(a.query, Task.struct_without_config),
            "getPendingReason": lambda a: self._pending_reason(a.query),
            "getConfigSummary": lambda a: self._config_summary(a.job),
            "getJobs": lambda a: self._jobs(a.ownerRole),
            "getQuota": lambda a: self._quota(a.ownerRole),
            "populateJobConfig": lambda a: self._populate(a.description),
            "getTierConfigs": lambda _: self._tiers(),
            "createJob": lambda a: self._create_job(a.description),
            "killTasks": lambda a: self._kill_tasks(a.job, a.instances, a.message),
        }
        # fmt: on

    def call(self, method: str, arguments: Any) -> Any:
        """The `Response` struct. Never raises for anything a client sends; what goes wrong becomes its
        code."""
        cluster = self._settings.cluster_name
        try:
            result, messages = self._methods[method](arguments)
        except Refusal as refusal:
            return response(cluster, refusal.code, None, (refusal.message,))
        except EmptyUnion:
            return response(cluster, Code.ERROR, None, (None,))
        except Exception as error:
            # Aurora turns every failure inside a call into an answer; ours is logged because it is a bug.
            _LOG.exception("%s failed", method)
            return response(cluster, Code.ERROR, None, (str(error) or None,))
        return response(cluster, Code.OK, result, messages)

    def _role_summary(self) -> Answer:
        summaries = reads.role_summaries(self._store)
        return api.Result(roleSummaryResult=api.RoleSummaryResult(summaries=summaries)), ()

    def _job_summary(self, role: str | None) -> Answer:
        summaries = reads.job_summaries(self._store, role)
        return api.Result(jobSummaryResult=api.JobSummaryResult(summaries=summaries)), ()

    def _found(self, query: Any) -> list[Task]:
        if query is None:
            raise failed_precondition()
        try:
            return queries.find(self._store, query)
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
            api.PendingReason(taskId=task.task_id, reason=",".join(self._scheduler.queue.reason(task)))
            for task in queries.page(pending, query)
        )
        result = api.GetPendingReasonResult(reasons=frozenset(reasons))
        return api.Result(getPendingReasonResult=result), ()

    def _key(self, key: Any) -> JobKey:
        if not is_valid_key(key):
            raise failed_precondition()
        return key_of(key)

    def _config_summary(self, job: Any) -> Answer:
        summary = reads.config_summary(self._store, self._key(job))
        return api.Result(configSummaryResult=api.ConfigSummaryResult(summary=summary)), ()

    def _jobs(self, role: str | None) -> Answer:
        result = api.GetJobsResult(configs=reads.active_jobs(self._store, role))
        return api.Result(getJobsResult=result), ()

    def _quota(self, role: str | None) -> Answer:
        if role is None or not role.strip():
            raise failed_precondition()

        def used(production: bool, dedicated: bool) -> Any:
            return quota.aggregate(quota.consumed(self._store, role, production, dedicated))

        result = api.GetQuotaResult(
            quota=quota.aggregate(quota.granted(self._settings, role)),
            prodSharedConsumption=used(production=True, dedicated=False),
            nonProdSharedConsumption=used(production=False, dedicated=False),
            prodDedicatedConsumption=used(production=True, dedicated=True),
            nonProdDedicatedConsumption=used(production=False, dedicated=True),
        )
        return api.Result(getQuotaResult=result), ()

    def _populate(self, description: Any) -> Answer:
        if description is None:
            raise failed_precondition()
        try:
            job = validated_job(description, self._settings)
        except Invalid as error:
            raise invalid(f"Invalid configuration: {error}") from None
        return api.Result(populateJobResult=api.PopulateJobResult(taskConfig=job.taskConfig)), ()

    def _tiers(self) -> Answer:
        tiers = frozenset(
            api.TierConfig(name=n, settings=TFrozenDict(t.settings())) for n, t in TIERS.items()
        )
        result = api.GetTierConfigResult(defaultTierName=DEFAULT_TIER, tiers=tiers)
        return api.Result(getTierConfigResult=result), ()

    def _create_job(self, description: Any) -> Answer:
        if description is None:
            raise failed_precondition()
        try:
            job = validated_job(description, self._settings)
        except Invalid as error:
            raise invalid(str(error)) from None
        if job.cronSchedule is not None:
            raise invalid("Cron jobs may only be created/updated by calling scheduleCronJob.")
        key = key_of(job.key)
        if any(True for _ in self._store.active_of_job(key)):
            raise invalid(f"Job {key} already exists")
        most = self._settings.max_instances_per_job
        if not 1 <= job.instanceCount <= most:
            raise invalid(f"Instance count must be between 1 and {most} inclusive.")
        needs = amount_of(job.taskConfig).times(job.instanceCount)
        shortage = quota.shortage(self._store, self._settings, job.taskConfig, needs)
        if shortage is not None:
            raise invalid(f"Insufficient resource quota: {shortage}")
        self._scheduler.create(job)
        return None, ()

    def _kill_tasks(self, job: Any, instances: Any, message: str | None) -> Answer:
        key = self._key(job)
        text = f"Killed by {_USER}" if message is None else f"Killed by {_USER}.\n{message}"
        killed = 0
        for task in list(self._store.active_of_job(key)):
            if not instances or task.instance in instances:
                killed += self._scheduler.manager.change(task, Status.KILLING, text)
        return None, () if killed else ("No tasks to kill.",)
