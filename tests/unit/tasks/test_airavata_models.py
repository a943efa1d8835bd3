"""Our copies of Airavata's models have its names, ids and types, and read and write the same bytes."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.airavata.tasks import model
from airavata_mesos_plugin.states import AIRAVATA_STATES

OURS = "airavata_mesos_plugin.gen.airavata"
OFFICIAL = {
    "commons": "airavata.model.commons",
    "compute_resource": "airavata.model.appcatalog.computeresource",
    "data_movement": "airavata.model.data.movement",
    "io": "airavata.model.application.io",
    "job": "airavata.model.job",
    "parallelism": "airavata.model.appcatalog.parallelism",
    "process": "airavata.model.process",
    "scheduling": "airavata.model.scheduling",
    "status": "airavata.model.status",
    "task": "airavata.model.task",
}
"""Our package of each module, and the one of Airavata's own SDK."""

# In the order of their ids, from 1 up without gaps; "!" is required.
STRUCTS = """
commons.ErrorModel: errorId string!, creationTime i64, actualErrorMessage string,
    userFriendlyMessage string, transientOrPersistent bool, rootCauseErrorIdList list
io.InputDataObjectType: name string!, value string, type i32, applicationArgument string,
    standardInput bool, userFriendlyDescription string, metaData string, inputOrder i32, isRequired bool,
    requiredToAddedToCommandLine bool, dataStaged bool, storageResourceId string, isReadOnly bool,
    overrideFilename string
io.OutputDataObjectType: name string!, value string, type i32, applicationArgument string,
    isRequired bool, requiredToAddedToCommandLine bool, dataMovement bool, location string,
    searchQuery string, outputStreaming bool, storageResourceId string, metaData string
compute_resource.ResourceJobManager: resourceJobManagerId string!, resourceJobManagerType i32!,
    pushMonitoringEndpoint string, jobManagerBinPath string, jobManagerCommands map, parallelismPrefix map
compute_resource.BatchQueue: queueName string!, queueDescription string, maxRunTime i32, maxNodes i32,
    maxProcessors i32, maxJobsInQueue i32, maxMemory i32, cpuPerNode i32, defaultNodeCount i32,
    defaultCPUCount i32, defaultWalltime i32, queueSpecificMacros string, isDefaultQueue bool
status.ExperimentStatus: state i32!, timeOfStateChange i64, reason string, statusId string
status.ProcessStatus: state i32!, timeOfStateChange i64, reason string, statusId string, processId string
status.TaskStatus: state i32!, timeOfStateChange i64, reason string, statusId string
status.JobStatus: jobState i32!, timeOfStateChange i64, reason string, statusId string
status.QueueStatusModel: hostName string!, queueName string!, queueUp bool!, runningJobs i32!,
    queuedJobs i32!, time i64!
job.JobModel: jobId string!, taskId string!, processId string!, jobDescription string!, creationTime i64,
    jobStatuses list, computeResourceConsumed string, jobName string, workingDir string, stdOut string,
    stdErr string, exitCode i32
task.TaskModel: taskId string!, taskType i32!, parentProcessId string!, creationTime i64!,
    lastUpdateTime i64!, taskStatuses list!, taskDetail string, subTaskModel binary, taskErrors list,
    jobs list, maxRetry i32, currentRetry i32
task.DataStagingTaskModel: source string!, destination string!, type i32!, transferStartTime i64,
    transferEndTime i64, transferRate string, processInput struct, processOutput struct
task.EnvironmentSetupTaskModel: location string!, protocol i32!
task.JobSubmissionTaskModel: jobSubmissionProtocol i32!, monitorMode i32!, wallTime i32
task.MonitorTaskModel: monitorMode i32!
scheduling.ComputationalResourceSchedulingModel: resourceHostId string, totalCPUCount i32,
    nodeCount i32, numberOfThreads i32, queueName string, wallTimeLimit i32, totalPhysicalMemory i32,
    chessisNumber string, staticWorkingDir string, overrideLoginUserName string,
    overrideScratchLocation string, overrideAllocationProjectNumber string, mGroupCount i32
process.ProcessWorkflow: processId string!, workflowId string!, creationTime i64, type string
process.ProcessModel: processId string!, experimentId string!, creationTime i64, lastUpdateTime i64,
    processStatuses list, processDetail string, applicationInterfaceId string,
    applicationDeploymentId string, computeResourceId string, processInputs list, processOutputs list,
    processResourceSchedule struct, tasks list, taskDag string, processErrors list,
    gatewayExecutionId string, enableEmailNotification bool, emailAddresses list,
    inputStorageResourceId string, outputStorageResourceId string, userDn string, generateCert bool,
    experimentDataDir string, userName string, useUserCRPref bool, groupResourceProfileId string,
    processWorkflows list
"""
ENUMS = """
io.DataType: STRING INTEGER FLOAT URI URI_COLLECTION STDOUT STDERR
parallelism.ApplicationParallelismType: SERIAL MPI OPENMP OPENMP_MPI CCM CRAY_MPI
data_movement.SecurityProtocol: USERNAME_PASSWORD SSH_KEYS GSI KERBEROS OAUTH LOCAL
data_movement.DataMovementProtocol: LOCAL SCP SFTP GridFTP UNICORE_STORAGE_SERVICE
compute_resource.ResourceJobManagerType: FORK PBS SLURM LSF UGE CLOUD AIRAVATA_CUSTOM HTCONDOR
compute_resource.JobManagerCommand: SUBMISSION JOB_MONITORING DELETION CHECK_JOB SHOW_QUEUE
    SHOW_RESERVATION SHOW_START SHOW_CLUSTER_INFO SHOW_NO_OF_RUNNING_JOBS SHOW_NO_OF_PENDING_JOBS
compute_resource.JobSubmissionProtocol: LOCAL SSH GLOBUS UNICORE CLOUD SSH_FORK LOCAL_FORK
compute_resource.MonitorMode: POLL_JOB_MANAGER CLOUD_JOB_MONITOR JOB_EMAIL_NOTIFICATION_MONITOR
    XSEDE_AMQP_SUBSCRIBE FORK LOCAL
status.ExperimentState: CREATED VALIDATED SCHEDULED LAUNCHED EXECUTING CANCELING CANCELED COMPLETED FAILED
status.TaskState: CREATED EXECUTING COMPLETED FAILED CANCELED
status.ProcessState: CREATED VALIDATED STARTED PRE_PROCESSING CONFIGURING_WORKSPACE INPUT_DATA_STAGING
    EXECUTING MONITORING OUTPUT_DATA_STAGING POST_PROCESSING COMPLETED FAILED CANCELLING CANCELED QUEUED
    DEQUEUING REQUEUED
status.JobState: SUBMITTED QUEUED ACTIVE COMPLETE CANCELED FAILED SUSPENDED UNKNOWN NON_CRITICAL_FAIL
task.TaskTypes: ENV_SETUP DATA_STAGING JOB_SUBMISSION ENV_CLEANUP MONITORING OUTPUT_FETCHING
task.DataStageType: INPUT OUPUT ARCHIVE_OUTPUT
"""

