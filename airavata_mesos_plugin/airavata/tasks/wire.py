"""Between the models of this package and the structs of Airavata develop in Thrift's binary protocol."""

from __future__ import annotations

from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TException
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.airavata.tasks import model
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.gen.airavata.commons import ttypes as commons
from airavata_mesos_plugin.gen.airavata.io import ttypes as io
from airavata_mesos_plugin.gen.airavata.job import ttypes as job
from airavata_mesos_plugin.gen.airavata.process import ttypes as process
from airavata_mesos_plugin.gen.airavata.status import ttypes as status
from airavata_mesos_plugin.gen.airavata.task import ttypes as task

_NUMBER_LIMIT = 100_000
"""Members of a collection that is read."""


def encode(struct: Any) -> bytes:
    """A generated struct in the binary protocol. Raises InvalidRequest when a required field is missing."""
    written = TMemoryBuffer()
    try:
        struct.validate()
        struct.write(TBinaryProtocol(written))
    except TException as error:
        raise InvalidRequest(f"{type(struct).__name__} is not complete: {error}") from error
    return bytes(written.getvalue())


def decode(kind: Any, data: bytes) -> Any:
    """The struct ``kind`` from its bytes. Raises InvalidRequest for what is none, or has a field missing."""
    struct = kind()
    protocol = TBinaryProtocol(
        TMemoryBuffer(data), string_length_limit=len(data), container_length_limit=_NUMBER_LIMIT
    )
    try:
        struct.read(protocol)
        struct.validate()
    except (TException, EOFError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"these bytes are no {kind.__name__}: {error}") from error
    return struct


def task_status(value: model.TaskStatus) -> Any:
    """Airavata's TaskStatus."""
    return status.TaskStatus(
        state=int(value.state), timeOfStateChange=value.time_of_state_change, reason=value.reason or None
    )


def job_status(value: model.JobStatus) -> Any:
    """Airavata's JobStatus."""
    return status.JobStatus(
        jobState=int(value.job_state),
        timeOfStateChange=value.time_of_state_change,
        reason=value.reason or None,
    )


def process_status(value: model.ProcessStatus, process_id: str) -> Any:
    """Airavata's ProcessStatus."""
    return status.ProcessStatus(
        state=int(value.state),
        timeOfStateChange=value.time_of_state_change,
        reason=value.reason or None,
        processId=process_id,
    )


def job_model(value: model.JobModel, statuses: tuple[model.JobStatus, ...] = ()) -> Any:
    """Airavata's JobModel."""
    return job.JobModel(
        jobId=value.job_id,
        taskId=value.task_id,
        processId=value.process_id,
        jobDescription=value.job_description,
        creationTime=value.creation_time,
        jobStatuses=[job_status(each) for each in statuses],
        jobName=value.job_name,
        workingDir=value.working_dir,
        stdOut=value.std_out,
        stdErr=value.std_err,
        exitCode=value.exit_code,
    )


def error_model(value: model.ErrorModel) -> Any:
    """Airavata's ErrorModel."""
    return commons.ErrorModel(
        errorId=value.error_id,
        creationTime=value.creation_time,
        actualErrorMessage=value.actual_error_message,
        userFriendlyMessage=value.user_friendly_message,
        transientOrPersistent=value.transient_or_persistent,
    )


def output_data_object(value: model.OutputDataObject) -> Any:
    """Airavata's OutputDataObjectType."""
    return io.OutputDataObjectType(
        name=value.name, value=value.value, type=int(value.type), isRequired=value.is_required
    )


def read_task(data: bytes) -> model.TaskModel:
    """A TaskModel from its bytes, with its sub-model. Raises InvalidRequest."""
    return to_task(decode(task.TaskModel, data))


def to_task(struct: Any) -> model.TaskModel:
    """A TaskModel with its sub-model. Raises InvalidRequest."""
    kind = _member(model.TaskTypes, struct.taskType)
    return model.TaskModel(
        task_id=struct.taskId,
        task_type=kind,
        parent_process_id=struct.parentProcessId,
        sub_task_model=_sub_model(kind, struct.subTaskModel),
        task_statuses=tuple(
            model.TaskStatus(
                _member(model.TaskState, each.state), each.timeOfStateChange or 0, each.reason or ""
            )
            for each in struct.taskStatuses
        ),
    )


def read_process(data: bytes) -> tuple[Any, tuple[model.TaskModel, ...], model.Scheduling]:
    """A ProcessModel from its bytes, its tasks in the order of the DAG, and its wishes.

    Raises InvalidRequest, also when the DAG names a task that is not there.
    """
    struct = decode(process.ProcessModel, data)
    tasks = {each.taskId: to_task(each) for each in struct.tasks or ()}
    order = [name for name in (struct.taskDag or "").split(",") if name] or list(tasks)
    missing = [name for name in order if name not in tasks]
    if missing:
        raise InvalidRequest(f"process {struct.processId}: its DAG names the unknown task {missing[0]}")
    return struct, tuple(tasks[name] for name in order), to_scheduling(struct.processResourceSchedule)


def to_scheduling(struct: Any) -> model.Scheduling:
    """The wishes of a process; an absent struct wishes nothing."""
    if struct is None:
        return model.Scheduling()
    return model.Scheduling(
        queue_name=struct.queueName or "",
        node_count=struct.nodeCount or 0,
        total_cpu_count=struct.totalCPUCount or 0,
        wall_time_limit=struct.wallTimeLimit or 0,
        total_physical_memory=struct.totalPhysicalMemory or 0,
        allocation_project_number=struct.overrideAllocationProjectNumber or "",
    )


def to_input(struct: Any) -> model.InputDataObject:
    """One input."""
    return model.InputDataObject(
        name=struct.name,
        value=struct.value or "",
        type=_member(model.DataType, struct.type or 0),
        is_required=bool(struct.isRequired),
        override_filename=struct.overrideFilename or "",
    )


def to_output(struct: Any) -> model.OutputDataObject:
    """One output."""
    return model.OutputDataObject(
        name=struct.name,
        value=struct.value or "",
        type=_member(model.DataType, struct.type or 0),
        is_required=bool(struct.isRequired),
    )


def _sub_model(kind: model.TaskTypes, data: bytes | None) -> model.SubTaskModel | None:
    if data is None:
        return None
    if kind is model.TaskTypes.ENV_SETUP:
        return model.EnvironmentSetup(decode(task.EnvironmentSetupTaskModel, data).location)
    if kind is model.TaskTypes.JOB_SUBMISSION:
        return model.JobSubmission(decode(task.JobSubmissionTaskModel, data).wallTime or 0)
    if kind in (model.TaskTypes.DATA_STAGING, model.TaskTypes.OUTPUT_FETCHING):
        struct = decode(task.DataStagingTaskModel, data)
        return model.DataStaging(
            type=_member(model.DataStageType, struct.type),
            source=struct.source,
            destination=struct.destination,
            process_input=None if struct.processInput is None else to_input(struct.processInput),
            process_output=None if struct.processOutput is None else to_output(struct.processOutput),
        )
    return None


def _member(kind: Any, number: int) -> Any:
    try:
        return kind(number)
    except ValueError:
        raise InvalidRequest(f"{number} is no {kind.__name__}") from None
