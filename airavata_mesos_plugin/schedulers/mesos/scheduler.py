"""The contract of `schedulers.base` on Mesos itself: this daemon is a framework (Mesos 1.5 to 1.11)."""

from __future__ import annotations

import os
import pwd
import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    ConfigurationError,
    InvalidRequest,
    Unreachable,
)
from airavata_mesos_plugin.jobs import JobKey, Resources
from airavata_mesos_plugin.schedulers.access import session_of
from airavata_mesos_plugin.schedulers.base import (
    CallResult,
    Check,
    FixedLeader,
    KnownJob,
    Leader,
    Node,
    SandboxAddress,
    Scheduler,
    SchedulerStore,
    Submission,
    TaskObservation,
)
from airavata_mesos_plugin.schedulers.mesos.agents import agents_of
from airavata_mesos_plugin.schedulers.mesos.diagnosis import Diagnosis
from airavata_mesos_plugin.schedulers.mesos.driver import make_driver
from airavata_mesos_plugin.schedulers.mesos.framework import Framework
from airavata_mesos_plugin.schedulers.mesos.jobform import MesosJob, parse
from airavata_mesos_plugin.schedulers.mesos.limits import Limits
from airavata_mesos_plugin.schedulers.mesos.link import MasterLink
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster
from airavata_mesos_plugin.schedulers.mesos.runner import Runner
from airavata_mesos_plugin.schedulers.mesos.takeover import Takeover
from airavata_mesos_plugin.schedulers.mesos.taskinfo import framework_info
from airavata_mesos_plugin.schedulers.mesos.tracking import TrackedJob
from airavata_mesos_plugin.schedulers.retry import Retrier, RetryPolicy

SANDBOX = "sandbox"
"""The job's directory below that of the executor, whose own files stay out of the job's way."""


