"""Subjects of SLURM's mails, which is all that Airavata's mail monitor reads.

Sources: SLURM 22.05 for the words; Airavata 0.17 and develop ``SLURMEmailParser`` for what may stand there.
It wants capitals before ``Job_id``, and takes any mail of a job that it cannot make sense of for the state
UNKNOWN, after which it accepts nothing. So there is no mail for Requeued and for parts of the time limit.
"""

from __future__ import annotations

from airavata_mesos_plugin.airavata.publishers.announcements import (
    ACTIVE,
    NON_CRITICAL_FAIL,
    QUEUED,
    Announcement,
)
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.states import SLURM_STATES

KINDS = {
    ACTIVE: "BEGIN",
    NON_CRITICAL_FAIL: "FAIL",
    "COMPLETE": "END",
    "CANCELED": "END",
    "FAILED": "FAIL",
}
"""Which ``--mail-type`` asks for the mail of a state. As in SLURM, END does not ask for failures."""


def subject(record: JobRecord, announcement: Announcement) -> str | None:
    """The subject that tells a state; None for QUEUED, which no subject can tell."""
    if announcement.state == QUEUED:
        return None
    return f"SLURM {_who(record)} {_what(record, announcement)}"


def _who(record: JobRecord) -> str:
    name = "".join(c if c.isprintable() else "?" for c in record.request.name)
    if record.array_id is not None:
        return f"Array Task Job_id={record.array_id}_{record.array_index} ({record.id}) Name={name}"
    return f"Job_id={record.id} Name={name}"


def _what(record: JobRecord, announcement: Announcement) -> str:
    seconds = announcement.event.time - announcement.since
    if announcement.state == ACTIVE:
        return f"Began, Queued time {_clock(seconds)}"
    if announcement.state == NON_CRITICAL_FAIL:
        return f"Failed, Run time {_clock(seconds)}, NODE_FAIL, ExitCode 0"
    phase = announcement.phase
    current = record.phase is phase  # otherwise somebody has started the job again since
    if not current or record.started_at is None or record.ended_at is None:
        seconds = 0.0
    else:
        seconds = record.ended_at - record.started_at
    word = "Ended" if phase in (JobPhase.COMPLETED, JobPhase.CANCELLED) else "Failed"
    # NODE_FAIL would be read as a failure after which the job goes on.
    state = "FAILED" if phase is JobPhase.LOST else SLURM_STATES[phase].word
    code = "0"
    if phase in (JobPhase.FAILED, JobPhase.LOST):
        told = current and record.exit_code is not None and record.signal is None
        code = str(record.exit_code) if told else ""
    return f"{word}, Run time {_clock(seconds)}, {state}" + (f", ExitCode {code}" if code else "")


def _clock(seconds: float) -> str:
    """A time as in SLURM's mails: ``00:00:09``, ``1-00:00:00``."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text
