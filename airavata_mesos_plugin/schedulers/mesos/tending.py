"""Looks after launched tasks: asks how they are, ends those that must end, gives up those that are silent."""

from __future__ import annotations

import logging
import math
import threading

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.schedulers.mesos.book import JobBook
from airavata_mesos_plugin.schedulers.mesos.driver import Driver
from airavata_mesos_plugin.schedulers.mesos.limits import Limits
from airavata_mesos_plugin.schedulers.mesos.reconciling import Reconciliation
from airavata_mesos_plugin.schedulers.mesos.shunning import Shunned
from airavata_mesos_plugin.schedulers.mesos.tracking import Member, TrackedJob
from airavata_mesos_plugin.states import MESOS_REASONS, Blame

log = logging.getLogger(__name__)

STAGE_IN_FAILED = 213
"""Exit code of a task whose inputs did not arrive, as in `templates/mesos`. A hint about the agent only."""

LOOK_SECONDS = 0.5
"""Between two looks at all tasks, unless something has happened to one."""

KILL_AGAIN_SECONDS = 15.0
"""Mesos does not repeat a kill that was lost on its way."""

DOUBT_SECONDS = 30.0
"""Between two questions about a task of which nothing, or nothing certain, has been heard."""

_NOT_THE_AGENT = frozenset(
    {
        "REASON_INVALID_OFFERS",
        "REASON_AGENT_DRAINING",
        "REASON_FRAMEWORK_REMOVED",
        "REASON_AGENT_REMOVED_BY_OPERATOR",
        "REASON_MASTER_DISCONNECTED",
    }
)


