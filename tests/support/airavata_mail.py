"""How Airavata reads the subjects of SLURM's mails (``SLURMEmailParser`` of 0.17 and develop)."""

from __future__ import annotations

import re
from typing import NamedTuple

PATTERN = (
    r"[A-Z]*\s[a-zA-Z]*_[a-z]*=(?P<jobId>\d*)[ ]*[a-zA-Z]*=(?P<jobName>[a-zA-Z0-9-]*)"
    r"[ ]*(?P<status>[]a-zA-Z ]*),.*"
)


class Told(NamedTuple):
    """What Airavata takes from a mail."""

    job_id: str
    job_name: str
    state: str


def read(subject: str) -> Told | None:
    """None when the subject is none of a SLURM mail. It must match as a whole, not only somewhere."""
    found = re.fullmatch(PATTERN, subject)
    if found is None:
        return None
    return Told(found["jobId"], found["jobName"], _state(found["status"], subject))


def _state(status: str, subject: str) -> str:
    if status in ("Began", "Staged Out"):
        return "ACTIVE"
    if status == "Ended":
        return "CANCELED" if "CANCELLED" in subject else "COMPLETE"
    if status == "Failed":
        return "NON_CRITICAL_FAIL" if "NODE_FAIL" in subject else "FAILED"
    return "UNKNOWN"