class MesosScheduler(Scheduler):
    """One Mesos cluster. Nothing is sent before the first call.

    It subscribes as a framework with the first job that is submitted, asked for or cancelled. Without a
    ``store`` it never does: then it can validate, look at the cluster and diagnose.
    """

    kind = "mesos"
    starts_together = True

    def __init__(
        self,
        settings: ClusterSettings,
        clock: Clock,
        store: SchedulerStore | None = None,
        *,
        leader: Leader | None = None,
        retry: RetryPolicy | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """The leader is looked for among the masters of the settings, unless another is given.

        Raises ConfigurationError, and LedgerError when the store cannot be read.
        """
        self._settings = settings
        self._clock = clock
        self._patience = settings.call_timeout_seconds
        self._session = session_of(settings.authentication, settings.tls)
        self._master_session = session_of(settings.mesos_authentication, settings.tls)
        self._stop = threading.Event()
        self._leader = leader or FixedLeader(settings.mesos_masters)
        self.master = MesosMaster(
            self._leader,
            self._master_session,
            Retrier(retry or RetryPolicy(), clock, self._stop, chance),
            clock,
            connect_seconds=settings.connect_timeout_seconds,
            call_seconds=settings.call_timeout_seconds,
        )
        self._takeover = Takeover(
            self.master, settings.mesos.framework_name, settings.authentication.user, clock
        )
        self._diagnosis = Diagnosis(settings, clock, self.master, self._leader, self._away)
        self._framework: Framework | None = None
        self._runner: Runner | None = None
        if store is not None:
            self._framework, self._runner = self._make(store, chance)

    def _make(self, store: SchedulerStore, chance: Callable[[], float]) -> tuple[Framework, Runner]:
        own, settings = self._settings.mesos, self._settings
        link = MasterLink(
            self._leader,
            self._session,
            settings.tls,
            self._clock,
            connect_seconds=settings.connect_timeout_seconds,
            call_seconds=settings.call_timeout_seconds,
        )
        limits = Limits(
            refuse=own.refuse_seconds,
            patience=own.reservation_after_seconds,
            reconcile=own.reconcile_seconds,
            unreachable=own.unreachable_seconds,
            unknown=own.unknown_seconds,
            remember=own.remember_seconds,
        )
        framework = Framework(store, self._clock, limits, lambda: self._wake(), own.roles)
        info = framework_info(
            name=own.framework_name,
            user=own.user or pwd.getpwuid(os.geteuid()).pw_name,
            roles=own.roles,
            failover_seconds=own.failover_timeout_seconds,
            principal=settings.authentication.user,
            framework_id=framework.framework_id,
        )
        self.driver = make_driver(framework, info, link)
        return framework, Runner(framework, self.driver, link, self._clock, chance)

    @property
    def framework_id(self) -> str | None:
        """The id under which the master knows us; None before it does."""
        return self._framework.framework_id if self._framework is not None else None

    def unanswered(self) -> int:
        """How many tasks the master was asked for and has not told of yet; 0: everything is known."""
        return self._framework.unanswered() if self._framework is not None else 0

    def validate(self, document: Mapping[str, object]) -> None:
        self._checked(document)

    def submit(self, submissions: Sequence[Submission]) -> list[CallResult]:
        """See the contract. A job that is taken is in the store: it waits there for offers."""
        framework = self._begin()
        errors: dict[int, AiravataMesosError | None] = {}
        forms: dict[int, MesosJob] = {}
        for number, submission in enumerate(submissions):
            try:
                forms[number] = self._form_of(submission)
            except AiravataMesosError as error:
                errors[number] = error
        errors.update(zip(forms, framework.submit(list(forms.values())), strict=True))
        return [CallResult(one.key, errors[number]) for number, one in enumerate(submissions)]

    def _form_of(self, submission: Submission) -> MesosJob:
        form = self._checked(submission.document)
        if JobKey(form.role, form.environment, form.name) != submission.key:
            raise InvalidRequest(f"the job configuration of {submission.key} is that of another job")
        return form

    def poll(self, keys: Sequence[JobKey]) -> dict[JobKey, TaskObservation]:
        """See the contract. Answered from what the framework has been told.

        Raises Unreachable when it has not been subscribed for longer than one call may take.
        """
        framework = self._begin()
        seconds, trouble = framework.away()
        if seconds > self._patience:
            raise Unreachable(f"no news from the Mesos master for {seconds:.0f} s: {trouble}")
        return framework.observations(keys)

    def cancel(self, keys: Sequence[JobKey], message: str) -> list[CallResult]:
        """See the contract. The request is in the store, and is repeated until the tasks have ended."""
        framework = self._begin()
        results = []
        for key in keys:
            error: AiravataMesosError | None = None
            try:
                framework.cancel(key, message)
            except AiravataMesosError as failure:
                error = failure
            results.append(CallResult(key, error))
        return results

    def pending_reasons(self, keys: Sequence[JobKey]) -> dict[JobKey, str]:
        """See the contract. Asks the master for its agents, since they decide."""
        framework = self._begin()
        if framework.anything_waits():
            agents = self.master.agents()
            framework.know_agents(agents_of(agents, ("*", *self._settings.mesos.roles)))
        return framework.reasons(keys)

    def sandboxes(self, tasks: Sequence[TaskObservation]) -> dict[JobKey, SandboxAddress]:
        """See the contract. Tasks on agents that the master does not know, and never did, are missing."""
        addresses = {}
        for task in tasks:
            agent_url = self.master.agent_url(task.agent_id) if task.agent_id else None
            if agent_url is None:
                continue
            # The executor of a command is called after its task; the framework's id may have changed since.
            framework = self._takeover.id_of(task.task_id)
            if framework is None and self._framework is not None:
                framework = self._framework.id_of(task.task_id)
            if framework is None:
                framework = self.master.framework_id(self._settings.mesos.framework_name)
            path = f"/frameworks/{framework}/executors/{task.task_id}/runs/latest/{SANDBOX}"
            addresses[task.key] = SandboxAddress(agent_url, path, self._settings.agent_access)
        return addresses

    def known_jobs(self, role: str) -> Sequence[KnownJob]:
        """See `base.KeepsMetadata`. What the store has and, before the first call, what the master tells of
        frameworks like ours besides: the store may have been lost.
        """
        framework = self._own_framework()
        found = {job.key: job for job in framework.of_role(role)}
        if not self._subscribes():
            self._takeover.look()
            for job in self._takeover.jobs():
                if job.key.role == role:
                    found.setdefault(job.key, job)
        return [_known(job) for job in found.values()]

    def may_take_over(self, keys: Collection[JobKey]) -> None:
        """See `base.TakesOver`."""
        self._takeover.framework_of(keys, self._own_framework())

    def take_over(self, keys: Collection[JobKey], ended: Collection[JobKey]) -> None:
        """See `base.TakesOver`: the framework that has these jobs, with all its tasks."""
        if self._subscribes():
            raise InvalidRequest("this process is subscribed: it cannot become another framework")
        framework = self._own_framework()
        chosen = self._takeover.framework_of(keys, framework)
        framework.take_over(chosen, self._takeover.jobs_to_follow(chosen or framework.framework_id, ended))

    def capacity(self) -> list[Node]:
        return self.master.nodes()

    def check(self) -> list[Check]:
        return self._diagnosis.run()

    def close(self) -> None:
        """See the contract. The framework stays registered, and its tasks run on."""
        self._stop.set()
        if self._runner is not None:
            self._runner.close()
        self._leader.close()
        self._session.close()
        self._master_session.close()

    def _own_framework(self) -> Framework:
        if self._framework is None:
            raise ConfigurationError("this process may look at the cluster only: it is not the daemon")
        return self._framework

    def _begin(self) -> Framework:
        framework = self._own_framework()
        if self._runner is not None:
            self._runner.start()
        return framework

    def _subscribes(self) -> bool:
        return self._runner is not None and self._runner.started

    def _wake(self) -> None:
        if self._runner is not None:
            self._runner.wake()

    def _away(self) -> tuple[float, str] | None:
        return self._framework.away() if self._framework is not None and self._subscribes() else None

    def _checked(self, document: Mapping[str, object]) -> MesosJob:
        form = parse(document)
        roles = self._settings.mesos.roles
        if form.offer_role not in roles:
            raise InvalidRequest(
                f"the job configuration is wrong: offer_role: {form.offer_role} is none of the roles"
                f" {', '.join(roles)}",
                advice="add it to mesos.roles of the cluster",
            )
        return form


def _known(job: TrackedJob) -> KnownJob:
    amounts = job.form.tasks[0].resources
    task = job.observation()
    return KnownJob(
        key=job.key,
        active=job.ended is None,
        metadata=task.metadata,
        resources=Resources(
            cpus=amounts.cpus, memory_mb=int(amounts.mem), disk_mb=int(amounts.disk), gpus=amounts.gpus
        ),
        task=task if job.members else None,
    )