class Tending:
    """The tasks of one framework. `look` sends, and is for one thread."""

    def __init__(
        self, book: JobBook, lock: threading.RLock, clock: Clock, limits: Limits, shunned: Shunned
    ) -> None:
        """Everything but `look` must be called with ``lock`` held."""
        self._book = book
        self._lock = lock
        self._clock = clock
        self._limits = limits
        self._shunned = shunned
        self._reconciliation = Reconciliation(limits.reconcile)
        self._since = clock.monotonic()
        self._strays: dict[str, str] = {}
        self._kills: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._heard: set[str] = set()  # since the subscription began
        self._next_look = 0.0
        self._at_once = True

    def begin(self) -> None:
        """A new subscription: everything has to be asked for, and kills may have been lost."""
        self._since = self._clock.monotonic()
        self._kills.clear()
        self._asked.clear()
        self._heard.clear()
        alive = [member.task_id for job in self._book.launched.values() for member in job.alive()]
        self._reconciliation.begin(alive, self._since)
        self._at_once = True

    @property
    def unanswered(self) -> int:
        """How many tasks the master has not told of, that it was asked for."""
        return self._reconciliation.unanswered

    def hurry(self) -> None:
        """Something is to be ended."""
        self._at_once = True

    def heard(self, task_id: str) -> None:
        """There was a word of a task."""
        self._heard.add(task_id)
        self._reconciliation.heard(task_id)

    def stray(self, task_id: str, agent_id: str) -> None:
        """A task runs that nobody wants any more: it must not run beside its successor."""
        self._strays[task_id] = agent_id
        self._at_once = True

    def agent_lost(self, agent_id: str) -> None:
        """The tasks there will be told of, but not reliably."""
        doubtful = [
            member.task_id
            for job in self._book.launched.values()
            for member in job.alive()
            if member.agent_id == agent_id
        ]
        self._reconciliation.doubt(doubtful, self._clock.monotonic())

    def judge_agent(self, job: TrackedJob, member: Member) -> None:
        """What the end of a task says about its agent."""
        if not member.over:
            return
        staging = f"exited with status {STAGE_IN_FAILED}" in member.message
        agents = MESOS_REASONS.get(member.reason) is Blame.NODE and member.reason not in _NOT_THE_AGENT
        if staging or agents or member.reason == "REASON_CONTAINER_LAUNCH_FAILED":
            self._shunned.failed(member.agent_id, job.form.image, self._clock.monotonic())
        elif member.phase is JobPhase.COMPLETED:
            self._shunned.worked(member.agent_id, job.form.image)

    def look(self, driver: Driver) -> None:
        """Send what is due. Raises what a call raises; all of it is sent again then."""
        now, wall = self._clock.monotonic(), self._clock.now()
        if now < self._next_look and not self._at_once:
            return
        kills: list[tuple[str, str, float | None]] = []
        agent_of: dict[str, str] = {}
        with self._lock:
            self._at_once, self._next_look = False, now + LOOK_SECONDS
            for task, agent in self._strays.items():
                log.warning("task %s runs and belongs to no job that is under way: it is killed", task)
                kills.append((task, agent, None))
            self._strays.clear()
            self._forget()
            for job in list(self._book.launched.values()):
                for member in job.alive():
                    agent_of[member.task_id] = member.agent_id
                    self._doubt(job, member, now, wall)
                kills += self._to_kill(job, now, wall)
            ask = self._reconciliation.due(agent_of, now)
            everything = self._reconciliation.all_due(agent_of, now)
            self._book.flush()
        for task, agent, grace in kills:
            driver.kill(task, agent, grace)
        if ask:
            driver.reconcile([(task, agent_of[task]) for task in ask])
        if everything:
            driver.reconcile([])

    def _to_kill(self, job: TrackedJob, now: float, wall: float) -> list[tuple[str, str, float | None]]:
        if job.kill is None and not job.others_shall_end(wall):
            return []
        due: list[tuple[str, str, float | None]] = []
        for member, task in zip(job.members, job.form.tasks, strict=False):  # none when it waits again
            if not member.over and now >= self._kills.get(member.task_id, 0.0):
                self._kills[member.task_id] = now + KILL_AGAIN_SECONDS
                # Of a job that was taken over Mesos itself knows the grace time, and nobody else.
                grace = None if job.taken_over else task.kill_grace_seconds
                due.append((member.task_id, member.agent_id, grace))
        return due

    def _forget(self) -> None:
        """Drop what was noted of tasks that are over, now and then."""
        most = 2 * len(self._book.launched) + 1000
        if max(len(self._kills), len(self._asked), len(self._heard)) <= most:
            return
        alive = {member.task_id for job in self._book.launched.values() for member in job.alive()}
        self._heard &= alive
        for noted in (self._kills, self._asked):
            for task in noted.keys() - alive:
                del noted[task]

    def _ask_again(self, member: Member, now: float) -> None:
        """Ask how a task is, but not every moment: the last answer may still be true."""
        if now >= self._asked.get(member.task_id, -math.inf) + DOUBT_SECONDS:
            self._asked[member.task_id] = now
            self._reconciliation.doubt([member.task_id], now)

    def _doubt(self, job: TrackedJob, member: Member, now: float, wall: float) -> None:
        if member.suspect_since is None:
            if not member.begun and wall - member.changed_at > DOUBT_SECONDS:
                self._ask_again(member, now)
            return
        self._ask_again(member, now)
        if member.task_id not in self._heard:
            return  # what was true when we were here last may be over
        if member.state == "TASK_UNREACHABLE":
            silent, limit = wall - member.suspect_since, self._limits.unreachable
            end = job.end_out_of_reach(member)
            if end is not None:
                limit = min(limit, end - member.suspect_since)
            what = "its agent cannot be reached"
        else:
            # A master that has just taken over learns of agents and tasks by and by.
            silent, limit = min(wall - member.suspect_since, now - self._since), self._limits.unknown
            what = "the master does not know it any more"
        if silent >= limit:
            job.give_up(member, f"{member.state}: {what}, for {limit:.0f} s", wall)
            self.judge_agent(job, member)
            self._book.changed(job)
