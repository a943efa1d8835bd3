"""Airavata's models as far as the tasks use them, with its names and numbers.

Source: the Thrift models of Airavata develop (0.21). Times are milliseconds since the epoch. `wire` turns
them into the structs that travel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class JobState(IntEnum):
    """Where a job stands. Airavata accepts nothing after the states from COMPLETE to UNKNOWN."""

    SUBMITTED = 0
    QUEUED = 1
    ACTIVE = 2
    COMPLETE = 3
    CANCELED = 4
    FAILED = 5
    SUSPENDED = 6
    UNKNOWN = 7
    NON_CRITICAL_FAIL = 8


class TaskState(IntEnum):
    """Where a task stands. What `execute` and `recover` return is COMPLETED or FAILED."""

    CREATED = 0
    EXECUTING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4


class ProcessState(IntEnum):
    """Where a process stands."""

    CREATED = 0
    VALIDATED = 1
    STARTED = 2
    PRE_PROCESSING = 3
    CONFIGURING_WORKSPACE = 4
    INPUT_DATA_STAGING = 5
    EXECUTING = 6
    MONITORING = 7
    OUTPUT_DATA_STAGING = 8
    POST_PROCESSING = 9
    COMPLETED = 10
    FAILED = 11
    CANCELLING = 12
    CANCELED = 13
    QUEUED = 14
    DEQUEUING = 15
    REQUEUED = 16


class TaskTypes(IntEnum):
    """What kind of step a task is."""

    ENV_SETUP = 0
    DATA_STAGING = 1
    JOB_SUBMISSION = 2
    ENV_CLEANUP = 3
    MONITORING = 4
    OUTPUT_FETCHING = 5


class DataStageType(IntEnum):
    """Direction of a staging task; the second name is misspelt in Airavata."""

    INPUT = 0
    OUPUT = 1
    ARCHIVE_OUTPUT = 2


class DataType(IntEnum):
    """What an input or output is."""

    STRING = 0
    INTEGER = 1
    FLOAT = 2
    URI = 3
    URI_COLLECTION = 4
    STDOUT = 5
    STDERR = 6


@dataclass(frozen=True)
class TaskStatus:
    """A state of a task, and since when."""

    state: TaskState
    time_of_state_change: int
    reason: str = ""


@dataclass(frozen=True)
class JobStatus:
    """A state of a job, and since when."""

    job_state: JobState
    time_of_state_change: int
    reason: str = ""


@dataclass(frozen=True)
class ProcessStatus:
    """A state of a process, and since when."""

    state: ProcessState
    time_of_state_change: int
    reason: str = ""


@dataclass(frozen=True)
class ErrorModel:
    """What went wrong, once for the log and once for the person who waits."""

    error_id: str
    creation_time: int
    actual_error_message: str
    user_friendly_message: str
    transient_or_persistent: bool  # True when it may work later


@dataclass(frozen=True)
class JobModel:
    """A job as Airavata stores it; ``job_description`` is the script."""

    job_id: str
    task_id: str
    process_id: str
    job_description: str
    creation_time: int
    job_name: str
    working_dir: str
    std_out: str = ""
    std_err: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class InputDataObject:
    """One input of a process (Airavata's InputDataObjectType)."""

    name: str
    value: str = ""
    type: DataType = DataType.STRING
    is_required: bool = False
    override_filename: str = ""


@dataclass(frozen=True)
class OutputDataObject:
    """One output of a process (Airavata's OutputDataObjectType)."""

    name: str
    value: str = ""
    type: DataType = DataType.STRING
    is_required: bool = False


@dataclass(frozen=True)
class Scheduling:
    """What a process asks of the resource (ComputationalResourceSchedulingModel); 0 and "" mean unset.

    The model's numberOfThreads is left out: Airavata's job scripts do not use it either.
    """

    queue_name: str = ""
    node_count: int = 0
    total_cpu_count: int = 0
    wall_time_limit: int = 0  # minutes
    total_physical_memory: int = 0  # megabytes on each node
    allocation_project_number: str = ""


@dataclass(frozen=True)
class EnvironmentSetup:
    """Sub-model of ENV_SETUP."""

    location: str


@dataclass(frozen=True)
class DataStaging:
    """Sub-model of DATA_STAGING."""

    type: DataStageType
    source: str = ""
    destination: str = ""
    process_input: InputDataObject | None = None
    process_output: OutputDataObject | None = None


@dataclass(frozen=True)
class JobSubmission:
    """Sub-model of JOB_SUBMISSION."""

    wall_time: int = 0  # minutes; above 0 it wins over the wish of the process


SubTaskModel = EnvironmentSetup | DataStaging | JobSubmission


@dataclass(frozen=True)
class TaskModel:
    """One step of a process."""

    task_id: str
    task_type: TaskTypes
    parent_process_id: str
    sub_task_model: SubTaskModel | None = None
    task_statuses: tuple[TaskStatus, ...] = field(default=())
