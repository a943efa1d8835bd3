"""The scheduler: jobs in, tasks on agents, statuses back."""

from __future__ import annotations

import re
import time
from typing import Any, Protocol

from airavata_mesos_plugin.minicluster.clock import Clock, Timer
from airavata_mesos_plugin.minicluster.launch import Launch
from airavata_mesos_plugin.minicluster.scheduler import history
from airavata_mesos_plugin.minicluster.scheduler.hosts import Host, NoPortFree
from airavata_mesos_plugin.minicluster.scheduler.manager import StateManager
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.placement import Limits
from airavata_mesos_plugin.minicluster.scheduler.queue import PendingQueue
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, milli, port_names
from airavata_mesos_plugin.minicluster.scheduler.status import (
    FROM_MESOS,
    LEAVING_STATES,
    TERMINAL_STATES,
    TRANSIENT_STATES,
    WAITING_STATES,
    Status,
)
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_LAUNCH_FAILED = "Unknown exception attempting to schedule task."
_TIMED_OUT = "Task timed out"


class Driver(Protocol):
    """The way to the agents."""

    def launch(self, agent_id: str, launch: Launch) -> None:
        """Raises OSError when the agent cannot start the executor."""

    def kill(self, agent_id: str, task_id: str) -> None:
        """Ends the task; harmless when it is gone, and when repeated."""


def _launch_of(task: Task) -> Launch:
    config, key = task.config, task.key
    labels = [("org.apache.aurora.tier", config.tier)] if config.tier else []
    labels += sorted((f"org.apache.aurora.metadata.{m.key}", m.value or "") for m in config.metadata)
    return Launch(
        task_id=task.task_id,
        executor_id=f"thermos-{task.task_id}",
        name=str(key),
        source=f"{key.role}.{key.environment}.{key.name}.{task.instance}",
        role=key.role,
        environment=key.environment,
        instance=task.instance,
        hostname=task.host or "",
        ports=task.ports,
        data=None if config.executorConfig is None else config.executorConfig.data,
        cpus=task.needs.cores,
        memory_mb=task.needs.ram,
        disk_mb=task.needs.disk,
        gpus=task.needs.gpus,
        labels=tuple(labels),
    )


