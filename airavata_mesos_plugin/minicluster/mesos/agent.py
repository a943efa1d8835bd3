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
from airavata_mesos_plugin.minicluster.mesos.task import AGENT, EXECUTOR, MesosTask, Status, TaskKey
from airavata_mesos_plugin.minicluster.room import Room
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, milli
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_LOG = logging.getLogger(__name__)

OnStatus = Callable[[MesosTask], None]
"""The task, already in its new state."""


@dataclass(frozen=True)
class AgentInfo:
    """What an agent offers; `port` is that of its HTTP server."""

    agent_id: str
    host: str
    port: int
    cpus: float
    memory_mb: int
    disk_mb: int
    gpus: int
    ports: tuple[int, int]
    attributes: Mapping[str, tuple[str, ...]]


class NoExecutor(OSError):
    """Nothing of the task was started."""


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
        self.executors: dict[TaskKey, Executor] = {}
        self.completed: OrderedDict[TaskKey, Executor] = OrderedDict()
        self.room = Room(
            Amount(
                cpu=milli(info.cpus),
                ram=info.memory_mb,
                disk=info.disk_mb,
                ports=info.ports[1] - info.ports[0] + 1,
                gpus=info.gpus,
            ),
            info.ports,
        )
        self._settings = settings
        self._clock = clock
        self._on_status = on_status
        self._work_dir = settings.work_dir.resolve()
        self._collecting: set[asyncio.Task[None]] = set()
        self._silent = False

    def task(self, key: TaskKey) -> MesosTask | None:
        """A task of this agent, also an ended one."""
        executor = self.executors.get(key) or self.completed.get(key)
        return None if executor is None else executor.task

    def launch(self, task: MesosTask) -> None:
        """Start an executor for a task.  Raises OSError when directories or the process cannot be made."""
        info, launch = self.info, task.launch
        if task.key in self.executors:
            raise NoExecutor(f"an executor of task {launch.task_id} has not left yet")
        container_id = str(uuid.uuid4())
        parent = layout.executor_dir(self._work_dir, info.agent_id, task.framework_id, launch.executor_id)
        directory = layout.make_run_dir(parent, container_id)
        run = ExecutorRun(
            launch,
            directory,
            self._work_dir / "fetch",
            on_report=lambda report: self._reported(task.key, **report),
            on_end=lambda: self._ended(task.key),
        )
        self.executors[task.key] = Executor(task, container_id, directory, run)
        task.container_id = container_id
        for virtual in layout.virtual_paths(directory, task.framework_id, launch.executor_id):
            self.attached.attach(virtual, directory)
        try:
            run.start()
            task.executor_pid = run.pid
        except OSError:
            self._retire(task.key)
            raise

    def kill(self, key: TaskKey, grace: float | None = None) -> None:
        """Ask for the end of a task, with `grace` seconds for it instead of the launch's; it is forced when
        it takes too long. Harmless for unknown and ended ones."""
        executor = self.executors.get(key)
        if executor is not None:
            executor.run.request("kill", grace)
            own = executor.task.launch.command
            wanted = grace if grace is not None else own.grace if own is not None else 0.0
            self._clock.call_later(wanted + self._settings.executor_kill_grace, executor.run.force)

    def shutdown(self, framework_id: str) -> None:
        """End all executors of a framework, as when it was removed."""
        for key, executor in self.executors.items():
            if key[0] == framework_id:
                executor.run.request("shutdown")
                self._clock.call_later(self._settings.executor_exit_grace, executor.run.force)

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

    def _reported(
        self, key: TaskKey, state: str, message: str | None, reason: str = "", source: str = EXECUTOR
    ) -> None:
        executor = self.executors[key]
        task = executor.task
        if task.ended:
            return
        task.mark(Status(state, self._clock.now_ms() / 1000, message, reason, source))
        if task.ended:
            self._clock.call_later(self._settings.executor_exit_grace, executor.run.force)
        if not self._silent:
            self._on_status(task)

    def _ended(self, key: TaskKey) -> None:
        # Mesos 1.9: REASON_EXECUTOR_TERMINATED comes with TASK_FAILED.
        why = "Abnormal executor termination"
        self._reported(key, "TASK_FAILED", why, "REASON_EXECUTOR_TERMINATED", AGENT)
        self._retire(key)

    def _retire(self, key: TaskKey) -> None:
        executor = self.executors.pop(key)
        self.completed[key] = executor
        while len(self.completed) > self._settings.max_completed_executors:
            self.completed.popitem(last=False)
        self._clock.call_later(self._settings.gc_delay, lambda: self._collect(executor))

    def _collect(self, executor: Executor) -> None:
        task, directory = executor.task, executor.directory
        paths = layout.virtual_paths(directory, task.framework_id, task.launch.executor_id)
        gone = directory.parents[1]
        if (directory.parent / "latest").resolve() != directory:
            paths, gone = paths[:1], directory  # the framework has used the task's id again
        for virtual in paths:
            self.attached.detach(virtual)
        removal = asyncio.ensure_future(asyncio.to_thread(shutil.rmtree, gone, ignore_errors=True))
        self._collecting.add(removal)
        removal.add_done_callback(self._collecting.discard)
