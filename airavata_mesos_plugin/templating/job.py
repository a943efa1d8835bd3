"""What the template of a job configuration gets to know of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airavata_mesos_plugin.config import ClusterSettings, QueueSettings
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.job_metadata import metadata_of
from airavata_mesos_plugin.jobs import JobRecord

FINALIZATION_MARGIN_SECONDS = 10
"""What the wrapper may need beyond the grace time until it has written the result."""

_MEBIBYTE = 1 << 20
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


@dataclass(frozen=True)
class InputUri:
    """A file that Mesos itself puts into the sandbox before the task starts."""

    value: str
    output_file: str | None = None  # its name there; None: the last part of the address
    extract: bool = False
    cache: bool = False  # keep it on the agent: only for what never changes under this address


@dataclass(frozen=True)
class StageIn:
    """How the inputs come into the sandbox."""

    method: str  # the template is aurora/stage_in_<method>.sh.j2
    url: str  # signed address of the job's archive
    uris: tuple[InputUri, ...] = ()


@dataclass(frozen=True)
class JobContext:
    """The names that a job template may use."""

    cluster: str
    role: str
    environment: str
    name: str
    tier: str
    priority: int
    max_task_failures: int
    constraints: Mapping[str, str]
    metadata: Mapping[str, str]
    cpus: float
    ram_bytes: int
    disk_bytes: int
    gpus: int
    finalization_wait: int  # seconds
    inputs_url: str
    inputs_method: str = "http"
    inputs_uris: tuple[InputUri, ...] = ()
    push_url: str = ""  # where the task sends its outputs at its end; empty when they are fetched
    push_seconds: int = 0
    values: Mapping[str, object] = field(default_factory=dict)  # of the queue
    aurora: Mapping[str, object] = field(default_factory=dict)  # go over what the template makes
    mesos: Mapping[str, object] = field(default_factory=dict)  # as aurora, for the kind mesos
    nodes: int = 1
    silence_seconds: int = 60  # a node of several that hears so long of no other one ends


def job_context(
    record: JobRecord,
    queue: QueueSettings,
    cluster: ClusterSettings,
    inputs: StageIn,
    provider: str = "",
    ledger: str = "",
    push_url: str = "",
) -> JobContext:
    """What the job template needs; ``provider``, the name of this resource, and ``ledger``, the word of the
    ledger, go into the metadata, with what `provider.rebuilding` needs to know the job again.

    Raises ConfigurationError for an address that could not stand in a command line.
    """
    # Thermos takes two opening braces anywhere in a task for a variable of its own.
    for url in (inputs.url, push_url) if push_url else (inputs.url,):
        if not _URL.fullmatch(url):
            raise ConfigurationError(
                f"the address {url!r} for agents is not a plain URL", advice="check staging.advertise"
            )
    request = record.request
    return JobContext(
        cluster=cluster.name,
        role=record.key.role,
        environment=record.key.environment,
        name=record.key.name,
        tier=queue.tier,
        priority=queue.priority,
        max_task_failures=queue.max_task_failures,
        constraints={**dict(request.constraints), **queue.constraints},
        metadata=metadata_of(record, provider, ledger),
        cpus=request.resources.cpus,
        ram_bytes=request.resources.memory_mb * _MEBIBYTE,
        disk_bytes=request.resources.disk_mb * _MEBIBYTE,
        gpus=request.resources.gpus,
        finalization_wait=queue.kill_grace_seconds
        + FINALIZATION_MARGIN_SECONDS
        + (queue.outputs.push_seconds if push_url else 0),
        inputs_url=inputs.url,
        inputs_method=inputs.method,
        inputs_uris=inputs.uris,
        push_url=push_url,
        push_seconds=queue.outputs.push_seconds,
        values=dict(queue.values),
        aurora=dict(queue.aurora),
        mesos=dict(queue.mesos),
        nodes=request.nodes,
        silence_seconds=queue.silence_seconds,
    )
