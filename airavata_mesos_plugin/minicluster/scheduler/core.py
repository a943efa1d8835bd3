"""The scheduler: jobs in, tasks on agents, statuses back."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import Clock, Timer
from airavata_mesos_plugin.minicluster.launch import Launch
from airavata_mesos_plugin.minicluster.scheduler import history, preemption
from airavata_mesos_plugin.minicluster.scheduler.cron import CronBook
from airavata_mesos_plugin.minicluster.scheduler.hosts import Host, NoPortFree
from airavata_mesos_plugin.minicluster.scheduler.journal import Forgetful, Journal, decoded, encoded
from airavata_mesos_plugin.minicluster.scheduler.maintenance import Maintenance
from airavata_mesos_plugin.minicluster.scheduler.manager import StateManager
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey, key_of
from airavata_mesos_plugin.minicluster.scheduler.placement import Limits
from airavata_mesos_plugin.minicluster.scheduler.queue import PendingQueue
from airavata_mesos_plugin.minicluster.scheduler.quota import Quotas
from airavata_mesos_plugin.minicluster.scheduler.recovery import Backups
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
from airavata_mesos_plugin.minicluster.scheduler.task import Task, from_struct
from airavata_mesos_plugin.minicluster.scheduler.updates.controller import Updates
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
from airavata_mesos_plugin.minicluster.state import Entry

_LAUNCH_FAILED = "Unknown exception attempting to schedule task."
_TIMED_OUT = "Task timed out"
_SEQUENCE = struct.Struct(">q")


class Driver(Protocol):
    """The way to the agents."""

    def launch(self, agent_id: str, launch: Launch) -> None:
        """Raises OSError when the agent cannot start the executor."""

    def kill(self, agent_id: str, task_id: str) -> None:
        """Ends the task; harmless when it is gone, and when repeated."""

    def reconcile(self, tasks: Iterable[tuple[str, str]]) -> None:
        """Report the present state of tasks, given as pairs of agent id and task id."""


def _kept_form(task: Task) -> bytes:
    return _SEQUENCE.pack(task.sequence) + encoded(task.struct())


def kept_task(data: bytes) -> Task:
    (sequence,) = _SEQUENCE.unpack_from(data)
    """A task from what was kept of it."""
    return from_struct(decoded(api.ScheduledTask, data[_SEQUENCE.size :]), sequence)


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
        # What the client left unset is false by now, as in Aurora, whatever Mesos' own default is.
        uris=tuple(
            sorted(
                (uri.value, uri.outputFile or "", bool(uri.extract), bool(uri.cache))
                for uri in config.mesosFetcherUris or ()
            )
        ),
    )


class Scheduler:
    """All calls come from one thread (that of the event loop)."""

    def __init__(
        self,
        settings: ClusterSettings,
        clock: Clock,
        driver: Driver,
        scheduler_host: str,
        journal: Journal | None = None,
    ) -> None:
        # A pattern that does not compile must be seen at start-up, not by the first client.
        re.compile(settings.allowed_environments)
        self.settings = settings
        self.clock = clock
        self.journal: Journal = Forgetful() if journal is None else journal
        self.store = TaskStore()
        self.manager = StateManager(self.store, clock, settings, scheduler_host, self)
        parts = (self.store, self.manager, clock, settings, self.journal)
        self.cron = CronBook(*parts)
        self.updates = Updates(*parts)
        self.maintenance = Maintenance(*parts, self._modes_changed)
        self.quotas = Quotas(self.store, self.cron.entries, self.updates, settings.quotas, self.journal)
        self.queue = PendingQueue(Amount(cpu=milli(settings.executor_cpus), ram=settings.executor_ram_mb))
        self.hosts: dict[str, Host] = {}
        self._driver = driver
        self._round: Timer | None = None
        self._periodic: dict[str, Timer] = {}
        self._timeouts: dict[str, Timer] = {}
        self._kills: dict[str, Timer] = {}
        self._stopped = False
        self.backups = Backups(settings.backup_dir, kept_task)
        self.on_recovery: Callable[[Iterable[Entry]], None] = lambda _: None
        """Told what shall be the storage of the next leader.  Raises OSError."""
        self.rounds = 0
        self.round_seconds = 0.0

    def restore(self, kept: Mapping[str, list[tuple[str, bytes]]]) -> None:
        """Go on from what an earlier leader kept.  For a scheduler that was not started yet."""
        self.quotas.restore(kept.get("quota", ()))
        self.maintenance.restore(kept.get("host", ()))
        crons = (decoded(api.JobConfiguration, data) for _, data in kept.get("cron", ()))
        self.cron.restore((key_of(job.key), job) for job in crons)
        tasks = [kept_task(data) for _, data in kept.get("task", ())]
        self.manager.restore(tasks)
        for task in tasks:
            if task.status == Status.PENDING:
                self.queue.add(task)
            elif task.status in TRANSIENT_STATES:
                self._time_out_later(task)
                if task.status in LEAVING_STATES:
                    self._kill_again(task, self.settings.kill_retry_first)
        self.updates.restore(data for _, data in kept.get("update", ()))

    def remembered(self) -> Iterator[tuple[str, str, bytes]]:
        """Everything that has to be kept, as kind, key and value."""
        for task in self.store.all():
            yield "task", task.task_id, _kept_form(task)
        for key, job in self.cron.entries.items():
            yield "cron", str(key), encoded(job)
        for update in self.updates.all():
            yield "update", update.update_id, encoded(update.details())
        yield from (("quota", role, data) for role, data in self.quotas.written())
        yield from (("host", host, data) for host, data in self.maintenance.written())

    def recover(self) -> None:
        """What is left of the loaded backup becomes the storage, and this scheduler ends. Raises
        RecoveryError and OSError."""
        self.on_recovery(self.backups.left())
        self.stop()

    def start(self) -> None:
        """Begin with the work that comes by itself."""
        settings = self.settings
        self._every("prune", settings.prune_interval, self._prune)
        self._every("preempt", settings.preemption_interval, self._preempt)
        self._every("reconcile", settings.reconciliation_interval, self.reconcile)
        self.cron.start()
        self.updates.resume_all()
        self._request_round()

    def _every(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        def again() -> None:
            self._every(name, seconds, work)
            work()

        self._periodic[name] = self.clock.call_later(seconds, again)

    def stop(self) -> None:
        """No task is started or replaced on a host any more; repeated calls are harmless."""
        self._stopped = True
        timers = (*self._periodic.values(), *self._timeouts.values(), *self._kills.values())
        for timer in (self._round, *timers):
            if timer is not None:
                timer.cancel()
        self._periodic.clear()
        self._timeouts.clear()
        self._kills.clear()
        self.cron.stop()
        self.updates.stop()
        self.maintenance.stop()
        self.manager.stop()

    def reconcile(self) -> None:
        """Ask for the present state of every task that is on an agent."""
        placed = [(t.agent_id, t.task_id) for t in self.store.active() if t.agent_id is not None]
        self._driver.reconcile(placed)

    def add_host(self, host: Host) -> None:
        """A host whose tasks, if it has any of ours, keep their places."""
        for task in self.store.active():
            if task.agent_id == host.agent_id:
                host.hold(self.queue.needs(task), task.ports)
        self.hosts[host.agent_id] = host
        self.maintenance.know(host.name)
        host.mode = self.maintenance.mode(host.name).name
        self._request_round()

    def remove_host(self, agent_id: str) -> None:
        self.hosts.pop(agent_id, None)

    def resources_freed(self) -> None:
        """There is more room on some host."""
        self._request_round()

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
        self.journal.put("task", task.task_id, lambda: _kept_form(task))
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
            self.maintenance.task_ended(task)
        elif task.status in TRANSIENT_STATES and not self._stopped:
            self._time_out_later(task)
        self.updates.task_changed(task, before)

    def task_removed(self, task: Task, before: Status) -> None:
        self.journal.delete("task", task.task_id)
        if before in WAITING_STATES:
            self.queue.remove(task)
            self.updates.task_changed(task, before)

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

        self._kills[task.task_id] = self.clock.call_later(wait, again)

    # Rounds

    def _request_round(self) -> None:
        if self._round is None and not self._stopped and len(self.queue):
            self._round = self.clock.call_later(self.settings.scheduling_delay, self._run_round)

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

    def _time_out_later(self, task: Task) -> None:
        held = task.status
        since = (self.clock.now_ms() - task.changed_ms) / 1000
        left = max(0.0, self.settings.transient_timeout - max(0.0, since))
        self._timeouts[task.task_id] = self.clock.call_later(left, lambda: self._expire(task, held))

    def _expire(self, task: Task, held: Status) -> None:
        self._timeouts.pop(task.task_id, None)
        if task.status == held:
            self.manager.change(task, Status.LOST, _TIMED_OUT)

    def _prune(self) -> None:
        for task in history.prunable(self.store, self.settings, self.clock.now_ms()):
            self.manager.prune(task)
        self.updates.prune()

    def _modes_changed(self) -> None:
        for host in self.hosts.values():
            host.mode = self.maintenance.mode(host.name).name
        self._request_round()

    def _preempt(self) -> None:
        """Make room for the first of each line that waited long enough."""
        latest = self.clock.now_ms() - self.settings.preemption_delay * 1000
        for task in self.queue.heads():
            if task.changed_ms <= latest:
                self._preempt_for(task)

    def _preempt_for(self, waiting: Task) -> None:
        limits = self._limits_of(waiting.key)
        on_hosts: dict[str, list[tuple[Task, Amount]]] = {}
        for task in self.store.active():
            if task.agent_id is not None:
                on_hosts.setdefault(task.agent_id, []).append((task, self.queue.needs(task)))
        for host in self.hosts.values():
            there = on_hosts.get(host.agent_id, [])
            chosen = preemption.victims(waiting, self.queue.needs(waiting), host, there, limits)
            if chosen is not None:
                for victim in chosen:
                    text = f"Preempting in favor of {waiting.task_id}"
                    self.manager.change(victim, Status.PREEMPTING, text)
                return
