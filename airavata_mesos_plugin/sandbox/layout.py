"""Names in a sandbox that mean something to us or to Thermos, and those of files that a fetch needs."""

from __future__ import annotations

import hashlib
import os
import re

from airavata_mesos_plugin.sandbox_names import CONTROL_DIRECTORY as CONTROL_DIRECTORY
from airavata_mesos_plugin.sandbox_names import RESERVED
from airavata_mesos_plugin.sandbox_names import THERMOS_LOGS as THERMOS_LOGS

RESULT_FILE = f"{CONTROL_DIRECTORY}/result"

NODES = "nodes"
"""Directory in a working directory for the outputs of the nodes of a parallel job but the first one."""

DIGEST_FILE = f"{CONTROL_DIRECTORY}/inputs.sha256"
"""What the archive with the inputs says about itself."""

_MANIFEST = re.compile(r"\.airavata-manifest-([0-9]+)")
_PART = re.compile(r"\..+\.airavata-part-([0-9]+)", re.DOTALL)
_NAME_MAX = 255  # bytes; the limit of Linux file systems


def reserved(name: str) -> bool:
    """True for a relative name that is never an input or output: Thermos' files, ours, part files."""
    first = name.split("/", 1)[0]
    return first in RESERVED or _MANIFEST.fullmatch(first) is not None or part_owner(name) is not None


def manifest_name(job_id: int) -> str:
    """Where, in the working directory, the fetch of job ``job_id`` notes how far it came."""
    return f".airavata-manifest-{job_id}"


def part_name(base: str, job_id: int) -> str:
    """Name beside ``base`` under which job ``job_id`` writes the file until it is whole."""
    ending = f".airavata-part-{job_id}"
    name = f".{base}{ending}"
    if len(os.fsencode(name)) <= _NAME_MAX:
        return name
    # Two long names may begin alike, so what is cut off is replaced by a digest of the whole.
    return f".{hashlib.sha256(os.fsencode(base)).hexdigest()}{ending}"


def nodes_directory(job_id: int) -> str:
    """What stands for `NODES` when the job has something of its own with that name."""
    return f"{NODES}-{job_id}"


def fetch_number(job_id: int, node: int = 0) -> int:
    """What the fetch of a node's outputs is called in the names of manifest and part files: the first node's
    as the job, and no other one as any job.
    """
    return job_id + node * 10**14


def part_owner(name: str) -> int | None:
    """The job that a part file belongs to; None when ``name`` is no part file."""
    match = _PART.fullmatch(name.rsplit("/", 1)[-1])
    return int(match[1]) if match else None


def shared_result(job_id: int, attempt: int) -> str:
    """Where the same result lies in a working directory that the agents share: others may run there too."""
    return f"{CONTROL_DIRECTORY}/result-{job_id}-{attempt}"


def pushed_archive(job_id: int, attempt: int) -> str:
    """Where an archive with outputs lies that an agent sent, until the job has ended."""
    return f"{CONTROL_DIRECTORY}/outputs-{job_id}-{attempt}.tar"
