"""What the wrapper, which runs the job's script in its sandbox, gets to know of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from airavata_mesos_plugin.config import ProviderSettings, QueueSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.filenames import confined_parts
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.templating.environment import slurm_environment

_TOKEN = re.compile(r"[A-Za-z0-9@_\-]{8,}")


@dataclass(frozen=True)
class WrapperContext:
    """The names that the wrapper template may use. Names of files are cut where the host name goes."""

    job_id: int
    token: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...]
    stdout_parts: tuple[str, ...]
    stderr_parts: tuple[str, ...] | None  # None: into the same file as stdout
    stdin_parts: tuple[str, ...]
    append: bool  # do not empty the output files at the start
    umask: str  # octal; empty for the node's own
    limit_centiseconds: int
    grace_centiseconds: int
    shared_directory: str = ""  # where the job runs; empty for the sandbox
    attempt: int = 1


def wrapper_context(
    record: JobRecord, queue: QueueSettings, settings: ProviderSettings, token: str
) -> WrapperContext:
    """What the wrapper template needs; ``token`` stands in the script for the sandbox directory.

    Raises ValueError for a token that is not made of letters, digits, ``@``, ``_`` and ``-``, and
    InvalidRequest if an output file would lie outside of the working directory, if a value cannot be
    handed to a process, or if more nodes were asked for than the queue gives.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"not a token: {token!r}")
    request = record.request
    if request.nodes > queue.max_nodes:
        raise InvalidRequest(
            f"job {record.id}: {request.nodes} nodes were asked for, of which the queue {queue.name} gives a"
            f" job {queue.max_nodes}",
            advice="ask for fewer nodes",
        )
    environment = slurm_environment(record, settings.name)
    for what, value in (*environment.items(), *(("argument", text) for text in request.script_arguments)):
        if "\0" in value:
            raise InvalidRequest(f"job {record.id}: {what} holds a NUL character", advice="remove it")
    return WrapperContext(
        job_id=record.id,
        token=token,
        environment=environment,
        arguments=request.script_arguments,
        stdout_parts=confined_parts(request.stdout, record, "--output"),
        stderr_parts=None if request.stderr is None else confined_parts(request.stderr, record, "--error"),
        stdin_parts=confined_parts(request.stdin, record, "--input"),
        append=request.append_output,
        umask="" if request.umask is None else f"{request.umask & 0o777:04o}",
        limit_centiseconds=request.wall_time_seconds * 100,
        grace_centiseconds=queue.kill_grace_seconds * 100,
        shared_directory=queue.inputs.on_agents(request.working_directory)
        if queue.inputs.method == "shared"
        else "",
        attempt=record.attempt,
    )
