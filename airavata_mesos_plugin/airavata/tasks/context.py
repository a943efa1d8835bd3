"""What a task is given, and what it may ask of the world around it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from airavata_mesos_plugin.airavata.tasks.model import (
    ErrorModel,
    InputDataObject,
    JobModel,
    JobStatus,
    OutputDataObject,
    ProcessStatus,
    Scheduling,
    SubTaskModel,
    TaskStatus,
)
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobEvent, JobRecord, JobRequest
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.store import JobSelection


class JobProvider(Protocol):
    """The part of `provider.Provider` that tasks use."""

    @property
    def settings(self) -> ProviderSettings:
        """The settings in force."""

    def submit(self, request: JobRequest, script: str, *, source: str) -> JobRecord:
        """Take a job. With a submission key in the request, a repeat gives the job of the first call."""

    def with_submission_key(self, uid: int, key: str) -> JobRecord | None:
        """The job that this account submitted with this key; None when there is none."""

    def job(self, job_id: int) -> JobRecord:
        """One job. Raises NotFound."""

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        """The selected jobs, newest first."""

    def events(self, job_id: int) -> list[JobEvent]:
        """The history of a job, oldest first. Raises NotFound."""

    def request_cancel(self, job_id: int, by: str, uid: int) -> bool:
        """Ask for the end of a job; False when it is over or was asked to end before. Repeatable."""

    def nodes(self, cluster: str) -> list[Node]:
        """The nodes of a cluster as last seen."""


class Registry(Protocol):
    """Where models and states are kept; the methods are named after Airavata's RegistryService.

    Calls may raise AiravataMesosError; the task then fails and says so.
    """

    def add_job(self, job: JobModel, process_id: str) -> None:
        """Keep a job. A repeat with the same job and task changes nothing."""

    def job_statuses(self, job_id: str, task_id: str) -> Sequence[JobStatus]:
        """What was added for a job, oldest first."""

    def add_job_status(self, status: JobStatus, task_id: str, job_id: str) -> None:
        """Add a state of a job, and tell whoever listens."""

    def add_task_status(self, status: TaskStatus, task_id: str) -> None:
        """Add a state of a task, and tell whoever listens."""

    def add_process_status(self, status: ProcessStatus, process_id: str) -> None:
        """Add a state of a process, and tell whoever listens."""

    def add_errors(self, error_type: str, error: ErrorModel, object_id: str) -> None:
        """Add an error; the type is TASK_ERROR, PROCESS_ERROR or EXPERIMENT_ERROR."""

    def add_process_outputs(self, outputs: Sequence[OutputDataObject], process_id: str) -> None:
        """Add outputs whose values are where they lie now."""


class Storage(Protocol):
    """The gateway's storage resource."""

    def open(self, source: str) -> BinaryIO:
        """An input for reading. Raises NotFound, or UnsafePath for a place that is not the gateway's."""

    def store(self, stream: BinaryIO, destination: str, cancelled: threading.Event) -> str:
        """Keep a file whole or not at all, and return its URI. A repeat replaces it.

        ``destination`` is relative to the root of the storage. Raises UnsafePath, TransferError.
        """


@dataclass(frozen=True)
class ProcessContext:
    """One run of an application on this resource; shared by the tasks of the process.

    ``user`` and ``uid`` are the login account on the resource; ``script`` is the rendered job script;
    ``data_directory`` is where outputs go below the root of the storage (the process id if empty).
    Setting ``cancelled`` ends copies and waits of its tasks soon, and keeps a job from being submitted.
    """

    process_id: str
    experiment_id: str
    gateway_id: str
    user: str
    uid: int
    working_directory: str
    provider: JobProvider
    registry: Registry
    storage: Storage
    clock: Clock
    job_name: str = ""
    script: str = ""
    application_name: str = "application"
    scheduling: Scheduling = field(default_factory=Scheduling)
    inputs: tuple[InputDataObject, ...] = ()
    outputs: tuple[OutputDataObject, ...] = ()
    data_directory: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return round(self.clock.now() * 1000)

    def output_path(self, output: OutputDataObject) -> str:
        """The value of an output; standard output and error have names of their own when it is empty."""
        ending = {"STDOUT": "stdout", "STDERR": "stderr"}.get(output.type.name)
        if output.value or ending is None:
            return output.value
        return f"{self.application_name}.{ending}"


@dataclass(frozen=True)
class TaskContext:
    """One task of a process."""

    task_id: str
    process: ProcessContext
    sub_task_model: SubTaskModel | None = None
