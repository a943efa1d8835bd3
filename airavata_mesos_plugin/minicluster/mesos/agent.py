"""An agent: runs executors, keeps their sandboxes, reports what becomes of their tasks."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.mesos import layout
from airavata_mesos_plugin.minicluster.mesos.files import Attached
from airavata_mesos_plugin.minicluster.mesos.run import ExecutorRun
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_LOG = logging.getLogger(__name__)

OnStatus = Callable[["MesosTask", "str | None"], None]
"""The task, already in its new state, and the message that came with it."""


@dataclass(frozen=True)
class AgentInfo:
    """What an agent offers; `port` is that of its HTTP server."""

    agent_id: str
    framework_id: str
    host: str
    port: int
    cpus: float
    memory_mb: int
    disk_mb: int
    gpus: int
    ports: tuple[int, int]
    attributes: Mapping[str, tuple[str, ...]]


@dataclass
class Executor:
    """An executor of this agent, living or ended."""

    task: MesosTask
    container_id: str
    directory: Path
    run: ExecutorRun


class Agent:
    """All methods are for the event loop's thread."""

    def __init__(self, info: AgentInfo, settings: ClusterSettings, clock: Clock, on_status: OnStatus) -> None:
        self.info = info
        self.attached = Attached()
        self.executors: dict[str, Executor] = {}
        self.completed: OrderedDict[str, Executor] = OrderedDict()
        self._settings = settings
        self._clock = clock
        self._on_status = on_status
        self._work_dir = settings.work_dir.resolve()
        self._collecting: set[asyncio.Task[None]] = set()
        self._silent = False

    def task(self, task_id: str) -> MesosTask | None:
        """A task of this agent, also an ended one."""
        executor = self.executors.get(task_id) or self.completed.get(task_id)
        return None if executor is None else executor.task

    def launch(self, task: MesosTask) -> None:
        """Start an executor for a task.  Raises OSError when directories or the process cannot be made."""
        info, launch = self.info, task.launch
        container_id = str(uuid.uuid4())
        parent = layout.executor_dir(self._work_dir, info.agent_id, info.framework_id, launch.executor_id)
        directory = layout.make_run_dir(parent, container_id)
        run = ExecutorRun(
            launch,
            directory,
            self._work_dir / "fetch",
            on_report=lambda state, message: self._reported(launch.task_id, state, message),
            on_end=lambda: self._ended(launch.task_id),
        )
        self.executors[launch.task_id] = Executor(task, container_id, directory, run)
        for virtual in layout.virtual_paths(directory, info.framework_id, launch.executor_id):
            self.attached.attach(virtual, directory)
        try:
            run.start()
        except OSError:
            self._retire(launch.task_id)
            raise

    def kill(self, task_id: str) -> None:
        """Ask for the end of a task; it is forced when it takes too long. Harmless for unknown and ended
        ones."""
        executor = self.executors.get(task_id)
        if executor is not None:
            executor.run.request("kill")
            self._clock.call_later(self._settings.executor_kill_grace, executor.run.force)

    async def stop(self) -> None:
        """End all tasks: orderly within the grace of the settings, then by force. Nothing runs
        afterwards."""
        runs = [executor.run for executor in self.executors.values()]
        for step, grace in (
            (lambda run: run.request("shutdown"), self._settings.stop_grace),
            (ExecutorRun.abandon, 5.0),
            (ExecutorRun.force, 5.0),
        ):
            left = [run for run in runs if not run.ended.is_set()]
            if not left:
                break
            for run in left:
                step(run)
            waits = [asyncio.ensure_future(run.ended.wait()) for run in left]
            _, late = await asyncio.wait(waits, timeout=grace)
            for wait in late:
                wait.cancel()
        for run in runs:
            if not run.ended.is_set():
                _LOG.error("executor %s of task %s could not be ended", run.pid, run.launch.task_id)
        for collecting in self._collecting:
            collecting.cancel()

    def power_off(self) -> None:
        """Every executor dies at once, without a word."""
        self._silent = True
        for executor in self.executors.values():
            executor.run.force()

    def _reported(self, task_id: str, state: str, message: str | None) -> None:
        executor = self.executors[task_id]
        task = executor.task
        if task.ended:
            return
        task.mark(state, self._clock.now_ms() / 1000, message)
        if task.ended:
            self._clock.call_later(self._settings.executor_exit_grace, executor.run.force)
        if not self._silent:
            self._on_status(task, message)

    def _ended(self, task_id: str) -> None:
        # Mesos 1.9: REASON_EXECUTOR_TERMINATED comes with TASK_FAILED.
        self._reported(task_id, "TASK_FAILED", "Abnormal executor termination")
        self._retire(task_id)

    def _retire(self, task_id: str) -> None:
        executor = self.executors.pop(task_id)
        self.completed[task_id] = executor
        while len(self.completed) > self._settings.max_completed_executors:
            self.completed.popitem(last=False)
        self._clock.call_later(self._settings.gc_delay, lambda: self._collect(executor))

    def _collect(self, executor: Executor) -> None:
        executor_id = executor.task.launch.executor_id
        for virtual in layout.virtual_paths(executor.directory, self.info.framework_id, executor_id):
            self.attached.detach(virtual)
        # The executor's directory holds this one run: task ids are never used again.
        parent = executor.directory.parents[1]
        removal = asyncio.ensure_future(asyncio.to_thread(shutil.rmtree, parent, ignore_errors=True))
        self._collecting.add(removal)
        removal.add_done_callback(self._collecting.discard)
