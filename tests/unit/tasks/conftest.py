"""A provider with a real ledger, whose jobs move when a test says so, and a registry in memory."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.airavata.tasks import LocalStorage, ProcessContext, TaskContext
from airavata_mesos_plugin.airavata.tasks.context import Registry, Storage
from airavata_mesos_plugin.airavata.tasks.model import (
    DataType,
    ErrorModel,
    JobModel,
    JobState,
    JobStatus,
    OutputDataObject,
    ProcessStatus,
    Scheduling,
    SubTaskModel,
    TaskState,
    TaskStatus,
)
from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.schedulers.base import Scheduler
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.testing.parts import parts_of

SETTINGS = ProviderSettings.model_validate(
    {
        "clusters": [{"name": "c", "schedulers": ["http://a:1"], "mesos_masters": ["http://m:1"]}],
        "queues": [
            {"name": "default", "cluster": "c", "role": "www", "max_cpus": 8, "max_wall_time_minutes": 600},
            {"name": "long", "cluster": "c", "role": "www"},
        ],
    }
)


class MemoryRegistry:
    """Keeps everything in the order in which it came."""

    def __init__(self) -> None:
        self.jobs: dict[tuple[str, str], JobModel] = {}
        self.states: dict[tuple[str, str], list[JobStatus]] = {}
        self.tasks: dict[str, list[TaskStatus]] = {}
        self.processes: list[ProcessStatus] = []
        self.errors: list[tuple[str, ErrorModel]] = []
        self.outputs: list[OutputDataObject] = []

    def add_job(self, job: JobModel, process_id: str) -> None:
        assert job.process_id == process_id
        self.jobs.setdefault((job.job_id, job.task_id), job)

    def job_statuses(self, job_id: str, task_id: str) -> Sequence[JobStatus]:
        return self.states.get((job_id, task_id), [])

    def add_job_status(self, status: JobStatus, task_id: str, job_id: str) -> None:
        self.states.setdefault((job_id, task_id), []).append(status)

    def add_task_status(self, status: TaskStatus, task_id: str) -> None:
        self.tasks.setdefault(task_id, []).append(status)

    def add_process_status(self, status: ProcessStatus, process_id: str) -> None:
        assert process_id
        self.processes.append(status)

    def add_errors(self, error_type: str, error: ErrorModel, object_id: str) -> None:
        assert error_type == "TASK_ERROR"
        self.errors.append((object_id, error))

    def add_process_outputs(self, outputs: Sequence[OutputDataObject], process_id: str) -> None:
        assert process_id
        self.outputs.extend(outputs)


class World:
    """A provider, a process and its storage."""

    def __init__(self, directory: Path, mocker: MockerFixture) -> None:
        self.clock = ManualClock(1_700_000_000.5)
        self.ledger = Ledger(directory / "ledger.db", self.clock)
        scheduler: Mock = mocker.create_autospec(Scheduler, instance=True)
        self.provider = Provider(
            parts_of(
                SETTINGS,
                self.ledger,
                {"c": scheduler},
                self.clock,
                files=mocker.create_autospec(FilesClient, instance=True),
                fetcher=mocker.create_autospec(Fetcher, instance=True),
            )
        )
        self.work = directory / "work"
        self.work.mkdir()
        self.store = directory / "storage"
        self.store.mkdir()
        self.storage: Storage = LocalStorage(self.store)
        self.memory = MemoryRegistry()
        self.registry: Registry = self.memory

    def process(self, process_id: str = "PROCESS_1", **more: Any) -> ProcessContext:
        values: dict[str, Any] = {
            "process_id": process_id,
            "experiment_id": "E1",
            "gateway_id": "G1",
            "user": getpass.getuser(),
            "uid": os.geteuid(),
            "working_directory": str(self.work),
            "provider": self.provider,
            "registry": self.registry,
            "storage": self.storage,
            "clock": self.clock,
            "job_name": "A42",
            "script": "#!/bin/bash\necho hi\n",
            "application_name": "Echo",
            "scheduling": Scheduling(
                queue_name="default", node_count=1, total_cpu_count=2, wall_time_limit=30
            ),
            "outputs": (OutputDataObject("Echo-out", type=DataType.STDOUT),),
        }
        return ProcessContext(**{**values, **more})

    def context(
        self,
        task_id: str = "TASK_1",
        model: SubTaskModel | None = None,
        process: ProcessContext | None = None,
    ) -> TaskContext:
        return TaskContext(task_id, process or self.process(), model)

    def move(self, job_id: int, *phases: JobPhase, run: int | None = None) -> None:
        """Let the job go through these phases, a second each."""
        for phase in phases:
            self.clock.advance(1)
            assert self.ledger.advance(job_id, phase, source="test", reason=phase.value, run=run)

    def states(self, job_id: int, task_id: str = "TASK_1") -> list[str]:
        return [status.job_state.name for status in self.memory.job_statuses(str(job_id), task_id)]


@pytest.fixture
def world(tmp_path: Path, mocker: MockerFixture) -> Iterator[World]:
    world = World(tmp_path, mocker)
    yield world
    world.ledger.close()


def done(status: TaskStatus) -> str:
    """The reason of a task that must have worked."""
    assert status.state is TaskState.COMPLETED, status
    return status.reason


def failed(status: TaskStatus) -> str:
    """The reason of a task that must not have worked."""
    assert status.state is TaskState.FAILED, status
    return status.reason


COMPLETE_ORDER = [JobState.SUBMITTED.name, JobState.QUEUED.name, JobState.ACTIVE.name, JobState.COMPLETE.name]
