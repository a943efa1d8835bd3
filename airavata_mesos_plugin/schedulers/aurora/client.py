"""Aurora's calls with types: arguments in, result member out, errors raised (Aurora 0.22)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from airavata_mesos_plugin.gen.aurora.ttypes import (
    GetQuotaResult,
    GetTierConfigResult,
    JobConfiguration,
    JobSummary,
    PendingReason,
    ScheduledTask,
    TaskQuery,
)
from airavata_mesos_plugin.gen.aurora.ttypes import JobKey as WireKey
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.codec import METHODS
from airavata_mesos_plugin.schedulers.aurora.responses import unwrap
from airavata_mesos_plugin.schedulers.aurora.transport import ThriftTransport
from airavata_mesos_plugin.schedulers.retry import Retrier


def wire_key(key: JobKey) -> WireKey:
    """The key as Thrift knows it."""
    return WireKey(role=key.role, environment=key.environment, name=key.name)


def keys_query(keys: Collection[JobKey]) -> TaskQuery:
    """All tasks, ended ones too, of these jobs. An empty set would not filter at all, so it is refused."""
    if not keys:
        raise ValueError("a query without keys would match every task of the cluster")
    return TaskQuery(jobKeys=frozenset(wire_key(key) for key in keys))


class AuroraClient:
    """The calls that the adapter needs. Safe to use from several threads.

    Every call may raise Unreachable (NotLeader among them), OutcomeUnknown, NotReady, Refused, ServerFault
    and ProtocolError; what else is said at the call. Calls that may be repeated are, under the retrier's
    policy and within ``call_seconds`` in all.
    """

    def __init__(self, transport: ThriftTransport, retrier: Retrier, call_seconds: float) -> None:
        self._transport = transport
        self._retrier = retrier
        self._call_seconds = call_seconds

    @property
    def calls(self) -> Counter[str]:
        """Requests sent so far, by the name of the call; repeats count."""
        return self._transport.calls

    def create_job(self, configuration: JobConfiguration) -> None:
        """Create a job. NOT repeatable. Raises AlreadyExists, QuotaExceeded and InvalidRequest too."""
        key = configuration.key
        self._call("createJob", f"{key.role}/{key.environment}/{key.name}", description=configuration)

    def kill_tasks(self, key: JobKey, message: str) -> None:
        """Ask for the end of all active tasks of a job. Repeatable; no task to kill is no error."""
        self._call("killTasks", str(key), job=wire_key(key), message=message)

    def tasks_without_configs(self, keys: Collection[JobKey]) -> Sequence[ScheduledTask]:
        """All tasks of the jobs, without their executor's data. Repeatable.

        Aurora answers ERROR, here CallFailed, when any of the tasks has no executor.
        """
        result = self._call("getTasksWithoutConfigs", f"{len(keys)} jobs", query=keys_query(keys))
        return tuple(result.tasks or ())

    def tasks_status(self, keys: Collection[JobKey]) -> Sequence[ScheduledTask]:
        """All tasks of the jobs, with their executor's data. Repeatable."""
        result = self._call("getTasksStatus", f"{len(keys)} jobs", query=keys_query(keys))
        return tuple(result.tasks or ())

    def pending_reasons(self, keys: Collection[JobKey]) -> Sequence[PendingReason]:
        """Why the waiting tasks of the jobs wait. Repeatable."""
        result = self._call("getPendingReason", f"{len(keys)} jobs", query=keys_query(keys))
        return tuple(result.reasons or ())

    def jobs(self, role: str | None = None) -> Sequence[JobConfiguration]:
        """Jobs with active tasks, of one role or of all. Repeatable."""
        result = self._call("getJobs", role or "all roles", ownerRole=role)
        return tuple(result.configs or ())

    def job_summary(self, role: str | None = None) -> Sequence[JobSummary]:
        """Jobs with counts of their tasks, of one role or of all. Repeatable."""
        result = self._call("getJobSummary", role or "all roles", role=role)
        return tuple(result.summaries or ())

    def quota(self, role: str) -> GetQuotaResult:
        """Quota of a role and what is used of it. Repeatable."""
        return self._call("getQuota", role, ownerRole=role)

    def tier_configs(self) -> GetTierConfigResult:
        """The tiers and which of them is the default. Repeatable."""
        return self._call("getTierConfigs", "the cluster")

    def _call(self, name: str, subject: str, **arguments: object) -> Any:
        method = METHODS[name]
        return self._retrier.run(
            lambda deadline: unwrap(self._transport.call(method, arguments, deadline), method, subject),
            repeatable=method.repeatable,
            seconds=self._call_seconds,
        )
