"""How a job looks to SLURM's commands: letters, words, times, reasons. Pure functions of a record."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.eligibility import HELD, NEVER
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
        return "CANCELLED" if job.reason == NEVER else f"CANCELLED by {canceller(job)}"
    return word(job)


def canceller(job: JobRecord) -> int:
    """The user id of whoever cancelled the job."""
    if job.cancel_requested_uid is not None:
        return job.cancel_requested_uid
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
    if job.held is not None and not job.phase.final:
        return HELD[job.held]
    if job.phase is JobPhase.ACCEPTED:
        return job.wait_reason or "None"
    if job.phase is JobPhase.QUEUED:
        return _pending_reason(job)
    if job.phase is JobPhase.FAILED:
        return "NonZeroExitCode" if job.exit_code and not job.signal else "JobLaunchFailure"
    if job.phase is JobPhase.LOST:
        return "NodeDown"
    if job.phase is JobPhase.CANCELLED and job.reason == NEVER:
        return NEVER
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
    return job.shown_nodes


def run_time(job: JobRecord, now: float) -> float:
    """Seconds that the task has run, up to its end; 0 when it never started."""
    if job.started_at is None:
        return 0.0
    return max(0.0, (now if run_time_grows(job) else end(job)) - job.started_at)


def run_time_grows(job: JobRecord) -> bool:
    """True when the task has started and not ended."""
    return job.started_at is not None and job.ended_at is None and not job.phase.final


def end(job: JobRecord) -> float:
    """When the job ended; only for jobs that did."""
    return job.changed_at if job.ended_at is None else job.ended_at


def limit(job: JobRecord) -> str:
    """The wall time."""
    return values.duration(job.request.wall_time_seconds)


def cpus(job: JobRecord) -> str:
    """CPUs of the job."""
    return f"{job.request.all_resources.cpus:g}"


def exit_code(job: JobRecord) -> str:
    """``code:signal`` as sacct 22.05 shows it for the job.

    It takes 128 off codes of 128 and more, and shows nothing of cancelled and timed-out jobs.
    """
    return "0:0" if job.phase is not JobPhase.FAILED else batch_exit_code(job)


def batch_exit_code(job: JobRecord) -> str:
    """``code:signal`` as sacct 22.05 shows it for the script of a job; a hang-up counts as code 1 there."""
    if job.signal:
        return "1:0" if job.signal == 1 else f"0:{job.signal}"
    code = job.exit_code or 0
    return f"{code - 128 if code >= 128 else code}:0"


def plain_exit_code(job: JobRecord) -> str:
    """``code:signal`` as scontrol 22.05 shows it: just as it was."""
    return f"0:{job.signal}" if job.signal else f"{job.exit_code or 0}:0"


def batch_state(job: JobRecord) -> str:
    """The state of the script of a job that has started."""
    if not job.phase.final:
        return word(job)
    if job.phase is JobPhase.LOST or job.signal:
        return "CANCELLED"
    return "FAILED" if job.exit_code else "COMPLETED"


def exit_of(job: JobRecord) -> int:
    """The exit code of a command that waited for the job."""
    if job.exit_code is not None:
        return job.exit_code
    return 0 if job.phase is JobPhase.COMPLETED else 1


def wait_status(job: JobRecord) -> int:
    """The end of the script in the form of wait(2)."""
    return job.signal if job.signal else (job.exit_code or 0) << 8


def label(job: JobRecord) -> str:
    """How the job is called: its id, or the array's id and the index."""
    return str(job.id) if job.array_id is None else f"{job.array_id}_{job.array_index}"


def submit_time(job: JobRecord) -> float:
    """When the present attempt was submitted."""
    return job.accepted_at if job.submitted_at is None else job.submitted_at


def eligible_time(job: JobRecord) -> float | None:
    """When nothing kept the job back any more; None when that is not so."""
    if job.eligible_at is not None:
        return job.eligible_at
    return submit_time(job) if not job.wait_reason else None


def zone(environ: Mapping[str, str]) -> tzinfo | None:
    """The caller's time zone by its TZ variable; None is this machine's own."""
    name = environ.get("TZ", "").removeprefix(":")
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"


def date(seconds: float, place: tzinfo | None = None, form: str = DATE_FORMAT) -> str:
    """A date as SLURM writes it, in local time."""
    return datetime.fromtimestamp(seconds, place).strftime(form)


def date_format(environ: Mapping[str, str]) -> str:
    """The form of dates that the caller wants by SLURM_TIME_FORMAT."""
    text = environ.get("SLURM_TIME_FORMAT", "standard")
    if text in ("", "standard", "relative") or "%" not in text:
        return DATE_FORMAT
    # A date is one word on one line, and strftime raises on what it does not know on some systems.
    return text if len(text) <= 100 and text.isprintable() and text.isascii() else DATE_FORMAT


@lru_cache(maxsize=1024)
def group(uid: int, gid: int | None) -> tuple[int, str]:
    """Number and name of the group of an account."""
    try:
        number = pwd.getpwuid(uid).pw_gid if gid is None else gid
    except KeyError:
        return uid, str(uid)
    try:
        return number, grp.getgrgid(number).gr_name
    except KeyError:
        return number, str(number)
