"""What is known of one job and its tasks: how status updates change it, and how it is kept. No I/O, no clock.

A job waits, is launched, and ends. Each launch gives its tasks new ids, so that whatever is heard of an
earlier launch can be told apart:

    <role>.<environment>.<name>.<launch>            a job of one task
    <role>.<environment>.<name>.<launch>-<index>    one task of a gang

That a launch is about to be sent is written down before it is sent. A daemon that dies in between asks the
master after its restart: the task is there, or its agent says that it is not, and then nothing ever ran.

The tasks of a gang end together: the first that ends ends the others, and speaks for the job. The first task
runs the script and knows why another one has ended, so it has a while to end by itself. One that is cut off
ends by itself, too, when it has heard nothing of the others for a while.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import NodeTask, TaskObservation
from airavata_mesos_plugin.schedulers.mesos.jobform import MesosJob
from airavata_mesos_plugin.states import MESOS_PHASES, MESOS_SOURCES, mesos_phase

WAITING, LAUNCHING = "PENDING", "LAUNCHING"
"""States of ours, before Mesos knows the task."""

FIRST_TASK_SECONDS = 20.0
"""How long the first task of a gang may go on after another one has run and ended."""

MOST_RELAUNCHES = 20
"""How often a job is launched again that never began to run."""


@dataclass
class Member:
    """One task of a launched job. Times are seconds since the epoch."""

    task_id: str
    agent_id: str
    host: str
    state: str = LAUNCHING  # ours, or the last one of Mesos
    phase: JobPhase = JobPhase.QUEUED  # the last one that was known for sure
    changed_at: float = 0.0
    started_at: float | None = None
    begun: bool = False  # its executor was heard of
    suspect_since: float | None = None  # the master does not know whether it is alive
    killing: bool = False  # a kill of ours has had an effect
    message: str = ""
    reason: str = ""

    @property
    def over(self) -> bool:
        return self.phase.final


@dataclass
class TrackedJob:
    """One job that was submitted."""

    key: JobKey
    form: MesosJob
    accepted_at: float
    queued_at: float
    launch: int = 0  # how many launches there were before the present or next one
    relaunches: int = 0  # in a row, of launches that never began to run
    failures: int = 0
    not_before: float = 0.0  # no launch earlier, seconds since the epoch
    members: list[Member] = field(default_factory=list)  # of the present launch; empty while it waits
    kill: str | None = None  # why it shall end
    first_end: int | None = None  # the member that ended first
    ended: JobPhase | None = None
    changed_at: float = 0.0
    note: str = ""  # what is to be told while it waits
    framework_id: str = ""  # under which the present launch was made
    taken_over: bool = False  # made again from what the master told, which is not what it runs

    # Asking

    @property
    def waiting(self) -> bool:
        return self.ended is None and not self.members

    @property
    def taken_back(self) -> bool:
        """It was cancelled before it was launched for the first time."""
        return self.ended is not None and not self.members and not self.launch

    def task_id(self, index: int = 0) -> str:
        """Id of a task of the present or next launch."""
        key = self.key
        stem = f"{key.role}.{key.environment}.{key.name}.{self.launch}"
        return stem if len(self.form.tasks) == 1 else f"{stem}-{index}"

    def alive(self) -> list[Member]:
        """Tasks that may be running."""
        return [] if self.ended is not None else [member for member in self.members if not member.over]

    def observation(self) -> TaskObservation:
        """What is known of the job, as the contract wants it."""
        form = self.form
        speaker = self._speaker()
        metadata = tuple((note.key, note.value) for note in form.metadata)
        if speaker is None:
            phase = self.ended or JobPhase.QUEUED
            return TaskObservation(
                key=self.key,
                task_id=self.task_id(),
                native_state="TASK_KILLED" if self.ended is JobPhase.CANCELLED else WAITING,
                phase=phase,
                run=self.launch,
                changed_at=self.changed_at,
                queued_at=self.queued_at,
                message=self.kill or "" if phase.final else self.note,
                kill_seen=self.kill is not None,
                metadata=metadata,
            )
        phase = self.ended or min((m.phase for m in self.members), key=lambda one: (one.final, one.rank))
        nowhere = speaker.state in _NOWHERE and not speaker.begun
        started = [m.started_at for m in self.members if m.started_at is not None]
        return TaskObservation(
            key=self.key,
            task_id=self.members[0].task_id,
            native_state=speaker.state,
            phase=phase if self.ended or not phase.final else JobPhase.RUNNING,
            run=self.launch,
            changed_at=self.changed_at,
            queued_at=self.queued_at,
            started_at=max(started) if len(started) == len(self.members) else None,
            host="" if nowhere else self.members[0].host,
            agent_id="" if nowhere else self.members[0].agent_id,  # there is no sandbox
            message=self._told(speaker),
            kill_seen=speaker.killing,
            metadata=metadata,
            nodes=tuple(NodeTask(m.task_id, m.agent_id) for m in self.members) if len(form.tasks) > 1 else (),
        )

    def _told(self, member: Member) -> str:
        """What was said of a task; when one of several ended badly also of which node."""
        if len(self.members) == 1 or not member.message or member.phase not in _BAD_ENDS:
            return member.message
        return f"node {member.host}: {member.message}"

    def _speaker(self) -> Member | None:
        if not self.members:
            return None
        if self.first_end is not None:
            return self.members[self.first_end]
        return min(self.members, key=lambda member: member.phase.rank)

    def others_shall_end(self, now: float) -> bool:
        """Whether the tasks that are left of a gang are to be killed, since one has ended."""
        if self.first_end is None:
            return False
        cause = self.members[self.first_end] if self.members else None
        if cause is None or self.first_end == 0 or self.members[0].over or not cause.begun:
            return True
        told = cause.phase in (JobPhase.COMPLETED, JobPhase.FAILED)
        return not told or now - cause.changed_at >= FIRST_TASK_SECONDS

    def end_out_of_reach(self, member: Member) -> float | None:
        """When a task of a gang that cannot be reached will have ended by itself; None if nobody knows that.

        In seconds since the epoch. The first task ends after it has told the others, or waited in vain.
        """
        cause = self.members[self.first_end] if self.first_end is not None else None
        if cause is None or member.suspect_since is None or self.form.silence_seconds is None:
            return None
        since = max(member.suspect_since, cause.changed_at)
        if member is not self.members[0]:
            return since if self.members[0].over else None
        return since + self.form.silence_seconds + self.form.tasks[0].kill_grace_seconds

    # Changing

    def begin_launch(self, places: Sequence[tuple[str, str]], now: float) -> None:
        """The job is about to be launched on these agents (id and host), one for each of its tasks."""
        self.members = [
            Member(self.task_id(index), agent_id, host, changed_at=now)
            for index, (agent_id, host) in enumerate(places)
        ]
        self.first_end = None
        self.changed_at = now
        self.note = ""

    def undo_launch(self) -> None:
        """The launch was not sent, for sure: the job waits on, and the ids may be used again."""
        self.members = []

    def request_kill(self, message: str, now: float) -> bool:
        """The job shall end; False when that was known, or it is over."""
        if self.ended is not None or self.kill is not None:
            return False
        self.kill = message
        if not self.members:
            self.ended = JobPhase.CANCELLED
        self.changed_at = now
        return True

    def update(self, task_id: str, status: Mapping[str, Any], now: float) -> bool:
        """A status of Mesos about a task of the present launch; whether it changed anything.

        A late word about a task that is over changes nothing. A state that this release does not know changes
        nothing either.
        """
        member = self._member(task_id)
        state, reason = str(status.get("state", "")), str(status.get("reason", ""))
        if member is None or member.over or self.ended is not None or state not in MESOS_PHASES:
            return False
        answer = reason == "REASON_RECONCILIATION"
        phase = mesos_phase(state, reason)
        before = (member.state, member.phase, member.suspect_since is None)
        if phase is None:
            member.suspect_since = member.suspect_since or now
        else:
            member.suspect_since = None
            if phase.rank > member.phase.rank:
                member.phase = phase
        member.state = state
        if before == (member.state, member.phase, member.suspect_since is None):
            return False
        if not answer or not member.message:
            member.message, member.reason = _words(state, status), reason
        said_at = status.get("timestamp")
        # Clocks of agents may be wrong, but time does not go back within a job.
        at = max(float(said_at) if isinstance(said_at, (int, float)) else now, self.queued_at)
        at = min(at, max(now, self.queued_at))
        member.changed_at = at
        member.begun = member.begun or state in BEGUN or status.get("source") == "SOURCE_EXECUTOR"
        if state in RUNS and member.started_at is None:
            member.started_at = at
        if self.kill is not None and state in ("TASK_KILLING", "TASK_KILLED"):
            member.killing = True
        self.changed_at = max(at, self.changed_at)
        if member.over:
            self._member_over(member, now)
        return True

    def give_up(self, member: Member, why: str, now: float) -> None:
        """A task is taken for lost, since nothing was heard of it for too long."""
        if member.over:
            return
        member.phase, member.message, member.changed_at = JobPhase.LOST, why, now
        self.changed_at = now
        self._member_over(member, now)

    def _member(self, task_id: str) -> Member | None:
        return next((member for member in self.members if member.task_id == task_id), None)

    def _member_over(self, member: Member, now: float) -> None:
        if self.first_end is None:
            self.first_end = self.members.index(member)
        if all(one.over for one in self.members):
            first = self.members[0]
            if first.phase is JobPhase.LOST and first.begun and self.kill is None:
                self.first_end = 0  # the others ended since they heard nothing of it any more
            self._settle(self.members[self.first_end], now)

    def _settle(self, cause: Member, now: float) -> None:
        """All tasks are over: the job ends, or is launched again."""
        # Only these two say for sure that it did not run; of a task that went silent nobody knows.
        never_ran = cause.state in ("TASK_DROPPED", "TASK_GONE") and not cause.begun
        if self.kill is not None:
            if never_ran:
                cause.phase, cause.killing = JobPhase.CANCELLED, True
            self.ended = cause.phase
        elif never_ran and self.relaunches < MOST_RELAUNCHES and not self.taken_over:
            self.relaunches += 1
            # At once the first time: offers that were taken back in the meantime are no trouble at all.
            self._again(now, min(60.0, 0.5 * 2**self.relaunches) - 1.0, self._told(cause))
        elif cause.phase is JobPhase.FAILED and self._may_fail_again():
            self.failures += 1
            self.relaunches = 0
            self._again(now, 0.0, f"failed {self.failures} times: {self._told(cause)}")
        else:
            self.ended = cause.phase

    def _may_fail_again(self) -> bool:
        most = self.form.max_task_failures
        return most < 0 or self.failures + 1 < most

    def _again(self, now: float, pause: float, why: str) -> None:
        self.members = []
        self.first_end = None
        self.launch += 1
        self.queued_at = self.changed_at = max(now, self.queued_at + 0.001)
        self.not_before = now + max(0.0, pause)
        self.note = f"to be started again: {why}"

    # Keeping

    def state(self) -> str:
        """Everything but the form, as text."""
        kept = {name: getattr(self, name) for name in _KEPT}
        kept["members"] = [asdict(member) for member in self.members]
        return json.dumps(kept)

    @classmethod
    def restored(cls, form: MesosJob, state: str) -> TrackedJob:
        """The job as `state` wrote it. Raises ValueError for another text."""
        try:
            kept = json.loads(state)
            kept["members"] = [Member(**{**one, "phase": JobPhase(one["phase"])}) for one in kept["members"]]
            kept["ended"] = None if kept["ended"] is None else JobPhase(kept["ended"])
            return cls(JobKey(form.role, form.environment, form.name), form, **kept)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not the state of a job: {error}") from error


BEGUN = frozenset({"TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_FINISHED"})
_BAD_ENDS = frozenset({JobPhase.FAILED, JobPhase.LOST})
_NOWHERE = frozenset({"TASK_ERROR", "TASK_DROPPED", "TASK_GONE"})
RUNS = frozenset({"TASK_RUNNING", "TASK_KILLING", "TASK_FINISHED"})
_KEPT = (
    *("accepted_at", "queued_at", "launch", "relaunches", "failures", "not_before", "kill", "first_end"),
    *("ended", "changed_at", "note", "framework_id", "taken_over"),
)


def _words(state: str, status: Mapping[str, Any]) -> str:
    """What the status says, and who says it."""
    message = str(status.get("message") or "").strip()
    reason = str(status.get("reason") or "").removeprefix("REASON_").replace("_", " ").lower()
    source = MESOS_SOURCES.get(str(status.get("source")), "")
    if state in ("TASK_FINISHED", "TASK_RUNNING", "TASK_STARTING", "TASK_STAGING"):
        return message
    said = ": ".join(part for part in (reason, message) if part)
    return f"{state}: {said or 'without a reason'}{f' ({source} says so)' if source else ''}"
