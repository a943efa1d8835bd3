"""What can still be seen of a job whose ledger was lost: whether its outputs came, and which nodes it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, SandboxGone
from airavata_mesos_plugin.filenames import NULL_DEVICE
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.parallel.gang import NODES
from airavata_mesos_plugin.provider.following import log_names
from airavata_mesos_plugin.provider.gang_nodes import node_of
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.sources import FILES_API
from airavata_mesos_plugin.schedulers.base import SandboxAddress, TaskObservation
from airavata_mesos_plugin.store.gangs import GangNode

_LARGEST = 4 * 1024 * 1024  # bytes of a list of nodes


def to_be_fetched(parts: Parts, record: JobRecord, task: TaskObservation, snapshot: str) -> bool:
    """Whether the outputs of a job, of which this provider knew that it is over, are still to be fetched.

    They are not when its standard output, which comes in any case, is in the working directory, of which
    ``snapshot`` was made just now, and no fetch was broken off: files may have been changed since. They
    cannot be any more when its sandbox is gone.
    """
    stdout, _ = log_names(record)
    begun_at = int(task.queued_at or 0)  # agents tell whole seconds
    arrived = any(
        file.name == stdout or stdout == NULL_DEVICE
        for file in Snapshot.from_json(snapshot).files
        if file.mtime_ns >= begun_at * 10**9
    )
    if arrived and not _broken_off(parts, record):
        return False
    if parts.outputs_of(record.request.queue).method != FILES_API:
        return False  # there is nothing to look at
    try:
        address = _address(parts, record, task)
        parts.files.browse(address)
    except SandboxGone:
        return False
    except AiravataMesosError:
        return True  # the fetch will be tried again and again
    return True


def nodes_of(parts: Parts, record: JobRecord, task: TaskObservation) -> tuple[GangNode, ...] | None:
    """The nodes of a job over several as its first one has noted them; None when they have not all been
    there, or that cannot be found out.
    """
    name = f"{layout.CONTROL_DIRECTORY}/{NODES}"
    data = b""
    try:
        address = _address(parts, record, task)
        while len(data) <= _LARGEST and (piece := parts.files.read(address, name, len(data), _LARGEST)):
            data += piece
        return _noted(json.loads(data), record.request.nodes)
    except (AiravataMesosError, ValueError, RecursionError):
        return None


def _noted(content: object, number: int) -> tuple[GangNode, ...] | None:
    """The job could have written the file, so it is not believed to be anything but a list of all nodes."""
    if not isinstance(content, list) or len(content) != number:
        raise InvalidRequest("not the list of this job's nodes")
    found = []
    for place, item in enumerate(content):
        if not isinstance(item, Mapping) or item.get("number") != place:
            raise InvalidRequest("not the list of this job's nodes")
        found.append(replace(node_of(place, {**item, "run": "0"}), run=""))  # a node does not note starts
    return tuple(found)


def _broken_off(parts: Parts, record: JobRecord) -> bool:
    request = record.request
    try:
        files = parts.files_of(request.uid)
        files.read_local(request.working_directory, layout.manifest_name(record.id), 0, 1)
    except (OSError, AiravataMesosError):
        return False
    return True


def _address(parts: Parts, record: JobRecord, task: TaskObservation) -> SandboxAddress:
    address = parts.schedulers[record.cluster].sandboxes([task]).get(record.key)
    if address is None:
        raise SandboxGone(f"job {record.id} has no sandbox on {record.cluster}")
    return address
