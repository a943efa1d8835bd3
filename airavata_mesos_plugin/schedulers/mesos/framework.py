"""The framework: jobs, offers and statuses, and what is to be sent for them.

Everything that changes is written to the store before anything is sent that follows from it: a status before
it is acknowledged, a launch before its offer is accepted, the framework's id before the first launch.

Two kinds of threads come here. One works for the framework (`runner.Runner`): it hands over events, then lets
`step` do what follows. It alone sends anything. Others, those of the provider, submit, ask and cancel; they
touch nothing but memory and the store.

How a gang runs through here: its document has a task for each node, `matching.match` finds a place for all
or none, `offering.OfferDesk` launches them all (one ACCEPT for each agent), and `tracking.TrackedJob` folds
their states into one. When one launch of several is refused, or a task of several ends, the others are
killed; if that one never ran, the job waits again. What the tasks do until all have started is theirs: Mesos
promises nothing about that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError, AlreadyExists
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import SchedulerStore, TaskObservation
from airavata_mesos_plugin.schedulers.mesos.book import JobBook
from airavata_mesos_plugin.schedulers.mesos.driver import Driver, Json
from airavata_mesos_plugin.schedulers.mesos.jobform import MesosJob
from airavata_mesos_plugin.schedulers.mesos.limits import Limits
from airavata_mesos_plugin.schedulers.mesos.matching import Agent
from airavata_mesos_plugin.schedulers.mesos.offering import OfferDesk
from airavata_mesos_plugin.schedulers.mesos.shunning import Shunned
from airavata_mesos_plugin.schedulers.mesos.taskinfo import offered_of
from airavata_mesos_plugin.schedulers.mesos.tending import Tending
from airavata_mesos_plugin.schedulers.mesos.tracking import TrackedJob
from airavata_mesos_plugin.states import MESOS_PHASES

log = logging.getLogger(__name__)

FORGET_SECONDS = 60.0
REFUSED_SECONDS = 60.0
"""Pause after the master has ended a subscription."""


class Framework:
    """The state of one framework. Callbacks and `step` are for one thread, everything else for any."""

    def __init__(
        self,
        store: SchedulerStore,
        clock: Clock,
        limits: Limits,
        wake: Callable[[], None],
        roles: Sequence[str] = ("*",),
    ) -> None:
        """``wake`` is called when `step` has something to do. Raises LedgerError."""
        self._clock = clock
        self._limits = limits
        self._wake = wake
        self._lock = threading.RLock()
        self._book = JobBook(store)
        shunned = Shunned()
        self._desk = OfferDesk(self._book, self._lock, clock, limits, shunned, roles)
        self._tending = Tending(self._book, self._lock, clock, limits, shunned)
        self._acknowledge: list[Json] = []
        self._subscribed = False
        self._away_since = clock.monotonic()
        self._trouble = "it was not subscribed yet"
        self._next_forget = 0.0
        self.unusable = ""
        """Why the present subscription must not go on; empty when it may."""
        self._pause: float | None = None

    @property
    def framework_id(self) -> str | None:
        """The id that the master gave; None before that."""
        return self._book.framework_id

    # Asked by the provider

    def submit(self, forms: Sequence[MesosJob]) -> list[AlreadyExists | None]:
        """Take jobs; durable on return. For each None or, when an active one has its key, what is wrong.

        Raises LedgerError, and has taken none.
        """
        now = self._clock.now()
        taken: dict[JobKey, TrackedJob] = {}
        results: list[AlreadyExists | None] = []
        with self._lock:
            for form in forms:
                key = JobKey(form.role, form.environment, form.name)
                known = taken.get(key) or self._book.jobs.get(key)
                if known is not None and known.ended is None:
                    results.append(AlreadyExists(f"an active job is called {key}"))
                    continue
                # Whatever is still on its way about one before must not be taken for this one's.
                launch = known.launch + 1 if known is not None else 0
                taken[key] = TrackedJob(key, form, now, now, launch=launch, changed_at=now)
                results.append(None)
            if taken:
                self._book.add(list(taken.values()))
        self._wake()
        return results

    def observations(self, keys: Iterable[JobKey]) -> dict[JobKey, TaskObservation]:
        """What is known of these jobs. Those that are over may be forgotten some time after."""
        found = {}
        with self._lock:
            for key in keys:
                job = self._book.jobs.get(key)
                if job is None:
                    continue
                if job.ended is not None:
                    self._book.told(job)
                # What was taken back before its first launch never was on the cluster.
                if not job.taken_back:
                    found[key] = job.observation()
        return found

    def of_role(self, role: str) -> list[TrackedJob]:
        """All jobs of a role that are remembered."""
        with self._lock:
            return [job for job in self._book.jobs.values() if job.key.role == role]

    def take_over(self, framework_id: str | None, jobs: Sequence[TrackedJob]) -> None:
        """Jobs that its records lack, and the id to subscribe with (None: as it is). Durable on return.

        Repeatable: jobs that are known stay as they are. Not to be called once there is a subscription.
        Raises LedgerError.
        """
        with self._lock:
            if framework_id is not None:
                self._book.set_framework(framework_id)
            self._book.add([job for job in jobs if job.key not in self._book.jobs])

    def idle(self) -> bool:
        """Whether it has no job that has not ended."""
        with self._lock:
            return all(job.ended is not None for job in self._book.jobs.values())

    def id_of(self, task_id: str) -> str | None:
        """Id of the framework that launched a task; None when that is not known."""
        with self._lock:
            found = self._book.of_task(task_id)
            return (found[0].framework_id if found is not None else "") or self._book.framework_id

    def cancel(self, key: JobKey, message: str) -> None:
        """A job shall end; durable on return. One that is over or unknown is no error. Raises LedgerError."""
        with self._lock:
            job = self._book.jobs.get(key)
            if job is None or not job.request_kill(message, self._clock.now()):
                return
            self._book.changed(job)
            self._book.flush()
            self._tending.hurry()
        self._wake()

    def reasons(self, keys: Sequence[JobKey]) -> dict[JobKey, str]:
        """Why those of these jobs wait that do."""
        with self._lock:
            return self._desk.reasons(keys)

    def know_agents(self, agents: Sequence[Agent]) -> None:
        """What the master has told of its agents just now."""
        with self._lock:
            self._desk.know_agents(agents)
        self._wake()

    def anything_waits(self) -> bool:
        """Whether jobs wait, so that it matters what agents there are."""
        with self._lock:
            return self._book.any_waiting

    def unanswered(self) -> int:
        """How many tasks the master was asked for and has not told of yet."""
        with self._lock:
            return self._tending.unanswered

    def away(self) -> tuple[float, str]:
        """For how many seconds there has been no subscription (0: there is one), and why."""
        with self._lock:
            if self._subscribed:
                return 0.0, ""
            return max(0.001, self._clock.monotonic() - self._away_since), self._trouble

    # Told by the runner and the driver

    def take_pause(self) -> float | None:
        """Seconds to wait before the next subscription, where the last one has told; told once."""
        pause, self._pause = self._pause, None
        return pause

    def opened(self) -> None:
        """A stream is open; whether the master takes us is not known yet."""
        self.unusable = ""

    def closed(self, trouble: str) -> None:
        """The stream has ended, or could not be opened. Repeatable."""
        with self._lock:
            if self._subscribed:
                self._subscribed = False
                self._away_since = self._clock.monotonic()
            # What the master said weighs more than that the stream ended then.
            self._trouble = self.unusable or trouble or self._trouble
            self._desk.clear()
            self._acknowledge.clear()  # the agents repeat what was not acknowledged

    def registered(self, _driver: Driver, framework_id: Json, _master: Json) -> None:
        with self._lock:
            try:
                self._book.set_framework(str(framework_id["value"]))
            except AiravataMesosError as error:
                # Without its id the framework, and what it launched, would be lost with this process.
                self.unusable = f"the framework's id cannot be kept: {error}"
                return
            self._begin()

    def reregistered(self, _driver: Driver, _master: Json) -> None:
        with self._lock:
            self._begin()

    def resourceOffers(self, _driver: Driver, offers: Sequence[Json]) -> None:  # noqa: N802 - pymesos' name
        with self._lock:
            self._desk.add([offered_of(offer) for offer in offers])

    def offerRescinded(self, _driver: Driver, offer_id: Json) -> None:  # noqa: N802
        with self._lock:
            self._desk.rescind(str(offer_id["value"]))

    def inverseOffers(self, _driver: Driver, _offers: Sequence[Json]) -> None:  # noqa: N802
        """Maintenance is announced; jobs end when they end, or are drained."""

    def slaveLost(self, _driver: Driver, agent_id: Json) -> None:  # noqa: N802
        with self._lock:
            self._desk.rescind_agent(str(agent_id["value"]))
            self._tending.agent_lost(str(agent_id["value"]))

    def statusUpdate(self, _driver: Driver, status: Json) -> None:  # noqa: N802
        task_id = str(status["task_id"]["value"])
        with self._lock:
            if "uuid" in status:
                self._acknowledge.append(status)
            self._tending.heard(task_id)
            found = self._book.of_task(task_id)
            if found is None or found[1].over:
                phase = MESOS_PHASES.get(str(status.get("state")), JobPhase.RUNNING)
                if phase is not None and not phase.final and not self._book.illegible(task_id):
                    self._tending.stray(task_id, str((status.get("agent_id") or {}).get("value", "")))
                return
            job, member = found
            if job.update(task_id, status, self._clock.now()):
                self._tending.judge_agent(job, member)
                self._book.changed(job)
                if job.first_end is not None:
                    self._tending.hurry()  # to end the other tasks of a gang

    def error(self, driver: Driver, message: str) -> None:
        """The master ends the subscription."""
        with self._lock:
            log.warning("the Mesos master ends the subscription: %s", message)
            self.unusable = f"the Mesos master ended the subscription: {message}"
            self._pause = REFUSED_SECONDS
            if "removed" in message.lower():
                self._removed(message)
                driver.forget()

    def step(self, driver: Driver) -> None:
        """Write down what has changed, then send what follows from it. Repeatable.

        Raises what a call raises when the connection is in doubt; then the subscription has to be renewed.
        """
        with self._lock:
            self._book.flush()
            acknowledge, self._acknowledge = self._acknowledge, []
            if not self._subscribed:
                return
        for status in acknowledge:
            driver.acknowledgeStatusUpdate(status)
        self._tending.look(driver)
        self._desk.use(driver)
        self._desk.call(driver)
        self._forget()

    # Inside

    def _begin(self) -> None:
        self._subscribed = True
        self._trouble = ""
        self._desk.begin()
        self._tending.begin()

    def _removed(self, message: str) -> None:
        """The framework is gone for good, and Mesos has ended all its tasks."""
        now = self._clock.now()
        for job in list(self._book.launched.values()):
            for member in job.alive():
                job.give_up(member, f"the framework was removed at the Mesos master: {message}", now)
            self._book.changed(job)
        self._book.set_framework(None)
        self._pause = 1.0

    def _forget(self) -> None:
        now = self._clock.monotonic()
        if now < self._next_forget:
            return
        self._next_forget = now + FORGET_SECONDS
        with self._lock:
            self._book.forget(self._clock.now() - self._limits.remember)
            self._book.flush()
