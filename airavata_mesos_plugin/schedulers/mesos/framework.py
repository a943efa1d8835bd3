"""The framework: jobs, offers and statuses, and what is to be sent for them.

Everything that changes is written to the store before anything is sent that follows from it: a status before
it is acknowledged, a launch before its offer is accepted, the framework's id before the first launch.

Two kinds of threads come here. One works for the framework (`runner.Runner`): it hands over events, then lets
`step` do what follows. It alone sends anything. Others, those of the provider, submit, ask and cancel; they
touch nothing but memory and the store.

How a gang runs through here: its document has a task for each node, `matching.match` finds a place for all
or none, `_launch` sends them all (one ACCEPT for each agent), and `tracking.TrackedJob` folds their states
into one. When one launch of several is refused, the others' tasks are killed and the job waits again. What
the tasks do until all have started is theirs: Mesos promises nothing about that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError, AlreadyExists
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import SchedulerStore
from airavata_mesos_plugin.schedulers.mesos.driver import Driver, Json
from airavata_mesos_plugin.schedulers.mesos.explaining import explain
from airavata_mesos_plugin.schedulers.mesos.jobform import MesosJob
from airavata_mesos_plugin.schedulers.mesos.matching import (
    Agent,
    Assignment,
    Offered,
    Plan,
    Reservation,
    Wanted,
    match,
)
from airavata_mesos_plugin.schedulers.mesos.reconciling import Reconciliation
from airavata_mesos_plugin.schedulers.mesos.records import Records
from airavata_mesos_plugin.schedulers.mesos.shunning import Shunned
from airavata_mesos_plugin.schedulers.mesos.taskinfo import offered_of, task_info, wanted_of
from airavata_mesos_plugin.schedulers.mesos.tracking import Member, TrackedJob
from airavata_mesos_plugin.states import MESOS_PHASES, MESOS_REASONS, Blame

log = logging.getLogger(__name__)

STAGE_IN_FAILED = 213
"""Exit code of a task whose inputs did not arrive, as in `templates/mesos`. A hint about the agent only."""

LOOK_SECONDS = 0.5
"""Between two looks at all tasks, unless something has happened to one."""

FORGET_SECONDS = 60.0
KILL_AGAIN_SECONDS = 15.0
LAUNCH_DOUBT_SECONDS = 30.0
SUSPECT_DOUBT_SECONDS = 30.0
REVIVE_SECONDS = 1.0
IDLE_REFUSAL_SECONDS = 3600.0


@dataclass(frozen=True)
class Limits:
    """What an administrator can set. All in seconds."""

    refuse: float = 30.0
    patience: float = 60.0
    reconcile: float = 900.0
    unreachable: float = 900.0
    unknown: float = 700.0
    remember: float = 86400.0


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
        self._roles = tuple(roles)
        self._lock = threading.RLock()
        self._records = Records(store)
        self.framework_id, jobs = self._records.load()
        self._jobs: dict[JobKey, TrackedJob] = {job.key: job for job in jobs}
        self._launched: dict[JobKey, TrackedJob] = {}
        self._wanted: dict[JobKey, Wanted] = {}
        self._tasks: dict[str, JobKey] = {}
        self._order: list[JobKey] | None = None
        for job in jobs:
            self._index(job)
        self._told: set[JobKey] = set()
        self._offers: dict[str, Offered] = {}
        self._agents: tuple[Agent, ...] = ()
        self._reservations: tuple[Reservation, ...] = ()
        self._shunned = Shunned()
        self._reconciliation = Reconciliation(limits.reconcile)
        self._acknowledge: list[Json] = []
        self._strays: dict[str, str] = {}
        self._kills: dict[str, float] = {}
        self._suppressed = False
        self._filtered = False
        self._want_revive = False
        self._revive_not_before = 0.0
        self._shun_ends: float | None = None
        self._look = True
        self._next_look = 0.0
        self._next_forget = 0.0
        self._subscribed_since: float | None = None
        self._away_since = clock.monotonic()
        self._trouble = "it was not subscribed yet"
        self._replan = True
        self.unusable = ""
        """Why the present subscription must not go on; empty when it may."""
        self.retry_seconds: float | None = None
        """How long to wait before the next subscription, where that is known."""

    # Asked by the provider

    def submit(self, form: MesosJob) -> None:
        """Take a job; durable on return. Raises AlreadyExists when an active one has its key, LedgerError."""
        key = JobKey(form.role, form.environment, form.name)
        with self._lock:
            known = self._jobs.get(key)
            if known is not None and known.ended is None:
                raise AlreadyExists(f"an active job is called {key}")
            now = self._clock.now()
            job = TrackedJob(key, form, accepted_at=now, queued_at=now, changed_at=now)
            if known is not None:
                # Whatever is still on its way about the one before must not be taken for this one's.
                job.launch = known.launch + 1
            self._records.add(job)
            self._jobs[key] = job
            self._told.discard(key)
            self._index(job)
            self._replan = True
            self._want_revive = True
        self._wake()

    def observe(self, keys: Iterable[JobKey]) -> list[TrackedJob]:
        """The jobs among ``keys`` that are known. Those that are over may be forgotten some time after."""
        with self._lock:
            found = [self._jobs[key] for key in dict.fromkeys(keys) if key in self._jobs]
            self._told.update(job.key for job in found if job.ended is not None)
            return found

    def observations(self, keys: Iterable[JobKey]) -> dict[JobKey, Any]:
        """What is known of these jobs, as the contract wants it."""
        with self._lock:
            # What was taken back before its first launch never was on the cluster.
            return {job.key: job.observation() for job in self.observe(keys) if not job.taken_back}

    def of_role(self, role: str) -> list[TrackedJob]:
        """All jobs of a role that are remembered."""
        with self._lock:
            return [job for job in self._jobs.values() if job.key.role == role]

    def cancel(self, key: JobKey, message: str) -> None:
        """A job shall end; durable on return. One that is over or unknown is no error. Raises LedgerError."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.request_kill(message, self._clock.now()):
                return
            self._records.change([job])
            self._index(job)
            self._replan = self._look = True
        self._wake()

    def reasons(self, keys: Iterable[JobKey]) -> dict[JobKey, str]:
        """Why those of these jobs wait that do."""
        with self._lock:
            avoid = self._shunned.now(self._clock.monotonic())
            found = {}
            explained: dict[object, str] = {}
            for key in keys:
                job = self._jobs.get(key)
                if job is None or not job.waiting:
                    continue
                if job.not_before > self._clock.now():
                    found[key] = job.note
                    continue
                wanted = self._wanted[key]
                owner = any(one.key == key for one in self._reservations)
                shape = (wanted.shape, key if owner else None)
                if shape not in explained:
                    explained[shape] = explain(
                        wanted, self._agents, avoid=avoid, reservations=self._reservations
                    )
                found[key] = explained[shape]
            return found

    def know_agents(self, agents: Sequence[Agent]) -> None:
        """What the master has told of its agents just now."""
        with self._lock:
            self._agents = tuple(agents)
            self._replan = True
        self._wake()

    def anything_waits(self) -> bool:
        """Whether jobs wait, so that it matters what agents there are."""
        with self._lock:
            return bool(self._wanted)

    def id_of(self, task_id: str) -> str | None:
        """Id of the framework that launched a task; None when that is not known."""
        with self._lock:
            key = self._tasks.get(task_id)
            return (self._jobs[key].framework_id if key is not None else None) or self.framework_id

    def away(self) -> tuple[float, str]:
        """For how many seconds there has been no subscription (0: there is one), and why."""
        with self._lock:
            if self._subscribed_since is not None:
                return 0.0, ""
            return max(0.001, self._clock.monotonic() - self._away_since), self._trouble

    # Told by the runner and the driver

    def opened(self) -> None:
        """A stream is open; whether the master takes us is not known yet."""
        self.unusable = ""

    def closed(self, trouble: str) -> None:
        """The stream has ended, or could not be opened. Repeatable."""
        with self._lock:
            if self._subscribed_since is not None:
                self._subscribed_since = None
                self._away_since = self._clock.monotonic()
            # What the master said weighs more than that the stream ended then.
            self._trouble = self.unusable or trouble or self._trouble
            # They are void: the master takes them back when a framework goes.
            self._offers.clear()
            self._acknowledge.clear()
            self._kills.clear()

    def registered(self, _driver: Driver, framework_id: Json, _master: Json) -> None:
        with self._lock:
            self.framework_id = str(framework_id["value"])
            try:
                self._records.set_framework(self.framework_id)
            except AiravataMesosError as error:
                # Without its id the framework, and what it launched, would be lost with this process.
                self.unusable = f"the framework's id cannot be kept: {error}"
                return
            self._subscribed()

    def reregistered(self, _driver: Driver, _master: Json) -> None:
        with self._lock:
            self._subscribed()

    def resourceOffers(self, _driver: Driver, offers: Sequence[Json]) -> None:  # noqa: N802 - pymesos' name
        with self._lock:
            for offer in offers:
                offered = offered_of(offer)
                self._offers[offered.id] = offered
            self._replan = True

    def offerRescinded(self, _driver: Driver, offer_id: Json) -> None:  # noqa: N802
        with self._lock:
            self._offers.pop(str(offer_id["value"]), None)

    def inverseOffers(self, _driver: Driver, _offers: Sequence[Json]) -> None:  # noqa: N802
        """Maintenance is announced; jobs end when they end, or are drained."""

    def slaveLost(self, _driver: Driver, agent_id: Json) -> None:  # noqa: N802
        agent = str(agent_id["value"])
        with self._lock:
            for offer in [one for one in self._offers.values() if one.agent_id == agent]:
                del self._offers[offer.id]
            doubtful = [
                m.task_id for job in self._launched.values() for m in job.alive() if m.agent_id == agent
            ]
            self._reconciliation.doubt(doubtful, self._clock.monotonic())

    def statusUpdate(self, _driver: Driver, status: Json) -> None:  # noqa: N802
        task_id = str(status["task_id"]["value"])
        state = str(status.get("state"))
        with self._lock:
            if "uuid" in status:
                self._acknowledge.append(status)
            self._reconciliation.heard(task_id)
            key = self._tasks.get(task_id)
            job = self._jobs.get(key) if key is not None else None
            member = next((m for m in job.members if m.task_id == task_id), None) if job else None
            if job is None or member is None or member.over:
                phase = MESOS_PHASES.get(state, JobPhase.RUNNING)
                if phase is None or not phase.final:
                    # It runs, and nobody wants it any more: it must not run beside its successor.
                    self._strays[task_id] = str((status.get("agent_id") or {}).get("value", ""))
                    self._look = True
                return
            if job.update(task_id, status, self._clock.now()):
                self._judge_agent(member)
                self._changed(job)

    def error(self, driver: Driver, message: str) -> None:
        """The master ends the subscription."""
        with self._lock:
            log.warning("the Mesos master ends the subscription: %s", message)
            self.unusable = f"the Mesos master ended the subscription: {message}"
            self.retry_seconds = 60.0
            if "removed" in message.lower():
                self._removed(message)
                driver.forget()

    def step(self, driver: Driver) -> None:
        """Write down what has changed, then send what follows from it. Repeatable.

        Raises what a call raises when the connection is in doubt; then the subscription has to be renewed.
        """
        with self._lock:
            self._records.flush()
            acknowledge, self._acknowledge = self._acknowledge, []
            subscribed = self._subscribed_since is not None
        if not subscribed:
            return
        for status in acknowledge:
            driver.acknowledgeStatusUpdate(status)
        self._look_after_tasks(driver)
        self._use_offers(driver)
        self._call_for_offers(driver)
        self._forget()

    # Inside: jobs

    def _index(self, job: TrackedJob) -> None:
        """Put a job where it is looked for, after every change of its launch."""
        if job.waiting:
            self._wanted[job.key] = wanted_of(job)
            self._order = None
        elif self._wanted.pop(job.key, None) is not None:
            self._order = None
        if job.members and job.ended is None:
            self._launched[job.key] = job
        else:
            self._launched.pop(job.key, None)
        for member in job.members:
            self._tasks[member.task_id] = job.key

    def _changed(self, job: TrackedJob) -> None:
        self._records.mark(job)
        self._look = self._look or job.first_end is not None
        if not job.members or job.ended is not None:
            self._index(job)
            self._replan = True
            if job.waiting:
                self._want_revive = True

    def _waiting_in_order(self) -> list[Wanted]:
        if self._order is None:
            jobs = [self._jobs[key] for key in self._wanted]
            jobs.sort(key=lambda job: (-job.form.priority, job.accepted_at, str(job.key)))
            self._order = [job.key for job in jobs]
        now = self._clock.now()
        return [self._wanted[key] for key in self._order if self._jobs[key].not_before <= now]

    def _forget(self) -> None:
        """Jobs that are over, and whose end somebody has asked for, are dropped after a while."""
        now = self._clock.monotonic()
        if now < self._next_forget:
            return
        self._next_forget = now + FORGET_SECONDS
        before = self._clock.now() - self._limits.remember
        with self._lock:
            old = [key for key in self._told if self._jobs[key].changed_at < before]
            for key in old:
                job = self._jobs.pop(key)
                self._told.discard(key)
                self._records.remove(key)
                for member in job.members:
                    self._tasks.pop(member.task_id, None)
            self._records.flush()

    def _removed(self, message: str) -> None:
        """The framework is gone for good, and Mesos has ended all its tasks."""
        now = self._clock.now()
        for job in list(self._launched.values()):
            for member in job.alive():
                job.give_up(member, f"the framework was removed at the Mesos master: {message}", now)
            self._changed(job)
        self.framework_id = None
        self._records.set_framework(None)
        self._records.flush()
        self.retry_seconds = 1.0

    def _subscribed(self) -> None:
        now = self._clock.monotonic()
        self._subscribed_since = now
        self._trouble = ""
        self.retry_seconds = None
        self._offers.clear()
        self._suppressed = self._filtered = False
        self._replan = self._look = True
        alive = [member.task_id for job in self._launched.values() for member in job.alive()]
        self._reconciliation.begin(alive, now)

    def _judge_agent(self, member: Member) -> None:
        if not member.over:
            return
        blame = MESOS_REASONS.get(member.reason)
        staging = f"exited with status {STAGE_IN_FAILED}" in member.message
        ours = blame is Blame.NODE and member.reason not in _NOT_THE_AGENT
        if staging or ours or member.reason == "REASON_CONTAINER_LAUNCH_FAILED":
            self._shunned.failed(member.agent_id, self._clock.monotonic())
        elif member.phase is JobPhase.COMPLETED:
            self._shunned.worked(member.agent_id)

    # Inside: what is sent

    def _look_after_tasks(self, driver: Driver) -> None:
        """Ask about tasks, end those that have to end, give up those that stay silent."""
        now, wall = self._clock.monotonic(), self._clock.now()
        kills: list[tuple[str, str, float | None]] = []
        if now < self._next_look and not self._look:
            return
        with self._lock:
            self._look, self._next_look = False, now + LOOK_SECONDS
            kills += [(task, agent, None) for task, agent in self._strays.items()]
            for task in self._strays:
                log.warning("task %s runs and belongs to no job that is under way: it is killed", task)
            self._strays.clear()
            agent_of: dict[str, str] = {}
            for job in list(self._launched.values()):
                doomed = job.kill is not None or job.first_end is not None
                for index, member in enumerate(job.members):
                    if member.over:
                        continue
                    agent_of[member.task_id] = member.agent_id
                    self._doubt(job, member, now, wall)
                    if doomed and now >= self._kills.get(member.task_id, 0.0):
                        self._kills[member.task_id] = now + KILL_AGAIN_SECONDS
                        kills.append(
                            (member.task_id, member.agent_id, job.form.tasks[index].kill_grace_seconds)
                        )
            ask = self._reconciliation.due(agent_of, now)
            everything = self._reconciliation.all_due(agent_of, now)
            self._records.flush()
        for task, agent, grace in kills:
            driver.kill(task, agent, grace)
        if ask:
            driver.reconcile([(task, agent_of[task]) for task in ask])
        if everything:
            driver.reconcile([])

    def _doubt(self, job: TrackedJob, member: Member, now: float, wall: float) -> None:
        if member.suspect_since is None:
            if not member.begun and wall - member.changed_at > LAUNCH_DOUBT_SECONDS:
                self._reconciliation.doubt([member.task_id], now)
            return
        self._reconciliation.doubt([member.task_id], now)
        unreachable = member.state == "TASK_UNREACHABLE"
        limit = self._limits.unreachable if unreachable else self._limits.unknown
        # What a master says that knows its cluster since a moment only is no reason to give up.
        here = now - self._subscribed_since if self._subscribed_since is not None else 0.0
        if min(wall - member.suspect_since, here if not unreachable else limit) >= limit:
            what = "its agent cannot be reached" if unreachable else "the master does not know it any more"
            job.give_up(member, f"lost: {what}, for {limit:.0f} s", wall)
            self._judge_agent(member)
            self._changed(job)

    def _use_offers(self, driver: Driver) -> None:
        now = self._clock.monotonic()
        with self._lock:
            if not self._replan or not self._offers:
                return
            self._replan = False
            wanted = self._waiting_in_order()
            avoid = self._shunned.now(now)
            plan = match(
                wanted,
                list(self._offers.values()),
                agents=self._agents,
                reservations=self._reservations,
                avoid=avoid,
                now=self._clock.now(),
                patience_seconds=self._limits.patience,
            )
            self._reservations = plan.reservations
            for offer_id in (*plan.decline, *(id for launch in plan.launches for id in launch.offer_ids)):
                del self._offers[offer_id]
            waits = len(self._wanted) > sum(a.index == 0 for one in plan.launches for a in one.assignments)
            self._note_launches(plan)
        refuse = {"refuse_seconds": self._limits.refuse if waits else IDLE_REFUSAL_SECONDS}
        self._launch(driver, plan, refuse)
        if plan.decline:
            self._filtered = True
            driver.declineOffer([{"value": id} for id in plan.decline], filters=refuse)

    def _note_launches(self, plan: Plan) -> None:
        """Write down what is about to be launched."""
        now = self._clock.now()
        places: dict[JobKey, dict[int, Assignment]] = {}
        for launch in plan.launches:
            for one in launch.assignments:
                places.setdefault(one.key, {})[one.index] = one
        for key, assigned in places.items():
            job = self._jobs[key]
            job.begin_launch([(assigned[i].agent_id, assigned[i].host) for i in sorted(assigned)], now)
            job.framework_id = self.framework_id or ""
            self._index(job)
            self._records.mark(job)
        self._records.flush()

    def _launch(self, driver: Driver, plan: Plan, refuse: Mapping[str, float]) -> None:
        for number, launch in enumerate(plan.launches):
            infos = []
            with self._lock:
                for one in launch.assignments:
                    job = self._jobs[one.key]
                    if job.kill is None and job.members and not job.members[one.index].over:
                        infos.append(
                            task_info(
                                job.form, one.index, job.task_id(one.index), one.agent_id, one.resources
                            )
                        )
            operations = [{"type": "LAUNCH", "launch": {"task_infos": infos}}] if infos else []
            offers = [{"value": id} for id in launch.offer_ids]
            try:
                self._filtered = True
                driver.acceptOffers(offers, operations, filters=refuse)
            except AiravataMesosError as error:
                with self._lock:
                    # What was not even tried is undone as well: the offers go with the subscription.
                    rest = plan.launches[number + 1 :]
                    undone = [a for one in rest for a in one.assignments]
                    if not error.outcome_unknown:
                        undone += launch.assignments
                    self._undo(undone)
                raise

    def _undo(self, assignments: Sequence[Assignment]) -> None:
        """These tasks were not launched, for sure."""
        now = self._clock.now()
        for key in dict.fromkeys(one.key for one in assignments):
            job = self._jobs[key]
            indexes = {one.index for one in assignments if one.key == key}
            if len(indexes) == len(job.members):
                job.undo_launch()
                if job.kill is not None:
                    job.ended, job.changed_at = JobPhase.CANCELLED, now
            else:
                for index in indexes:
                    dropped = {"state": "TASK_DROPPED", "message": "the launch could not be sent"}
                    job.update(job.members[index].task_id, dropped, now)
            self._changed(job)
        self._records.flush()

    def _call_for_offers(self, driver: Driver) -> None:
        """Say whether we want offers: none while nothing waits, all of them again when something new does."""
        now = self._clock.monotonic()
        with self._lock:
            if not self._wanted:
                self._want_revive = False
                if self._suppressed or self._offers:
                    return
                self._suppressed = True
            else:
                self._note_what_may_start_again(now)
                if not self._suppressed and not (self._want_revive and self._filtered):
                    self._want_revive = False
                    return
                if now < self._revive_not_before:
                    return
                self._revive_not_before = now + REVIVE_SECONDS
                self._want_revive = self._suppressed = self._filtered = False
            suppress = self._suppressed
        if suppress:
            driver.suppressOffers(self._roles)
        else:
            driver.reviveOffers(self._roles)

    def _note_what_may_start_again(self, now: float) -> None:
        """What was declined in the pause of a job, or of an agent, is of use when the pause is over."""
        wall = self._clock.now()
        for key in self._wanted:
            if 0.0 < self._jobs[key].not_before <= wall:
                self._jobs[key].not_before = 0.0
                self._want_revive = self._replan = True
        if self._shun_ends is not None and now >= self._shun_ends:
            self._want_revive = self._replan = True
        self._shun_ends = self._shunned.next_end(now)


_NOT_THE_AGENT = frozenset(
    {
        "REASON_INVALID_OFFERS",
        "REASON_AGENT_DRAINING",
        "REASON_FRAMEWORK_REMOVED",
        "REASON_AGENT_REMOVED_BY_OPERATOR",
        "REASON_MASTER_DISCONNECTED",
    }
)