class Scheduler:
    """All calls come from one thread (that of the event loop)."""

    def __init__(self, settings: ClusterSettings, clock: Clock, driver: Driver, scheduler_host: str) -> None:
        # A pattern that does not compile must be seen at start-up, not by the first client.
        re.compile(settings.allowed_environments)
        self.settings = settings
        self.store = TaskStore()
        self.manager = StateManager(self.store, clock, settings, scheduler_host, self)
        self.queue = PendingQueue(Amount(cpu=milli(settings.executor_cpus), ram=settings.executor_ram_mb))
        self.hosts: dict[str, Host] = {}
        self._clock = clock
        self._driver = driver
        self._round: Timer | None = None
        self._pruning: Timer | None = None
        self._timeouts: dict[str, Timer] = {}
        self._kills: dict[str, Timer] = {}
        self._stopped = False
        self.rounds = 0
        self.round_seconds = 0.0

    def start(self) -> None:
        self._pruning = self._clock.call_later(self.settings.prune_interval, self._prune)

    def stop(self) -> None:
        """No task is started or replaced on a host any more; repeated calls are harmless."""
        self._stopped = True
        for timer in (self._round, self._pruning, *self._timeouts.values(), *self._kills.values()):
            if timer is not None:
                timer.cancel()
        self._timeouts.clear()

    def add_host(self, host: Host) -> None:
        """A host whose tasks, if it has any of ours, keep their places."""
        for task in self.store.active():
            if task.agent_id == host.agent_id:
                host.hold(self.queue.needs(task), task.ports)
        self.hosts[host.agent_id] = host
        self._request_round()

    def remove_host(self, agent_id: str) -> None:
        self.hosts.pop(agent_id, None)

    def create(self, job: Any) -> None:
        """Tasks for every instance of a validated job configuration."""
        self.manager.create(job.taskConfig, range(job.instanceCount))

    def status_update(self, task_id: str, mesos_state: str, message: str | None) -> None:
        """A report from Mesos. One about a task that nobody knows any more is dropped: its executor ends by
        itself."""
        task = self.store.get(task_id)
        if task is not None:
            self.manager.change(task, FROM_MESOS[mesos_state], message)

    # What the state manager tells (manager.Listener)

    def task_changed(self, task: Task, before: Status) -> None:
        timer = self._timeouts.pop(task.task_id, None)
        if timer is not None:
            timer.cancel()
        if before == Status.PENDING:
            self.queue.remove(task)
        if task.status == Status.PENDING:
            self.queue.add(task)
            self._request_round()
        elif task.status in TERMINAL_STATES:
            self._release(task)
            kill = self._kills.pop(task.task_id, None)
            if kill is not None:
                kill.cancel()
        elif task.status in TRANSIENT_STATES and not self._stopped:
            held = task.status
            timeout = self.settings.transient_timeout
            self._timeouts[task.task_id] = self._clock.call_later(timeout, lambda: self._expire(task, held))

    def task_removed(self, task: Task, before: Status) -> None:
        if before in WAITING_STATES:
            self.queue.remove(task)

    def kill_wanted(self, task: Task) -> None:
        if task.agent_id is None:
            return
        self._driver.kill(task.agent_id, task.task_id)
        if task.status in LEAVING_STATES and task.task_id not in self._kills:
            self._kill_again(task, self.settings.kill_retry_first)

    def _kill_again(self, task: Task, wait: float) -> None:
        # The order may have been lost on its way.
        def again() -> None:
            del self._kills[task.task_id]
            if task.status in LEAVING_STATES and task.agent_id is not None and not self._stopped:
                self._driver.kill(task.agent_id, task.task_id)
                self._kill_again(task, min(2 * wait, self.settings.kill_retry_max))

        self._kills[task.task_id] = self._clock.call_later(wait, again)

    # Rounds

    def _request_round(self) -> None:
        if self._round is None and not self._stopped and len(self.queue):
            self._round = self._clock.call_later(self.settings.scheduling_delay, self._run_round)

    def _run_round(self) -> None:
        self._round = None
        self.rounds += 1
        began = time.perf_counter()
        budget = self.settings.max_assignments_per_round
        if self.queue.place(self.hosts.values(), self._limits_of, self._assign, budget):
            self._request_round()
        self.round_seconds += time.perf_counter() - began

    def _limits_of(self, key: JobKey) -> Limits:
        placed = (task.agent_id for task in self.store.active_of_job(key))
        return Limits(self.hosts[agent_id] for agent_id in placed if agent_id in self.hosts)

    def _assign(self, task: Task, host: Host) -> bool:
        try:
            ports = host.take_ports(port_names(task.config))
        except NoPortFree:
            return False
        host.take(self.queue.needs(task))
        self.manager.assign(task, host.agent_id, host.name, ports)
        try:
            self._driver.launch(host.agent_id, _launch_of(task))
        except OSError:
            self.manager.change(task, Status.LOST, _LAUNCH_FAILED)
        return True

    def _release(self, task: Task) -> None:
        host = self.hosts.get(task.agent_id or "")
        if host is not None:
            host.give_back(self.queue.needs(task), task.ports)
            self._request_round()

    def _expire(self, task: Task, held: Status) -> None:
        self._timeouts.pop(task.task_id, None)
        if task.status == held:
            self.manager.change(task, Status.LOST, _TIMED_OUT)

    def _prune(self) -> None:
        for task in history.prunable(self.store, self.settings, self._clock.now_ms()):
            self.manager.prune(task)
        self._pruning = self._clock.call_later(self.settings.prune_interval, self._prune)
