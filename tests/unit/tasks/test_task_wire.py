"""What Airavata's SDK writes becomes our models, and our results are its structs."""

from __future__ import annotations

from typing import Any

import pytest
from airavata.model.appcatalog.computeresource import ttypes as sdk_resource
from airavata.model.application.io import ttypes as sdk_io
from airavata.model.data.movement import ttypes as sdk_movement
from airavata.model.job import ttypes as sdk_job
from airavata.model.process import ttypes as sdk_process
from airavata.model.scheduling import ttypes as sdk_scheduling
from airavata.model.status import ttypes as sdk_status
from airavata.model.task import ttypes as sdk_task
from hypothesis import given
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.airavata.tasks import model, wire
from airavata_mesos_plugin.errors import InvalidRequest


def encoded(struct: Any) -> bytes:
    written = TMemoryBuffer()
    struct.write(TBinaryProtocol(written))
    return bytes(written.getvalue())


def decoded(kind: Any, data: bytes) -> Any:
    struct = kind()
    struct.read(TBinaryProtocol(TMemoryBuffer(data)))
    struct.validate()
    return struct


def task(task_id: str, kind: Any, sub_model: Any) -> Any:
    return sdk_task.TaskModel(
        taskId=task_id,
        taskType=kind,
        parentProcessId="P1",
        creationTime=1,
        lastUpdateTime=2,
        taskStatuses=[sdk_status.TaskStatus(state=sdk_status.TaskState.CREATED, timeOfStateChange=5)],
        subTaskModel=encoded(sub_model),
    )


SETUP = sdk_task.EnvironmentSetupTaskModel(
    location="/scratch/P1", protocol=sdk_movement.SecurityProtocol.SSH_KEYS
)
SUBMISSION = sdk_task.JobSubmissionTaskModel(
    jobSubmissionProtocol=sdk_resource.JobSubmissionProtocol.SSH,
    monitorMode=sdk_resource.MonitorMode.POLL_JOB_MANAGER,
    wallTime=30,
)
OUTPUT = sdk_task.DataStagingTaskModel(
    source="s",
    destination="d",
    type=sdk_task.DataStageType.OUPUT,
    processOutput=sdk_io.OutputDataObjectType(
        name="out", value="r.txt", type=sdk_io.DataType.URI, isRequired=True
    ),
)
INPUT = sdk_task.DataStagingTaskModel(
    source="s",
    destination="d",
    type=sdk_task.DataStageType.INPUT,
    processInput=sdk_io.InputDataObjectType(
        name="in", value="v", type=sdk_io.DataType.URI, overrideFilename="o"
    ),
)


def test_a_process_of_the_sdk_is_read_in_the_order_of_its_dag() -> None:
    process = sdk_process.ProcessModel(
        processId="P1",
        experimentId="E1",
        taskDag="T1,T2,T3,T4",
        tasks=[
            task("T4", sdk_task.TaskTypes.DATA_STAGING, OUTPUT),
            task("T3", sdk_task.TaskTypes.JOB_SUBMISSION, SUBMISSION),
            task("T2", sdk_task.TaskTypes.DATA_STAGING, INPUT),
            task("T1", sdk_task.TaskTypes.ENV_SETUP, SETUP),
        ],
        processResourceSchedule=sdk_scheduling.ComputationalResourceSchedulingModel(
            queueName="default", totalCPUCount=4, nodeCount=1, wallTimeLimit=20, totalPhysicalMemory=2048
        ),
    )
    struct, tasks, scheduling = wire.read_process(encoded(process))
    assert struct.processId == "P1"
    assert [each.task_id for each in tasks] == ["T1", "T2", "T3", "T4"]
    assert [each.sub_task_model for each in tasks] == [
        model.EnvironmentSetup("/scratch/P1"),
        model.DataStaging(
            model.DataStageType.INPUT,
            *("s", "d"),
            model.InputDataObject("in", "v", model.DataType.URI, override_filename="o"),
        ),
        model.JobSubmission(30),
        model.DataStaging(
            model.DataStageType.OUPUT,
            *("s", "d"),
            process_output=model.OutputDataObject("out", "r.txt", model.DataType.URI, is_required=True),
        ),
    ]
    assert tasks[0].task_statuses == (model.TaskStatus(model.TaskState.CREATED, 5),)
    assert scheduling == model.Scheduling("default", 1, 4, 20, 2048)


def test_a_dag_with_an_unknown_task_is_refused() -> None:
    process = sdk_process.ProcessModel(processId="P1", experimentId="E1", taskDag="T1", tasks=[])
    with pytest.raises(InvalidRequest, match="unknown task T1"):
        wire.read_process(encoded(process))


def test_our_results_are_structs_of_the_sdk() -> None:
    status = decoded(
        sdk_status.TaskStatus,
        wire.encode(wire.task_status(model.TaskStatus(model.TaskState.COMPLETED, 1234, "why"))),
    )
    assert (status.state, status.timeOfStateChange, status.reason) == (
        sdk_status.TaskState.COMPLETED,
        *(1234, "why"),
    )
    states = (model.JobStatus(model.JobState.SUBMITTED, 1), model.JobStatus(model.JobState.ACTIVE, 2))
    ours = model.JobModel("7", "T1", "P1", "#!/bin/sh\n", 1, "A1", "/w", exit_code=3)
    job = decoded(sdk_job.JobModel, wire.encode(wire.job_model(ours, states)))
    assert (job.jobId, job.jobDescription, job.exitCode) == ("7", "#!/bin/sh\n", 3)
    assert [each.jobState for each in job.jobStatuses] == [
        sdk_status.JobState.SUBMITTED,
        sdk_status.JobState.ACTIVE,
    ]
    process = model.ProcessStatus(model.ProcessState.CANCELED, 9)
    assert decoded(sdk_status.ProcessStatus, wire.encode(wire.process_status(process, "P1"))).state == (
        sdk_status.ProcessState.CANCELED
    )
    error = model.ErrorModel("id", 1, "all", "less", transient_or_persistent=True)
    assert wire.error_model(error).transientOrPersistent is True
    output = model.OutputDataObject("o", "v", model.DataType.STDERR)
    assert wire.to_output(wire.output_data_object(output)) == output


@given(st.binary(max_size=200))
def test_bytes_that_are_no_task_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        wire.read_task(data)


def test_a_state_that_nobody_knows_is_refused() -> None:
    struct = wire.decode(
        type(wire.task_status(model.TaskStatus(model.TaskState.CREATED, 1))), b"\x08\0\1\0\0\0\x63\0"
    )
    assert struct.state == 99
    broken = task("T", sdk_task.TaskTypes.ENV_SETUP, SETUP)
    data = encoded(broken).replace(b"\x08\x00\x02\x00\x00\x00\x00", b"\x08\x00\x02\x00\x00\x00\x63", 1)
    with pytest.raises(InvalidRequest, match="99 is no TaskTypes"):
        wire.read_task(data)
    with pytest.raises(InvalidRequest, match="not complete"):
        wire.encode(type(struct)())
