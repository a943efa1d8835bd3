"""Airavata's own status announcements inside a job script.

Airavata develop with the realtime monitor writes two ``curl`` calls into the script: RUNNING as the
first command after the change of directory, COMPLETED as the last one. They would announce the end of
the job before its outputs have arrived, and hide its exit status. Here they become comments, and what
they say is kept for whoever announces the states instead.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class StatusPosting:
    """One announcement: to which address, of which job and task, and which status."""

    endpoint: str
    job_name: str
    task_id: str
    status: str


class SilencedScript(NamedTuple):
    """A script without announcements, and the announcements in their order."""

    script: str
    postings: tuple[StatusPosting, ...]


_COMMENT = "# The compute resource announces the status of this job."
_LINE = re.compile(
    r"""^[ \t]*curl[ ]-X[ ]POST
        [ ]-H[ ]"Content-Type:[ ]application/vnd\.kafka\.json\.v2\+json"
        [ ]-H[ ]"Accept:[ ]application/vnd\.kafka\.v2\+json"
        [ ]--data[ ]'(?P<body>\{"records":[^\n]*\})'
        [ ](?P<quote>"?)(?P<endpoint>[^\s"']+)(?P=quote)
        [ ]>[ ]/dev/null[ ]\|\|[ ]true[ \t]*$""",
    re.MULTILINE | re.VERBOSE,
)


def silence(script: str) -> SilencedScript:
    """Take Airavata's announcements out of ``script``; any other line stays as it is.

    The number of lines stays the same. A repeat finds nothing.
    """
    postings: list[StatusPosting] = []

    def replace(match: re.Match[str]) -> str:
        posting = _posting(match["body"], match["endpoint"])
        if posting is None:
            return match[0]
        postings.append(posting)
        return _COMMENT

    return SilencedScript(_LINE.sub(replace, script), tuple(postings))


def _posting(body: str, endpoint: str) -> StatusPosting | None:
    """What an announcement says; None if it only looks like one."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    match document:
        case {"records": [{"value": {"jobName": str(name), "status": str(status), "task": str(task)}}]}:
            if status in ("RUNNING", "COMPLETED"):
                return StatusPosting(endpoint, name, task, status)
    return None
