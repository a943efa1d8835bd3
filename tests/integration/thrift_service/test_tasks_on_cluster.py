"""A whole process of Airavata by its tasks, on a provider in this process and a real minicluster."""

from __future__ import annotations

import asyncio
import getpass
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from airavata_mesos_plugin.airavata.tasks import LocalStorage, ProcessContext, TaskContext, TaskFactory
from airavata_mesos_plugin.airavata.tasks.model import (
    DataStageType,
    DataStaging,
    DataType,
    EnvironmentSetup,
    ErrorModel,
    InputDataObject,
    JobModel,
    JobStatus,
    JobSubmission,
    OutputDataObject,
    ProcessState,
    ProcessStatus,
    Scheduling,
    SubTaskModel,
    TaskModel,
    TaskState,
    TaskStatus,
    TaskTypes,
)
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.provider import Parts, Provider
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.service.http import StagingServer
from airavata_mesos_plugin.service.loops import Loops
from airavata_mesos_plugin.service.parts import close_parts, make_parts
from airavata_mesos_plugin.store import JobSelection
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster, roomy
from tests.support.waiting import wait_for

SCRIPT = """#!/bin/bash
tr a-z A-Z < input.txt > result.txt
echo done
"""

AGENTS = tuple(
    AgentSettings(
        host="127.0.0.1", cpus=4, memory_mb=8192, disk_mb=10_000, attributes={"host": (f"agent-{number}",)}
    )
    for number in (1, 2)
)
QUEUE = {"role": "airavata", "max_nodes": 2, "disk_mb": 100}


class Registry:
    """What Airavata would keep of one process."""

    def __init__(self) -> None:
        self.jobs: list[JobModel] = []
        self.states: list[JobStatus] = []
        self.tasks: dict[str, TaskStatus] = {}
        self.processes: list[ProcessStatus] = []
        self.outputs: dict[str, str] = {}
        self.errors: list[ErrorModel] = []

    def add_job(self, job: JobModel, process_id: str) -> None:
        assert process_id == job.process_id
        self.jobs.append(job)

    def job_statuses(self, job_id: str, task_id: str) -> Sequence[JobStatus]:
        assert job_id
        assert task_id
        return self.states

    def add_job_status(self, status: JobStatus, task_id: str, job_id: str) -> None:
        assert job_id
        assert task_id
        self.states.append(status)

    def add_task_status(self, status: TaskStatus, task_id: str) -> None:
        self.tasks[task_id] = status

    def add_process_status(self, status: ProcessStatus, process_id: str) -> None:
        assert process_id
        self.processes.append(status)

    def add_errors(self, error_type: str, error: ErrorModel, object_id: str) -> None:
        assert error_type == "TASK_ERROR"
        assert object_id
        self.errors.append(error)

    def add_process_outputs(self, outputs: Sequence[OutputDataObject], process_id: str) -> None:
        assert process_id
        self.outputs.update((output.name, output.value) for output in outputs)


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider with its threads and its HTTP server, as the daemon has them, on a cluster of two agents."""
    directory = tmp_path_factory.mktemp("tasks")
    with ExitStack() as stack:
        minicluster = stack.enter_context(EmbeddedCluster(roomy(directory / "cluster", agents=AGENTS)))
        loop = stack.enter_context(loop_in_a_thread())
        cluster = {
            "name": "c",
            "schedulers": [minicluster.scheduler_url],
            "mesos_masters": [minicluster.master_url],
            "poll_interval_seconds": 0.2,
        }
        settings = ProviderSettings.model_validate(
            {"clusters": [cluster], "queues": [{"name": "default", "cluster": "c", **QUEUE}]}
        )
        home = Home(directory / "home")
        home.prepare()
        staging = StagingServer(settings.staging, home.staging_port)
        parts: Parts = make_parts(settings, home, SystemClock(), lambda: staging.url)
        stack.callback(close_parts, parts)
        stop = threading.Event()
        provider = Provider(parts, stop)
        asyncio.run_coroutine_threadsafe(staging.start(provider), loop).result(60)
        stack.callback(lambda: asyncio.run_coroutine_threadsafe(staging.stop(), loop).result(60))
        loops = Loops(provider, parts, stop)
        stack.callback(loops.close)
        loops.start()
        yield provider


def process(provider: Provider, directory: Path, script: str = SCRIPT) -> tuple[ProcessContext, Registry]:
    registry = Registry()
    (directory / "storage").mkdir()
    (directory / "storage" / "input.txt").write_text("words\n")
    context = ProcessContext(
        process_id=f"PROCESS_{directory.name}",
        experiment_id="E1",
        gateway_id="G1",
        user=getpass.getuser(),
        uid=os.geteuid(),
        working_directory=str(directory / "scratch" / "P1"),
        provider=provider,
        registry=registry,
        storage=LocalStorage(directory / "storage"),
        clock=SystemClock(),
        job_name="A4711",
        script=script,
        application_name="Upper",
        scheduling=Scheduling(queue_name="default", node_count=1, total_cpu_count=1, wall_time_limit=5),
        outputs=(OutputDataObject("log", type=DataType.STDOUT),),
    )
    return context, registry


def tasks(context: ProcessContext) -> list[TaskModel]:
    """The DAG as Airavata's orchestrator makes it."""
    models: list[tuple[TaskTypes, SubTaskModel | None]] = [
        (TaskTypes.ENV_SETUP, EnvironmentSetup(context.working_directory)),
        (
            TaskTypes.DATA_STAGING,
            DataStaging(
                DataStageType.INPUT, process_input=InputDataObject("in", "input.txt", DataType.URI, True)
            ),
        ),
        (TaskTypes.JOB_SUBMISSION, JobSubmission()),
        (TaskTypes.MONITORING, None),
        *(
            (TaskTypes.DATA_STAGING, DataStaging(DataStageType.OUPUT, process_output=output))
            for output in (
                OutputDataObject("log", type=DataType.STDOUT, is_required=True),
                OutputDataObject("result", "result.txt", DataType.URI, is_required=True),
            )
        ),
        (TaskTypes.DATA_STAGING, DataStaging(DataStageType.ARCHIVE_OUTPUT)),
    ]
    return [
        TaskModel(f"{context.process_id}_T{number}", kind, context.process_id, model)
        for number, (kind, model) in enumerate(models)
    ]