_TYPES = {
    TType.BOOL: "bool",
    TType.I32: "i32",
    TType.I64: "i64",
    TType.STRING: "string",
    TType.LIST: "list",
    TType.MAP: "map",
    TType.STRUCT: "struct",
}
_SAMPLES: dict[int, Any] = {TType.BOOL: True, TType.I32: 1, TType.I64: 1_700_000_000_123, TType.STRING: "té"}


def table(text: str) -> dict[str, str]:
    joined = re.sub(r"\n\s+", " ", text.strip())
    return dict(line.split(": ", 1) for line in joined.splitlines())


def ours(name: str) -> Any:
    module, _, kind = name.partition(".")
    return getattr(importlib.import_module(f"{OURS}.{module}.ttypes"), kind)


def official(name: str) -> Any:
    module, _, kind = name.partition(".")
    return getattr(importlib.import_module(f"{OFFICIAL[module]}.ttypes"), kind)


def fields(kind: Any) -> list[Any]:
    return [field for field in kind.thrift_spec if field is not None]


def described(name: str) -> str:
    """A struct as the table above writes it; what is required is known from `validate` alone."""
    kind = ours(name)
    checked = inspect.getsource(kind.validate)
    words = []
    for number, (ident, type_, field, arguments, _) in enumerate(fields(kind), 1):
        assert ident == number
        binary = type_ == TType.STRING and arguments == "BINARY"
        mark = "!" if f"self.{field} is None" in checked else ""
        words.append(f"{field} {'binary' if binary else _TYPES[type_]}{mark}")
    return ", ".join(words)


