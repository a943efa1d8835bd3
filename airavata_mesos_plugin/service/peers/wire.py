"""Records of the provider in the structs of its Thrift service."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from airavata_mesos_plugin.config import ProviderSettings, QueueSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    InvalidRequest,
    NotFound,
    Refused,
    UnsafePath,
)
from airavata_mesos_plugin.gen.provider import constants, ttypes
from airavata_mesos_plugin.jobs import JobEvent, JobPhase, JobRecord, Resources
from airavata_mesos_plugin.provider.core import FileChunk, OutputFile
from airavata_mesos_plugin.provider.files import DIRECTORY, SANDBOX
from airavata_mesos_plugin.provider.following import Followed, log_names
from airavata_mesos_plugin.provider.parts import ClusterView
from airavata_mesos_plugin.sandbox.source import Entry
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.states import AIRAVATA_STATES, SLURM_STATES

PHASES: Mapping[JobPhase, int] = {phase: ttypes.Phase._NAMES_TO_VALUES[phase.name] for phase in JobPhase}

_PLACES = {SANDBOX: ttypes.FilePlace.SANDBOX, DIRECTORY: ttypes.FilePlace.WORKING_DIRECTORY}

_ERRORS = (
    (InvalidRequest, ttypes.InvalidRequest),
    (UnsafePath, ttypes.InvalidRequest),
    (NotFound, ttypes.NotFound),
    (Refused, ttypes.Refused),
    (AiravataMesosError, ttypes.Failure),
)


def millis(seconds: float | None) -> int | None:
    """Milliseconds since the epoch; None stays None."""
    return None if seconds is None else round(seconds * 1000)


def error(cause: AiravataMesosError) -> ttypes.TException:
    """The exception of the service that says the same."""
    kind = next(thrift for ours, thrift in _ERRORS if isinstance(cause, ours))
    return kind(
        message=clean(cause.message),
        advice=clean(cause.advice),
        isTransient=cause.transient,
        outcomeUnknown=cause.outcome_unknown,
    )


def clean(text: str) -> str:
    """Text for people: bytes that are not UTF-8, which file names may hold, are shown as U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def job(record: JobRecord, events: Sequence[JobEvent] | None = None) -> ttypes.JobInfo:
    """A job; ``events`` are those to be sent with it."""
    request = record.request
    return ttypes.JobInfo(
        id=record.id,
        name=clean(request.name),
        user=request.user,
        queue=request.queue,
        cluster=record.cluster,
        phase=PHASES[record.phase],
        isFinal=record.phase.final,
        airavataState=AIRAVATA_STATES[record.phase],
        slurmState=SLURM_STATES[record.phase].word,
        nativeState=record.native_state,
        jobKey=str(record.key),
        run=record.run,
        host=record.host or None,
        nodes=request.nodes,
        nodeNames=list(record.node_names) or None,
        exitCode=record.exit_code,
        signalNumber=record.signal,
        reason=clean(record.reason or record.pending_reason) or None,
        workingDirectory=clean(request.working_directory),
        acceptedAt=millis(record.accepted_at),
        queuedAt=millis(record.queued_at),
        startedAt=millis(record.started_at),
        endedAt=millis(record.ended_at),
        changedAt=millis(record.changed_at),
        cancelRequestedAt=millis(record.cancel_requested_at),
        labels=dict(request.labels) or None,
        events=None if events is None else [_event(each) for each in events],
        standardOutput=os.fsencode(log_name(record, standard_error=False)),
        standardError=os.fsencode(log_name(record, standard_error=True)),
    )


def log_name(record: JobRecord, *, standard_error: bool) -> str:
    """The file of standard output or standard error, relative to the working directory."""
    return log_names(record)[standard_error]


def _event(event: JobEvent) -> ttypes.JobEvent:
    return ttypes.JobEvent(
        sequence=event.sequence,
        time=millis(event.time),
        phase=PHASES[event.phase],
        source=event.source,
        reason=clean(event.reason) or None,
        nativeState=event.native_state or None,
    )


def queue(settings: QueueSettings, everything: ProviderSettings) -> ttypes.Queue:
    """A queue with its limits."""
    return ttypes.Queue(
        name=settings.name,
        cluster=settings.cluster,
        isDefault=settings.name == everything.queue(None).name,
        maxWallTimeSeconds=settings.max_wall_time_minutes * 60,
        defaultWallTimeSeconds=settings.default_wall_time_minutes * 60,
        maxCpus=settings.max_cpus,
        maxMemoryMb=settings.max_memory_mb,
        defaultMemoryMbPerCpu=settings.default_memory_mb_per_cpu,
        diskMb=settings.disk_mb,
        maxNodes=settings.max_nodes,
    )


def cluster(name: str, kind: str, view: ClusterView) -> ttypes.Cluster:
    """A cluster as last seen."""
    return ttypes.Cluster(
        name=name,
        kind=kind,
        nodes=[_node(node) for node in view.nodes],
        answeredAt=millis(view.answered_at),
        trouble=clean(view.trouble) or None,
    )


def _node(node: Node) -> ttypes.Node:
    return ttypes.Node(host=node.name, total=_resources(node.total), used=_resources(node.used))


def _resources(amounts: Resources) -> ttypes.Resources:
    return ttypes.Resources(
        cpus=amounts.cpus, memoryMb=amounts.memory_mb, diskMb=amounts.disk_mb, gpus=amounts.gpus
    )


def output(file: OutputFile) -> ttypes.OutputFile:
    """A file of the working directory."""
    return ttypes.OutputFile(name=os.fsencode(file.name), size=file.size)


def chunk(piece: FileChunk, limit: int) -> ttypes.FileChunk:
    """A piece of a file, cut to ``limit`` bytes."""
    data = piece.data[:limit]
    cut = len(piece.data) - len(data)
    return ttypes.FileChunk(data=data, offset=piece.offset - cut, atEnd=piece.over and not cut)


def listing(
    place: str, entries: Iterable[Entry], left_out: Iterable[tuple[str, str]], after_name: bytes
) -> ttypes.FileListing:
    """Files of a job whose names come after the given one."""
    found = sorted(((os.fsencode(entry.name), entry) for entry in entries), key=lambda pair: pair[0])
    rest = [(name, entry) for name, entry in found if name > after_name]
    return ttypes.FileListing(
        place=_PLACES[place],
        entries=[_entry(name, entry) for name, entry in rest[: constants.MAX_FILES]],
        hasMore=len(rest) > constants.MAX_FILES,
        leftOut=[
            ttypes.LeftOutFile(name=os.fsencode(name), reason=clean(why))
            for name, why in left_out
            if os.fsencode(name) > after_name
        ][: constants.MAX_FILES],
    )


def _entry(name: bytes, entry: Entry) -> ttypes.FileEntry:
    return ttypes.FileEntry(
        name=name,
        kind=entry.kind,
        size=entry.size,
        modifiedAt=entry.mtime * 1000,
        mode=entry.mode,
        target=None if entry.target is None else os.fsencode(entry.target),
    )


def step(found: Followed) -> ttypes.FileStep:
    """What came next in a file."""
    return ttypes.FileStep(
        isAnew=found.anew,
        data=found.data,
        cursor=found.cursor.text(),
        atEnd=found.at_end,
        isOver=found.over,
        notes=[clean(note) for note in found.notes],
    )
