"""Aurora's calls with types: arguments in, values out, errors raised (Aurora 0.12 to 0.22)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.gen.aurora.ttypes import (
    InstanceKey,
    JobConfiguration,
    PendingReason,
    ScheduledTask,
    ScheduleStatus,
    TaskQuery,
)
from airavata_mesos_plugin.gen.aurora.ttypes import JobKey as WireKey
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora import views
from airavata_mesos_plugin.schedulers.aurora.admin import AdminCalls
from airavata_mesos_plugin.schedulers.aurora.caller import Caller
from airavata_mesos_plugin.schedulers.aurora.responses import CallFailed
from airavata_mesos_plugin.schedulers.aurora.transport import ThriftTransport
from airavata_mesos_plugin.schedulers.aurora.updates import UpdateCalls
from airavata_mesos_plugin.schedulers.protection import Breaker
from airavata_mesos_plugin.schedulers.retry import Retrier


def wire_key(key: JobKey) -> WireKey:
    """The key as Thrift knows it."""
    return WireKey(role=key.role, environment=key.environment, name=key.name)


def keys_query(keys: Collection[JobKey]) -> TaskQuery:
    """All tasks, ended ones too, of these jobs. An empty set would not filter at all, so it is refused."""
    if not keys:
        raise ValueError("a query without keys would match every task of the cluster")
    return TaskQuery(jobKeys=frozenset(wire_key(key) for key in keys))


@dataclass(frozen=True)
class Selection:
    """Which tasks: all that are given must hold, within a collection one suffices."""

    role: str | None = None
    environment: str | None = None
    name: str | None = None
    keys: Collection[JobKey] = ()
    task_ids: Collection[str] = ()
    states: Collection[str] = ()
    hosts: Collection[str] = ()
    instances: Collection[int] = ()

    def query(self) -> TaskQuery:
        """The struct. Raises InvalidRequest for an unknown state, and when it would select every task."""
        if not (self.role or self.keys or self.task_ids or self.hosts):
            raise InvalidRequest("name a role, jobs, tasks or hosts: otherwise every task would be meant")
        unknown = sorted(set(self.states) - set(ScheduleStatus._NAMES_TO_VALUES))
        if unknown:
            raise InvalidRequest(f"{unknown[0]!r} is no state of a task")
        return TaskQuery(
            role=self.role,
            environment=self.environment,
            jobName=self.name,
            jobKeys=frozenset(wire_key(key) for key in self.keys),
            taskIds=frozenset(self.task_ids),
            statuses=frozenset(ScheduleStatus._NAMES_TO_VALUES[state] for state in self.states),
            slaveHosts=frozenset(self.hosts),
            instanceIds=frozenset(self.instances),
        )


class AuroraClient:
    """The calls on jobs; updates and administration are at `updates` and `admin`.

    Safe to use from several threads. See `Caller` for errors; what else is said at the call.
    """

    def __init__(
        self,
        transport: ThriftTransport,
        retrier: Retrier,
        call_seconds: float,
        breaker: Breaker | None = None,
    ) -> None:
        self._caller = Caller(transport, retrier, call_seconds, breaker)
        self._call = self._caller.call
        self.updates = UpdateCalls(self._caller)
        self.admin = AdminCalls(self._caller)

    @property
    def calls(self) -> Counter[str]:
        """Requests sent so far, by the name of the call; repeats count."""
        return self._caller.calls

    # Jobs

    def create_job(self, configuration: JobConfiguration) -> None:
        """Create a job. NOT repeatable. Raises AlreadyExists, QuotaExceeded and InvalidRequest too."""
        self._call("createJob", _name(configuration), description=configuration)

    def kill_tasks(self, key: JobKey, message: str, instances: Collection[int] | None = None) -> None:
        """Ask for the end of all active tasks of a job, or of some instances. Repeatable; no task to kill is
        no error.
        """
        if instances is not None and not instances:
            return  # for Aurora an empty set means all
        wanted = None if instances is None else frozenset(instances)
        self._call("killTasks", str(key), job=wire_key(key), instances=wanted, message=message)

    def restart(self, key: JobKey, instances: Collection[int]) -> None:
        """Restart instances. NOT repeatable: they would be restarted again.

        Raises InvalidRequest when one of them is not active; then nothing happens.
        """
        self._call("restartShards", str(key), job=wire_key(key), shardIds=frozenset(instances))

    def add_instances(self, key: JobKey, like: int, count: int) -> None:
        """Add ``count`` instances like the instance ``like``. NOT repeatable. Raises InvalidRequest,
        QuotaExceeded.
        """
        model = InstanceKey(jobKey=wire_key(key), instanceId=like)
        self._call("addInstances", str(key), key=model, count=count)

    # Cron

    def schedule_cron(self, configuration: JobConfiguration) -> None:
        """Make or replace a cron entry; starts nothing. Repeatable. Raises InvalidRequest, QuotaExceeded."""
        self._call("scheduleCronJob", _name(configuration), description=configuration)

    def replace_cron(self, configuration: JobConfiguration) -> None:
        """Replace a cron entry that is there. Repeatable. Raises InvalidRequest, QuotaExceeded."""
        self._call("replaceCronTemplate", _name(configuration), config=configuration)

    def deschedule_cron(self, key: JobKey) -> None:
        """Remove a cron entry; what runs goes on. Repeatable. InvalidRequest before 0.13 if unknown."""
        self._call("descheduleCronJob", str(key), job=wire_key(key))

    def start_cron(self, key: JobKey) -> None:
        """Start a run now. NOT repeatable. Raises InvalidRequest for an unknown entry."""
        self._call("startCronJob", str(key), job=wire_key(key))

    # Reads, all repeatable

    def tasks_without_configs(self, keys: Collection[JobKey]) -> Sequence[ScheduledTask]:
        """All tasks of the jobs, without their executor's data.

        Aurora answers ERROR, here CallFailed, when any of the tasks has no executor.
        """
        result = self._call("getTasksWithoutConfigs", f"{len(keys)} jobs", query=keys_query(keys))
        return tuple(result.tasks or ())

    def tasks_status(self, keys: Collection[JobKey]) -> Sequence[ScheduledTask]:
        """All tasks of the jobs, with their executor's data."""
        result = self._call("getTasksStatus", f"{len(keys)} jobs", query=keys_query(keys))
        return tuple(result.tasks or ())

    def tasks(self, selection: Selection, *, configs: bool = False) -> Sequence[views.Task]:
        """Tasks, ended ones too; with ``configs`` the executor's data comes along."""
        query = selection.query()
        subject = str(selection.role or f"{len(selection.keys)} jobs")
        if not configs:
            try:
                result = self._call("getTasksWithoutConfigs", subject, query=query)
            except CallFailed:  # one of the tasks has no executor
                configs = True
        if configs:
            result = self._call("getTasksStatus", subject, query=query)
        return tuple(views.task(one) for one in result.tasks or ())

    def pending_reasons(self, keys: Collection[JobKey]) -> Sequence[PendingReason]:
        """Why the waiting tasks of the jobs wait."""
        result = self._call("getPendingReason", f"{len(keys)} jobs", query=keys_query(keys))
        return tuple(result.reasons or ())

    def why_pending(self, selection: Selection) -> dict[str, str]:
        """Why waiting tasks wait, by task id; an empty reason is not known yet."""
        result = self._call("getPendingReason", selection.role or "jobs", query=selection.query())
        return {one.taskId: one.reason or "" for one in result.reasons or () if one.taskId}

    def jobs(self, role: str | None = None) -> Sequence[views.Job]:
        """Jobs with active tasks and cron entries, of one role or of all."""
        result = self._call("getJobs", role or "all roles", ownerRole=role)
        return _by_key([views.job(one) for one in result.configs or ()])

    def job_configurations(self, role: str | None = None) -> Sequence[JobConfiguration]:
        """The same as structs, which can be sent again."""
        return tuple(self._call("getJobs", role or "all roles", ownerRole=role).configs or ())

    def job_summary(self, role: str | None = None) -> Sequence[views.JobSummary]:
        """Jobs with counts of their tasks, of one role or of all."""
        result = self._call("getJobSummary", role or "all roles", role=role)
        found = [views.job_summary(one) for one in result.summaries or ()]
        return sorted(found, key=lambda summary: str(summary.job.key))

    def role_summary(self) -> Sequence[views.RoleSummary]:
        """Roles with counts of their jobs."""
        result = self._call("getRoleSummary", "all roles")
        found = [
            views.RoleSummary(one.role or "", one.jobCount or 0, one.cronJobCount or 0)
            for one in result.summaries or ()
        ]
        return sorted(found, key=lambda summary: summary.role)

    def config_summary(self, key: JobKey) -> Sequence[views.ConfigGroup]:
        """The configurations of a job's active instances."""
        result = self._call("getConfigSummary", str(key), job=wire_key(key))
        return views.config_groups(result.summary.groups or () if result.summary is not None else ())

    def quota(self, role: str) -> views.Quota:
        """Quota of a role and what is used of it."""
        return views.quota(self.quota_struct(role))

    def quota_struct(self, role: str) -> Any:
        """The same as the struct that was sent."""
        return self._call("getQuota", role, ownerRole=role)

    def populate(self, configuration: JobConfiguration) -> views.Config:
        """A task configuration with the server's defaults; nothing is created. Raises InvalidRequest."""
        result = self._call("populateJobConfig", _name(configuration), description=configuration)
        return views.config(result.taskConfig)

    def tiers(self) -> views.Tiers:
        """The tiers and which of them is the default. NotFound before Aurora 0.14."""
        result = self._call("getTierConfigs", "the cluster")
        tiers = {str(tier.name): dict(tier.settings or {}) for tier in result.tiers or ()}
        return views.Tiers(result.defaultTierName or "", tiers)


def _name(configuration: Any) -> str:
    return str(views.key_of(configuration.key))


def _by_key(jobs: list[views.Job]) -> Sequence[views.Job]:
    return sorted(jobs, key=lambda job: str(job.key))