def sample(kind: int, arguments: Any) -> Any:
    if kind == TType.STRUCT:
        return filled(arguments[0])
    if kind == TType.LIST:
        return [sample(arguments[0], arguments[1])] * 2
    if kind == TType.MAP:
        return {sample(arguments[0], None): sample(arguments[2], None)}
    if arguments == "BINARY":
        return b"\x00\xff"
    return _SAMPLES[kind]


def filled(kind: Any) -> Any:
    return kind(**{name: sample(type_, arguments) for _, type_, name, arguments, _ in fields(kind)})


def encoded(struct: Any) -> bytes:
    written = TMemoryBuffer()
    struct.validate()
    struct.write(TBinaryProtocol(written))
    return bytes(written.getvalue())


def same(left: Any, right: Any) -> bool:
    """Equal member by member, whatever classes hold them."""
    if hasattr(left, "thrift_spec"):
        return vars(left).keys() == vars(right).keys() and all(
            same(value, getattr(right, name)) for name, value in vars(left).items()
        )
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@pytest.mark.parametrize(("name", "expected"), table(STRUCTS).items(), ids=table(STRUCTS))
def test_structs_have_airavatas_fields(name: str, expected: str) -> None:
    assert described(name) == expected


@pytest.mark.parametrize(("name", "members"), table(ENUMS).items(), ids=table(ENUMS))
def test_enumerations_count_from_zero_in_airavatas_order(name: str, members: str) -> None:
    assert dict(enumerate(members.split())) == ours(name)._VALUES_TO_NAMES


def test_the_tables_name_everything_that_there_is() -> None:
    found = set()
    for module in OFFICIAL:
        types = importlib.import_module(f"{OURS}.{module}.ttypes")
        for name, kind in inspect.getmembers(types, inspect.isclass):
            if kind.__module__ == types.__name__:
                found.add(f"{module}.{name}")
    assert found == table(STRUCTS).keys() | table(ENUMS).keys()


@pytest.mark.parametrize("name", table(STRUCTS))
def test_the_official_sdk_writes_and_reads_the_same_bytes(name: str) -> None:
    original = filled(ours(name))
    data = encoded(original)
    theirs = official(name)()
    theirs.read(TBinaryProtocol(TMemoryBuffer(data)))
    assert encoded(theirs) == data
    back = ours(name)()
    back.read(TBinaryProtocol(TMemoryBuffer(encoded(theirs))))
    assert back == original
    assert same(theirs, original)


@pytest.mark.parametrize("name", table(ENUMS))
def test_the_official_sdk_has_the_same_members(name: str) -> None:
    theirs = official(name)
    assert {member.value: member.name for member in theirs} == ours(name)._VALUES_TO_NAMES


@pytest.mark.parametrize(
    "name", ["status.JobState", "status.TaskState", "status.ProcessState", "task.TaskTypes", "io.DataType"]
)
def test_the_models_for_python_have_the_same_members(name: str) -> None:
    kind = getattr(model, name.partition(".")[2])
    assert {member.value: member.name for member in kind} == ours(name)._VALUES_TO_NAMES


def test_every_phase_has_a_state_that_airavata_knows() -> None:
    assert set(AIRAVATA_STATES.values()) <= model.JobState.__members__.keys() - {"SUSPENDED", "UNKNOWN"}


@pytest.mark.parametrize(
    "idl",
    [path for path in sorted((Path(__file__).parents[3] / "thrift").rglob("*.thrift")) if path.stem != "api"],
    ids=lambda path: path.stem,
)
def test_every_type_and_call_is_explained(idl: Path) -> None:
    lines = idl.read_text().splitlines()
    begins = re.compile(r"(enum|struct|exception|service|const) |  [\w<>]+ \w+\(")
    silent = [line for before, line in itertools.pairwise(lines) if begins.match(line) and "*/" not in before]
    assert silent == []
