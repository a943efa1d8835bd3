"""Thrift messages as bytes, in the two protocols that Aurora speaks (0.22; binary since 0.16.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocolAcceleratedFactory
from thrift.protocol.TJSONProtocol import TJSONProtocolFactory
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, ProtocolError, ServerFault
from airavata_mesos_plugin.gen.aurora import AuroraAdmin, AuroraSchedulerManager, ReadOnlyScheduler
from airavata_mesos_plugin.schedulers.aurora import legacy


@dataclass(frozen=True)
class WireProtocol:
    """How a message is written, and the media types that say so."""

    name: str
    content_type: str
    accept: str
    factory: Any


BINARY = WireProtocol(
    "binary",
    "application/vnd.apache.thrift.binary",
    "application/vnd.apache.thrift.binary",
    # Without the C accelerator the same class falls back to Python.
    TBinaryProtocolAcceleratedFactory(),
)
JSON = WireProtocol(
    "json",
    # The one content type that every release takes for JSON.
    "application/x-thrift",
    "application/vnd.apache.thrift.json",
    TJSONProtocolFactory(),
)


@dataclass(frozen=True)
class Method:
    """A call of the API, whether it may be sent twice, and the member of the result that it answers with."""

    name: str
    repeatable: bool
    member: str | None = None
    service: ModuleType = ReadOnlyScheduler
    optional: bool = False  # an answer without the member is no mistake


_JOBS, _ADMIN = AuroraSchedulerManager, AuroraAdmin

METHODS = {
    method.name: method
    for method in (
        Method("getRoleSummary", True, "roleSummaryResult"),
        Method("getJobSummary", True, "jobSummaryResult"),
        Method("getTasksStatus", True, "scheduleStatusResult"),
        Method("getTasksWithoutConfigs", True, "scheduleStatusResult"),
        Method("getPendingReason", True, "getPendingReasonResult"),
        Method("getConfigSummary", True, "configSummaryResult"),
        Method("getJobs", True, "getJobsResult"),
        Method("getQuota", True, "getQuotaResult"),
        Method("populateJobConfig", True, "populateJobResult"),
        Method("getJobUpdateSummaries", True, "getJobUpdateSummariesResult"),
        Method("getJobUpdateDetails", True, "getJobUpdateDetailsResult"),
        Method("getJobUpdateDiff", True, "getJobUpdateDiffResult"),
        Method("getTierConfigs", True, "getTierConfigResult"),
        # A second create of a job whose first has arrived and already ended would run it again.
        Method("createJob", False, None, _JOBS),
        # A second kill finds the tasks in KILLING, or none at all, and changes nothing.
        Method("killTasks", True, None, _JOBS),
        # What was restarted would be restarted once more; what was added would be added twice.
        Method("restartShards", False, None, _JOBS),
        Method("addInstances", False, None, _JOBS),
        # The same entry replaces itself, and removing what is gone is no error.
        Method("scheduleCronJob", True, None, _JOBS),
        Method("replaceCronTemplate", True, None, _JOBS),
        Method("descheduleCronJob", True, None, _JOBS),
        Method("startCronJob", False, None, _JOBS),
        # An update that has ended meanwhile would be started again. No result: nothing would change.
        Method("startJobUpdate", False, "startJobUpdateResult", _JOBS, optional=True),
        # A status that is reached is left alone, but resuming twice could skip an automatic pause.
        Method("pauseJobUpdate", True, None, _JOBS),
        Method("resumeJobUpdate", False, None, _JOBS),
        Method("abortJobUpdate", True, None, _JOBS),
        Method("rollbackJobUpdate", True, None, _JOBS),
        Method("pulseJobUpdate", True, "pulseJobUpdateResult", _JOBS),
        Method("setQuota", True, None, _ADMIN),
        Method("forceTaskState", True, None, _ADMIN),
        Method("pruneTasks", True, None, _ADMIN),
        Method("startMaintenance", True, "startMaintenanceResult", _ADMIN),
        Method("drainHosts", True, "drainHostsResult", _ADMIN),
        Method("slaDrainHosts", True, "drainHostsResult", _ADMIN),
        Method("maintenanceStatus", True, "maintenanceStatusResult", _ADMIN),
        Method("endMaintenance", True, "endMaintenanceResult", _ADMIN),
        Method("listBackups", True, "listBackupsResult", _ADMIN),
        # Each is a file, or a piece of the log.
        Method("performBackup", False, None, _ADMIN),
        Method("snapshot", False, None, _ADMIN),
        Method("triggerExplicitTaskReconciliation", True, None, _ADMIN),
        Method("triggerImplicitTaskReconciliation", True, None, _ADMIN),
    )
}
"""Every call that is made anywhere, with what a repeat of it does: the only place that says so."""


def encode(
    protocol: WireProtocol, method: Method, arguments: Mapping[str, object], *, old: bool = False
) -> bytes:
    """The bytes of a call; TypeError for an argument that the call does not have.

    ``old``: with the fields that schedulers before 0.18 demand.
    """
    values = getattr(method.service, f"{method.name}_args")(**arguments)
    buffer = TMemoryBuffer()
    task = legacy.task_config_of(arguments) if old else None
    if task is None:
        writer = protocol.factory.getProtocol(buffer)
    else:
        writer = legacy.writer(protocol.name, buffer, task)
    # One message per HTTP body: the sequence number has nothing to tell apart.
    writer.writeMessageBegin(method.name, TMessageType.CALL, 0)
    values.write(writer)
    writer.writeMessageEnd()
    return bytes(buffer.getvalue())


def spoken(body: bytes) -> WireProtocol | None:
    """The protocol that an answer is written in, by its first byte; None when it is neither."""
    if body[:1] == b"[":
        return JSON
    # Versioned messages begin with 0x8001; the older header begins with the length of a short name.
    if body[:1] in (b"\x80", b"\x00"):
        return BINARY
    return None


def decode(body: bytes, method: Method) -> Any:
    """The ``Response`` in the bytes of an answer, in whichever protocol it is written.

    Raises ProtocolError for bytes that are no answer to the call, and the error that a Thrift exception
    message stands for.
    """
    protocol = spoken(body)
    if protocol is None:
        raise ProtocolError(
            f"the answer to {method.name} is not a Thrift message; it begins with {body[:40]!r}",
            advice="check that the address is that of an Aurora scheduler",
        )
    reader = protocol.factory.getProtocol(TMemoryBuffer(body))
    result = getattr(method.service, f"{method.name}_result")()
    try:
        name, kind, _ = reader.readMessageBegin()
        if kind == TMessageType.EXCEPTION:
            refusal = TApplicationException()
            refusal.read(reader)
            reader.readMessageEnd()
        else:
            refusal = None
            result.read(reader)
            reader.readMessageEnd()
    except Exception as error:  # foreign bytes make the library raise whatever the place of the damage yields
        raise ProtocolError(
            f"the answer to {method.name} ({len(body)} bytes, {protocol.name}) cannot be read:"
            f" {type(error).__name__} {error}".rstrip()
        ) from error
    if refusal is not None:
        raise _refused(method, refusal)
    if kind != TMessageType.REPLY or name != method.name:
        raise ProtocolError(f"the answer to {method.name} is a message of type {kind} called {name!r}")
    if result.success is None:
        raise ProtocolError(f"the answer to {method.name} is empty")
    return result.success


def _refused(method: Method, refusal: Any) -> AiravataMesosError:
    """The error for a Thrift exception message (libthrift 0.10)."""
    words = refusal.message or f"exception of type {refusal.type}"
    if refusal.type == TApplicationException.UNKNOWN_METHOD:
        return NotFound(f"the scheduler does not know the call {method.name}: {words}")
    if refusal.type == TApplicationException.INTERNAL_ERROR:
        return ServerFault(f"the scheduler failed in {method.name}: {words}")
    return ProtocolError(f"the scheduler could not read the call {method.name}: {words}")