FACTORY = TaskFactory({"MonitoringTask": {"poll_interval_seconds": "0.1"}})


def test_a_process_goes_from_its_inputs_to_its_archive(provider: Provider, tmp_path: Path) -> None:
    context, registry = process(provider, tmp_path)
    for model in tasks(context):
        status = FACTORY.task(model).execute(TaskContext(model.task_id, context, model.sub_task_model))
        assert status.state is TaskState.COMPLETED, status
    assert FACTORY.completing().execute(TaskContext("end", context)).state is TaskState.COMPLETED

    assert [status.job_state.name for status in registry.states] == [
        *("SUBMITTED", "QUEUED", "ACTIVE", "COMPLETE")
    ]
    assert registry.processes[-1].state is ProcessState.COMPLETED
    place = tmp_path / "storage" / context.process_id
    assert registry.outputs == {
        "log": f"file://{place}/Upper.stdout",
        "result": f"file://{place}/result.txt",
    }
    assert (place / "result.txt").read_text() == "WORDS\n"
    assert {path.name for path in (place / "ARCHIVE").iterdir()} >= {
        "input.txt",
        "result.txt",
        "Upper.stdout",
    }
    assert {status.state for status in registry.tasks.values()} == {TaskState.COMPLETED}
    assert registry.errors == []


def test_a_process_over_two_nodes(provider: Provider, tmp_path: Path) -> None:
    ranks = "#!/bin/bash\nsrun bash -c 'echo $SLURM_PROCID $SLURM_NODEID' | sort >result.txt\n"
    context, registry = process(provider, tmp_path, ranks)
    wanted = Scheduling(queue_name="default", node_count=2, total_cpu_count=4, wall_time_limit=5)
    context = replace(context, scheduling=wanted)
    for model in tasks(context):
        status = FACTORY.task(model).execute(TaskContext(model.task_id, context, model.sub_task_model))
        assert status.state is TaskState.COMPLETED, status
    place = tmp_path / "storage" / context.process_id
    assert (place / "result.txt").read_text() == "0 0\n1 0\n2 1\n3 1\n"
    assert [status.job_state.name for status in registry.states] == [
        *("SUBMITTED", "QUEUED", "ACTIVE", "COMPLETE")
    ]


def test_a_process_that_is_cancelled_while_it_is_monitored(provider: Provider, tmp_path: Path) -> None:
    context, registry = process(provider, tmp_path, "#!/bin/bash\nsleep 600\n")
    steps = tasks(context)
    contexts = [TaskContext(model.task_id, context, model.sub_task_model) for model in steps]
    for model, each in zip(steps[:3], contexts, strict=False):
        assert FACTORY.task(model).execute(each).state is TaskState.COMPLETED
    with ThreadPoolExecutor(1) as pool:
        monitoring = pool.submit(FACTORY.task(steps[3]).execute, contexts[3])
        wait_for(
            lambda: [status.job_state.name for status in registry.states],
            lambda names: names[-1:] == ["ACTIVE"],
            "active",
        )
        before = FACTORY.task(steps[2]).cancel(contexts[2])
        assert before is not None
        assert before.job_state.name == "ACTIVE"
        assert monitoring.result(60).state is TaskState.FAILED
    ended = FACTORY.cancellation().execute(TaskContext("cancel", context))
    assert ended.state is TaskState.COMPLETED, ended
    assert registry.states[-1].job_state.name == "CANCELED"
    FACTORY.completing().execute(TaskContext("end", context))
    assert registry.processes[-1].state is ProcessState.CANCELED
    label = frozenset({("airavata.process", context.process_id)})
    assert len(provider.jobs(JobSelection(labels=label))) == 1
