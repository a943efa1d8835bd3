"""How a job looks to SLURM's commands: letters, words, times, reasons. Pure functions of a record."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.slurm import values
from airavata_mesos_plugin.states import SLURM_STATES

STATE_WORDS: dict[str, str] = {
    "PENDING": "PD",
    "RUNNING": "R",
    "SUSPENDED": "S",
    "COMPLETED": "CD",
    "CANCELLED": "CA",
    "FAILED": "F",
    "TIMEOUT": "TO",
    "NODE_FAIL": "NF",
    "PREEMPTED": "PR",
    "BOOT_FAIL": "BF",
    "DEADLINE": "DL",
    "OUT_OF_MEMORY": "OOM",
    "COMPLETING": "CG",
    "CONFIGURING": "CF",
    "RESIZING": "RS",
    "RESV_DEL_HOLD": "RD",
    "REQUEUED": "RQ",
    "REQUEUE_FED": "RF",
    "REQUEUE_HOLD": "RH",
    "REVOKED": "RV",
    "SIGNALING": "SI",
    "SPECIAL_EXIT": "SE",
    "STAGE_OUT": "SO",
    "STOPPED": "ST",
}
"""Every state that squeue 22.05 knows, in the order of its own list."""

_NOT_PLACED = frozenset({"", "INIT", "PENDING", "THROTTLED"})

_REASONS: tuple[tuple[str, str], ...] = (
    ("Insufficient:", "Resources"),
    ("Constraint not satisfied", "BadConstraints"),
    ("Limit not satisfied", "BadConstraints"),
    ("Host is dedicated", "ReqNodeNotAvail"),
    ("Host drain", "ReqNodeNotAvail"),
    ("Host in maintenance", "ReqNodeNotAvail"),
)
"""Vetoes of Aurora 0.22 and SLURM's words for the same; the first that is found counts."""


class UnknownState(ValueError):
    """No state of SLURM has that name."""


def phases_of(name: str) -> frozenset[JobPhase]:
    """The phases behind a state's letters or word, in any case; none for states that never come up here.

    Raises UnknownState.
    """
    upper = name.upper()
    word = next((word for word, letters in STATE_WORDS.items() if upper in (word, letters)), None)
    if word is None:
        raise UnknownState(name)
    return frozenset(phase for phase, state in SLURM_STATES.items() if state.word == word)


def letters(job: JobRecord) -> str:
    """The ST column."""
    return SLURM_STATES[job.phase].letters


def word(job: JobRecord) -> str:
    """The state in full, without more."""
    return SLURM_STATES[job.phase].word


def accounting_state(job: JobRecord) -> str:
    """The state as sacct writes it: a cancelled job names the user id of whoever cancelled it."""
    if job.phase is JobPhase.CANCELLED:
        return f"CANCELLED by {_canceller(job)}"
    return word(job)


def _canceller(job: JobRecord) -> int:
    by = job.cancel_requested_by
    if by.isascii() and by.isdigit():
        return int(by)
    if not by or by == job.request.user:
        return job.request.uid
    try:
        return pwd.getpwnam(by).pw_uid
    except KeyError:
        return job.request.uid


def reason(job: JobRecord) -> str:
    """Why a job waits or how it ended, in one word without blanks: Airavata splits the line at blanks."""
    if job.phase is JobPhase.QUEUED:
        return _pending_reason(job)
    if job.phase is JobPhase.FAILED:
        return "NonZeroExitCode" if job.exit_code else "JobLaunchFailure"
    if job.phase is JobPhase.TIMEOUT:
        return "TimeLimit"
    return "None"


def _pending_reason(job: JobRecord) -> str:
    if job.native_state not in _NOT_PLACED:
        return "None"  # it has a host and is about to start
    text = job.pending_reason
    if not text:
        return "Resources"
    for veto, slurm in _REASONS:
        if veto in text:
            return slurm
    return "_".join(text.split())


def place(job: JobRecord) -> str:
    """The last column of squeue: hosts, or the reason in parentheses."""
    if job.phase in (JobPhase.FAILED, JobPhase.TIMEOUT) or word(job) == "PENDING":
        return f"({reason(job)})"
    return job.host


def run_time(job: JobRecord, now: float) -> float:
    """Seconds that the task has run, up to its end; 0 when it never started."""
    if job.started_at is None:
        return 0.0
    return max(0.0, (now if job.ended_at is None and not job.phase.final else end(job)) - job.started_at)


def end(job: JobRecord) -> float:
    """When the job ended; only for jobs that did."""
    return job.changed_at if job.ended_at is None else job.ended_at


def limit(job: JobRecord) -> str:
    """The wall time."""
    return values.duration(job.request.wall_time_seconds)


def cpus(job: JobRecord) -> str:
    """CPUs of the job."""
    return f"{job.request.resources.cpus:g}"


def exit_code(job: JobRecord) -> str:
    """``code:signal`` as sacct 22.05 shows it.

    It takes 128 off codes of 128 and more, and shows nothing of cancelled and timed-out jobs.
    """
    if job.phase is not JobPhase.FAILED:
        return "0:0"
    if job.signal:
        return f"0:{job.signal}"
    code = job.exit_code or 0
    return f"{code - 128 if code >= 128 else code}:0"


def zone(environ: Mapping[str, str]) -> tzinfo | None:
    """The caller's time zone by its TZ variable; None is this machine's own."""
    name = environ.get("TZ", "").removeprefix(":")
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def date(seconds: float, place: tzinfo | None = None) -> str:
    """A date as SLURM writes it, in local time."""
    return datetime.fromtimestamp(seconds, place).strftime("%Y-%m-%dT%H:%M:%S")
