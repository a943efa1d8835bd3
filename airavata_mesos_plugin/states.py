"""Every state table: native states to job phases, and job phases to the words of Airavata and SLURM.

Tables are complete by test, and no look-up has a default: a state that nobody thought of is an error
that is seen, not a wrong word that is believed.

Sources: Aurora 0.22 ``ScheduleStatus``; Mesos 1.11 ``TaskState`` and ``TaskStatus.Reason``; Airavata develop
``JobState`` and the letter table of its SLURM parser; SLURM 22.05 state names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from airavata_mesos_plugin.jobs import JobPhase

AURORA_PHASES: dict[str, JobPhase] = {
    "INIT": JobPhase.QUEUED,
    "THROTTLED": JobPhase.QUEUED,
    "PENDING": JobPhase.QUEUED,
    "ASSIGNED": JobPhase.QUEUED,
    "STARTING": JobPhase.QUEUED,
    "RUNNING": JobPhase.RUNNING,
    "PREEMPTING": JobPhase.RUNNING,
    "RESTARTING": JobPhase.RUNNING,
    "DRAINING": JobPhase.RUNNING,
    "KILLING": JobPhase.RUNNING,
    "PARTITIONED": JobPhase.RUNNING,
    "FINISHED": JobPhase.COMPLETED,
    "FAILED": JobPhase.FAILED,
    "KILLED": JobPhase.CANCELLED,
    "LOST": JobPhase.LOST,
}
"""Aurora's task states. A final phase here is what the end looks like before `settle` has judged it."""


MESOS_PHASES: dict[str, JobPhase | None] = {
    "TASK_STAGING": JobPhase.QUEUED,
    "TASK_STARTING": JobPhase.QUEUED,
    "TASK_RUNNING": JobPhase.RUNNING,
    "TASK_KILLING": JobPhase.RUNNING,
    "TASK_FINISHED": JobPhase.COMPLETED,
    "TASK_FAILED": JobPhase.FAILED,
    "TASK_KILLED": JobPhase.CANCELLED,
    "TASK_ERROR": JobPhase.FAILED,
    "TASK_DROPPED": JobPhase.LOST,
    "TASK_GONE": JobPhase.LOST,
    "TASK_GONE_BY_OPERATOR": JobPhase.LOST,
    "TASK_LOST": None,
    "TASK_UNREACHABLE": None,
    "TASK_UNKNOWN": None,
}
"""Mesos' task states. None: nothing is known now, the task may come back, and its job stays where it was.

TASK_LOST is one of these: it is what masters of old, and the odd case of today, call a task that may come
back.
"""


class Blame(Enum):
    """What a reason of Mesos puts the end of a task down to."""

    JOB = "job"
    REQUEST = "request"  # it can never run as it was described
    NODE = "node"  # the job did nothing wrong, and may do better elsewhere
    NOBODY = "nobody"  # no reason for an end


MESOS_REASONS: dict[str, Blame] = {
    "REASON_COMMAND_EXECUTOR_FAILED": Blame.JOB,
    "REASON_CONTAINER_LAUNCH_FAILED": Blame.JOB,  # an image or a file that cannot be fetched
    "REASON_CONTAINER_LIMITATION": Blame.JOB,
    "REASON_CONTAINER_LIMITATION_DISK": Blame.JOB,
    "REASON_CONTAINER_LIMITATION_MEMORY": Blame.JOB,
    "REASON_MAX_COMPLETION_TIME_REACHED": Blame.JOB,
    "REASON_INVALID_FRAMEWORKID": Blame.REQUEST,
    "REASON_TASK_GROUP_INVALID": Blame.REQUEST,
    "REASON_TASK_GROUP_UNAUTHORIZED": Blame.REQUEST,
    "REASON_TASK_INVALID": Blame.REQUEST,
    "REASON_TASK_UNAUTHORIZED": Blame.REQUEST,
    "REASON_AGENT_DISCONNECTED": Blame.NODE,
    "REASON_AGENT_DRAINING": Blame.NODE,
    "REASON_AGENT_REMOVED": Blame.NODE,
    "REASON_AGENT_REMOVED_BY_OPERATOR": Blame.NODE,
    "REASON_AGENT_RESTARTED": Blame.NODE,
    "REASON_AGENT_UNKNOWN": Blame.NODE,
    "REASON_CONTAINER_PREEMPTED": Blame.NODE,
    "REASON_CONTAINER_UPDATE_FAILED": Blame.NODE,
    "REASON_EXECUTOR_REGISTRATION_TIMEOUT": Blame.NODE,
    "REASON_EXECUTOR_REREGISTRATION_TIMEOUT": Blame.NODE,
    "REASON_EXECUTOR_TERMINATED": Blame.NODE,
    "REASON_EXECUTOR_UNREGISTERED": Blame.NODE,
    "REASON_FRAMEWORK_REMOVED": Blame.NODE,
    "REASON_GC_ERROR": Blame.NODE,
    "REASON_INVALID_OFFERS": Blame.NODE,
    "REASON_IO_SWITCHBOARD_EXITED": Blame.NODE,
    "REASON_MASTER_DISCONNECTED": Blame.NODE,
    "REASON_RESOURCES_UNKNOWN": Blame.NODE,
    "REASON_AGENT_REREGISTERED": Blame.NOBODY,
    "REASON_RECONCILIATION": Blame.NOBODY,
    "REASON_TASK_CHECK_STATUS_UPDATED": Blame.NOBODY,
    "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED": Blame.NOBODY,
    "REASON_TASK_KILLED_DURING_LAUNCH": Blame.NOBODY,
    "REASON_TASK_UNKNOWN": Blame.NOBODY,
}
"""Mesos' reasons, by their names of the v1 API. Releases to come may have others, which count as none."""

