"""The contract of `schedulers.base` on Aurora and Mesos (Aurora 0.12 to 0.22)."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import requests

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import IDENTIFIER, ClusterSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    InvalidRequest,
    NotReady,
    OutcomeUnknown,
    Unreachable,
)
from airavata_mesos_plugin.gen.aurora.ttypes import ScheduledTask
from airavata_mesos_plugin.jobs import JobKey, Resources
from airavata_mesos_plugin.schedulers.access import session_of
from airavata_mesos_plugin.schedulers.aurora.client import AuroraClient, Selection
from airavata_mesos_plugin.schedulers.aurora.conversion import to_thrift
from airavata_mesos_plugin.schedulers.aurora.diagnosis import Diagnosis
from airavata_mesos_plugin.schedulers.aurora.jobform import parse
from airavata_mesos_plugin.schedulers.aurora.responses import CallFailed, JobUpdating
from airavata_mesos_plugin.schedulers.aurora.tasks import observe
from airavata_mesos_plugin.schedulers.aurora.transport import ThriftTransport
from airavata_mesos_plugin.schedulers.base import (
    CallResult,
    Check,
    FixedLeader,
    KnownJob,
    Leader,
    Node,
    SandboxAddress,
    Scheduler,
    Submission,
    TaskObservation,
)
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster
from airavata_mesos_plugin.schedulers.protection import Breaker, Budget
from airavata_mesos_plugin.schedulers.retry import Deadline, Retrier, RetryPolicy

KEYS_PER_CALL = 1000
"""A query of that many keys is some 60 kB, its answer some 1 MB."""

_IDENTIFIER = re.compile(IDENTIFIER)
_TASK_ID = re.compile(r"(?P<job>.+)-\d+-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_IN_TASK_ID = re.compile(r"[^A-Za-z0-9_-]")


class AuroraScheduler(Scheduler):
    """One Aurora cluster. Nothing is sent before the first call."""

    kind = "aurora"

    def __init__(
        self,
        settings: ClusterSettings,
        clock: Clock,
        *,
        leader: Leader | None = None,
        master_leader: Leader | None = None,
        session: requests.Session | None = None,
        retry: RetryPolicy | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Leaders are looked for among the addresses of the settings, unless others are given.

        ``session`` replaces the one of the settings towards the schedulers. Raises ConfigurationError.
        """
        self._clock = clock
        self._framework_name = settings.framework_name
        self._agent_access = settings.agent_access
        self._session = session or session_of(settings.authentication, settings.tls)
        # Mesos has accounts of its own; those of the scheduler are not for its eyes.
        self._master_session = session_of(settings.mesos_authentication, settings.tls)
        self._stop = threading.Event()
        retrier = Retrier(retry or RetryPolicy(), clock, self._stop, chance)
        self._leaders = (
            leader or FixedLeader(settings.schedulers),
            master_leader or FixedLeader(settings.mesos_masters),
        )
        transport = ThriftTransport(
            self._leaders[0],
            self._session,
            protocol=settings.protocol,
            connect_seconds=settings.connect_timeout_seconds,
        )
        limits = settings.limits
        breaker = Breaker(clock, limits.breaker_failures, limits.breaker_pause_seconds)
        self._budget = Budget(clock, self._stop, limits.creates_per_second, limits.creates_burst)
        self._budget_seconds = settings.call_timeout_seconds
        self.client = AuroraClient(transport, retrier, settings.call_timeout_seconds, breaker)
        self.master = MesosMaster(
            self._leaders[1],
            self._master_session,
            retrier,
            clock,
            connect_seconds=settings.connect_timeout_seconds,
            call_seconds=settings.call_timeout_seconds,
        )
        self._diagnosis = Diagnosis(settings, clock, transport, self.master, self._leaders)

    def validate(self, document: Mapping[str, object]) -> None:
        job = parse(document)
        to_thrift(job, JobKey(job.role, job.environment, job.name), user=job.role)

    def submit(self, submissions: Sequence[Submission]) -> list[CallResult]:
        """See the contract. Creates beyond the cluster's budget wait, and are NotReady after that."""
        deadline = Deadline(self._clock, self._budget_seconds)
        return self._each([(item.key, partial(self._create, item, deadline)) for item in submissions])

    def poll(self, keys: Sequence[JobKey]) -> dict[JobKey, TaskObservation]:
        """See the contract. One call per role and 1,000 keys; the executor's data is not transferred.

        A state of a later Aurora release is reported as RUNNING, with ``UNKNOWN_<number>`` as native state.
        """
        observations: dict[JobKey, TaskObservation] = {}
        by_role: dict[str, list[JobKey]] = {}
        for key in _possible(keys):
            by_role.setdefault(key.role, []).append(key)
        for role in sorted(by_role):
            for chunk in _chunks(by_role[role]):
                observations.update(observe(self._tasks(chunk), self._clock.now()))
        return observations

    def cancel(self, keys: Sequence[JobKey], message: str) -> list[CallResult]:
        """See the contract. One call per job: Aurora can kill the tasks of one job only."""
        return self._each([(key, partial(self._kill, key, message)) for key in keys])

    def pending_reasons(self, keys: Sequence[JobKey]) -> dict[JobKey, str]:
        by_prefix: dict[str, list[JobKey]] = {}
        possible = _possible(keys)
        for key in possible:
            by_prefix.setdefault(_task_id_prefix(key), []).append(key)
        reasons: dict[JobKey, str] = {}
        for chunk in _chunks(possible):
            for pending in self.client.pending_reasons(chunk):
                match = _TASK_ID.fullmatch(pending.taskId or "")
                owners = by_prefix.get(match["job"], []) if match else []
                # Two keys may look alike in task ids; a reason that may be another job's is not told.
                if len(owners) == 1 and pending.reason:
                    reasons[owners[0]] = pending.reason
        return reasons

    def sandboxes(self, tasks: Sequence[TaskObservation]) -> dict[JobKey, SandboxAddress]:
        """See the contract. Tasks on agents that the master does not know, and never did, are missing."""
        addresses: dict[JobKey, SandboxAddress] = {}
        for task in tasks:
            if not task.agent_id:
                continue
            agent_url = self.master.agent_url(task.agent_id)
            if agent_url is None:
                continue
            framework = self.master.framework_id(self._framework_name)
            # The executor is called after the task; its run directory holds Thermos' sandbox.
            path = f"/frameworks/{framework}/executors/thermos-{task.task_id}/runs/latest/sandbox"
            addresses[task.key] = SandboxAddress(agent_url, path, self._agent_access)
        return addresses

    def known_jobs(self, role: str) -> Sequence[KnownJob]:
        """See `base.KeepsMetadata`. One call; an active task speaks for its job before one that is over."""
        found: dict[JobKey, KnownJob] = {}
        for task in self.client.tasks(Selection(role=role)):
            if task.key in found and not task.active:
                continue
            amounts = task.config.amounts
            found[task.key] = KnownJob(
                key=task.key,
                active=task.active,
                metadata=task.config.metadata,
                resources=Resources(
                    cpus=amounts.cpus,
                    memory_mb=amounts.ram_mb,
                    disk_mb=amounts.disk_mb,
                    gpus=amounts.gpus,
                ),
            )
        return list(found.values())

    def capacity(self) -> list[Node]:
        return self.master.nodes()

    def check(self) -> list[Check]:
        return self._diagnosis.run()

    def close(self) -> None:
        self._stop.set()
        for leader in self._leaders:
            leader.close()
        self._session.close()
        self._master_session.close()

    def _create(self, submission: Submission, deadline: Deadline) -> None:
        job = parse(submission.document)
        if not self._budget.take(deadline.remaining()):
            raise NotReady(f"{submission.key} was not sent: the cluster's budget of creates is used up")
        # Aurora records the owner and decides nothing by it; a role is always a legal name.
        self.client.create_job(to_thrift(job, submission.key, user=job.role))

    def _kill(self, key: JobKey, message: str) -> None:
        if not _possible([key]):
            raise InvalidRequest(f"{key} is not a name that a job can have")
        self.client.kill_tasks(key, message)

    def _tasks(self, keys: Collection[JobKey]) -> Sequence[ScheduledTask]:
        try:
            return self.client.tasks_without_configs(keys)
        except CallFailed:
            # One task without an executor spoils that call for all; this one is larger but takes them.
            return self.client.tasks_status(keys)

    def _each(self, calls: Sequence[tuple[JobKey, Callable[[], None]]]) -> list[CallResult]:
        """Make the calls in turn; once the scheduler is away, the rest is not tried.

        Otherwise each job would wait for a time-out of its own.
        """
        results: list[CallResult] = []
        away: AiravataMesosError | None = None
        for key, call in calls:
            error: AiravataMesosError | None = None
            if away is not None:
                # Nothing of it was done, so it may simply be tried again.
                error = NotReady(f"{key} was not sent: {away.message}", advice=away.advice)
            else:
                try:
                    call()
                except AiravataMesosError as failure:
                    error = failure
                    if _concerns_all(failure):
                        away = failure
            results.append(CallResult(key, error))
        return results


def _concerns_all(error: AiravataMesosError) -> bool:
    """Whether the next job would meet the same error; an update under way concerns one job only."""
    if isinstance(error, JobUpdating):
        return False
    return isinstance(error, (Unreachable, OutcomeUnknown, NotReady))


def _possible(keys: Collection[JobKey]) -> list[JobKey]:
    """The keys that a job can have, each once: a single other one makes Aurora refuse the whole query."""
    return [
        key
        for key in dict.fromkeys(keys)
        if all(_IDENTIFIER.fullmatch(part) for part in (key.role, key.environment, key.name))
    ]


def _chunks(keys: Sequence[JobKey]) -> Iterator[Sequence[JobKey]]:
    for start in range(0, len(keys), KEYS_PER_CALL):
        yield keys[start : start + KEYS_PER_CALL]


def _task_id_prefix(key: JobKey) -> str:
    """What the ids of the job's tasks begin with: Aurora's ``TaskIdGenerator``, 0.13 and later."""
    return _NOT_IN_TASK_ID.sub("-", f"{key.role}-{key.environment}-{key.name}")