MESOS_SOURCES = {
    "SOURCE_MASTER": "the master",
    "SOURCE_AGENT": "the agent",
    "SOURCE_EXECUTOR": "the executor",
}
"""Who says so, in messages."""


def mesos_phase(state: str, reason: str) -> JobPhase | None:
    """The phase that a task of Mesos is in; None when its state says nothing about that.

    A task that its agent or its executor brought down, or that an operator drained away, is lost and has not
    failed. Raises KeyError for a state that is not in the table.
    """
    phase = MESOS_PHASES[state]
    ended_early = phase in (JobPhase.FAILED, JobPhase.CANCELLED)
    return JobPhase.LOST if ended_early and MESOS_REASONS.get(reason) is Blame.NODE else phase


@dataclass(frozen=True)
class SlurmState:
    """How SLURM's commands name a state."""

    letters: str  # squeue's ST column
    word: str  # squeue -t, sacct, scontrol


SLURM_STATES: dict[JobPhase, SlurmState] = {
    JobPhase.ACCEPTED: SlurmState("PD", "PENDING"),
    JobPhase.SUBMITTING: SlurmState("PD", "PENDING"),
    JobPhase.QUEUED: SlurmState("PD", "PENDING"),
    JobPhase.RUNNING: SlurmState("R", "RUNNING"),
    # Airavata takes CG for the end of the job, so a fetch under way still counts as running.
    JobPhase.FETCHING: SlurmState("R", "RUNNING"),
    JobPhase.COMPLETED: SlurmState("CD", "COMPLETED"),
    JobPhase.FAILED: SlurmState("F", "FAILED"),
    JobPhase.TIMEOUT: SlurmState("TO", "TIMEOUT"),
    JobPhase.CANCELLED: SlurmState("CA", "CANCELLED"),
    JobPhase.LOST: SlurmState("NF", "NODE_FAIL"),
}

AIRAVATA_STATES: dict[JobPhase, str] = {
    JobPhase.ACCEPTED: "SUBMITTED",
    JobPhase.SUBMITTING: "SUBMITTED",
    JobPhase.QUEUED: "QUEUED",
    JobPhase.RUNNING: "ACTIVE",
    JobPhase.FETCHING: "ACTIVE",
    JobPhase.COMPLETED: "COMPLETE",
    JobPhase.FAILED: "FAILED",
    JobPhase.TIMEOUT: "FAILED",
    JobPhase.CANCELLED: "CANCELED",
    JobPhase.LOST: "FAILED",
}
"""Airavata's ``JobState`` names, without SUSPENDED and UNKNOWN: Airavata accepts nothing after them."""


def may_follow(run: int, phase: JobPhase, next_run: int, next_phase: JobPhase) -> bool:
    """Whether a job at ``phase`` of its ``run`` may move to ``next_phase`` of ``next_run``.

    Within a run phases only go forward. A later run, which the scheduler started because it lost the
    earlier one, may begin again at QUEUED. Nothing follows a final phase.
    """
    if phase.final or next_run < run:
        return False
    if next_run > run:
        return next_phase.rank >= JobPhase.QUEUED.rank
    return next_phase.rank > phase.rank


def may_requeue(phase: JobPhase) -> bool:
    """Whether a new attempt may begin, which is the one way back to ACCEPTED.

    The attempt before must have ended: nothing may run twice at the same time.
    """
    return phase.final or phase is JobPhase.FETCHING


def settle(ending: JobPhase, *, exit_code: int | None, timed_out: bool, killed_by_us: bool) -> JobPhase:
    """The final phase of a job whose task ended as ``ending`` says.

    ``timed_out`` and ``exit_code`` come from the wrapper that ran the script; ``killed_by_us`` means that
    a cancel was asked for and reached the task. As in SLURM 22.05, a cancelled or timed-out script that
    manages to exit with 0 is still cancelled or timed out.
    """
    if not ending.final:
        raise ValueError(f"{ending} is not an end")
    if killed_by_us:
        return JobPhase.CANCELLED
    if timed_out:
        return JobPhase.TIMEOUT
    if ending is JobPhase.CANCELLED:  # killed, and nobody here asked for it
        return JobPhase.FAILED
    if ending is JobPhase.COMPLETED and exit_code not in (None, 0):
        return JobPhase.FAILED
    return ending
