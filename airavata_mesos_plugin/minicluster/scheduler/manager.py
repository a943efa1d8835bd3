"""Applies transitions: the only code that changes a task."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable
from random import Random
from typing import Any, Protocol

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.scheduler import throttle
from airavata_mesos_plugin.minicluster.scheduler.names import key_of, task_id
from airavata_mesos_plugin.minicluster.scheduler.status import (
    EFFECTS,
    STRAY_KILL_FROM,
    STRAY_KILL_TO,
    TRANSITIONS,
    Effect,
    Status,
    should_retry,
)
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_PARTITION_TIMEOUT = "Task partitioned for too long."
_ACTED_ON = "Action performed on partitioned task, marking as LOST."


def _without_earlier_partitions(events: list[Any]) -> list[Any]:
    """Only the latest time away is told, so that a bad network does not make the list grow."""
    kept: list[Any] = []
    for event in events:
        if event.status == Status.PARTITIONED or (kept and kept[-1].status == event.status):
            continue
        kept.append(event)
    return kept


class Listener(Protocol):
    """Told of every change after it was made."""

    def task_changed(self, task: Task, before: Status) -> None:
        """The task has a new status."""

    def task_removed(self, task: Task, before: Status) -> None:
        """The task is gone from the store."""

    def kill_wanted(self, task: Task) -> None:
        """The task's processes have to be ended, if there are any."""


class StateManager:
    def __init__(
        self,
        store: TaskStore,
        clock: Clock,
        settings: ClusterSettings,
        scheduler_host: str,
        listener: Listener,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._scheduler_host = scheduler_host
        self._listener = listener
        self._sequence = itertools.count()
        self._random = Random()
        self.ignored_transitions = 0
        self._stopped = False

    def stop(self) -> None:
        """What was to happen later by itself does not any more."""
        self._stopped = True

    def restore(self, tasks: list[Task]) -> None:
        """Tasks of an earlier leader, waits and timeouts included; nobody is told of them as of changes."""
        for task in sorted(tasks, key=lambda task: (task.changed_ms, task.sequence)):
            self._store.restore(task)
        self._sequence = itertools.count(max((task.sequence for task in tasks), default=-1) + 1)
        for task in tasks:
            if task.status == Status.THROTTLED:
                self._end_throttle_later(task)
            elif task.status == Status.PARTITIONED:
                self._apply_partition_policy(task)

    def create(self, config: Any, instances: Iterable[int]) -> None:
        """One new PENDING task per instance."""
        key = key_of(config.job)
        for instance in instances:
            identity = task_id(key, instance, str(uuid.uuid4()))
            self._insert(Task(identity, instance, config, next(self._sequence)), Status.PENDING, None)

    def change(self, task: Task, to: Status, message: str | None = None) -> bool:
        """Try a transition.  False when the task already is in that state or the tables forbid it."""
        before = task.status
        if to == before:
            return False
        if to not in TRANSITIONS[before]:
            self.ignored_transitions += 1
            if before in STRAY_KILL_FROM and to in STRAY_KILL_TO:
                self._listener.kill_wanted(task)
            return False
        effects = EFFECTS.get((before, to), ())
        if Effect.DELETE in effects:
            self._remove(task)
            return True
        self._save(task, to, message, Effect.COUNT_FAILURE in effects)
        self._listener.task_changed(task, before)
        self._follow_up(task, effects)
        return True

    def _save(self, task: Task, to: Status, message: str | None, count_failure: bool) -> None:
        before, task.status = task.status, to
        if count_failure:
            task.failures += 1
        if to == Status.PARTITIONED:
            task.times_partitioned += 1
            task.events = _without_earlier_partitions(task.events)
        event = api.TaskEvent(
            timestamp=self._clock.now_ms(), status=int(to), message=message, scheduler=self._scheduler_host
        )
        task.events.append(event)
        task.changed()
        self._store.moved(task, before)

    def _follow_up(self, task: Task, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if effect is Effect.REPLACE or self._replaces(task, effect):
                self._replace(task)
            elif effect is Effect.LOSE:
                self.change(task, Status.LOST)
            elif effect is Effect.LOSE_ACTED_ON:
                self.change(task, Status.LOST, _ACTED_ON)
            elif effect is Effect.KILL:
                self._listener.kill_wanted(task)
        if task.status == Status.PARTITIONED:
            self._apply_partition_policy(task)

    def _replaces(self, task: Task, effect: Effect) -> bool:
        if effect is Effect.REPLACE_SERVICE:
            return bool(task.config.isService)
        if effect is Effect.REPLACE_RETRY:
            before = task.failures - 1
            return bool(task.config.isService) or should_retry(task.config.maxTaskFailures, before)
        if effect is Effect.REPLACE_UNLESS_KILLED:
            return all(event.status != Status.KILLING for event in task.events)
        return False

    def _replace(self, old: Task) -> None:
        identity = task_id(old.key, old.instance, str(uuid.uuid4()))
        task = Task(identity, old.instance, old.config, next(self._sequence), ancestor=old)
        penalty = throttle.penalty_secs(self._store, old, self._settings, self._random)
        if penalty == 0:
            self._insert(task, Status.PENDING, "Rescheduled")
            return
        ms = round(penalty * 1000)
        self._insert(task, Status.THROTTLED, f"Rescheduled, penalized for {ms} ms for flapping")
        self._end_throttle_later(task)

    def _end_throttle_later(self, task: Task) -> None:
        wait = throttle.penalty_secs(self._store, task, self._settings, self._random)
        self._clock.call_later(wait, lambda: self._end_throttle(task))

    def _end_throttle(self, task: Task) -> None:
        if not self._stopped and task.status == Status.THROTTLED and self._store.get(task.task_id) is task:
            self.change(task, Status.PENDING)

    def _apply_partition_policy(self, task: Task) -> None:
        policy = task.config.partitionPolicy
        if policy is None:
            self.change(task, Status.LOST, _PARTITION_TIMEOUT)
        elif policy.reschedule:
            cycle = task.times_partitioned
            self._clock.call_later(policy.delaySecs, lambda: self._partition_over(task, cycle))

    def _partition_over(self, task: Task, cycle: int) -> None:
        if not self._stopped and task.status == Status.PARTITIONED and task.times_partitioned == cycle:
            self.change(task, Status.LOST, _PARTITION_TIMEOUT)

    def _insert(self, task: Task, status: Status, message: str | None) -> None:
        self._store.add(task)
        self._save(task, status, message, count_failure=False)
        self._listener.task_changed(task, Status.INIT)

    def assign(self, task: Task, agent_id: str, host: str, ports: dict[str, int]) -> bool:
        """PENDING to ASSIGNED with the place it goes to."""
        if task.status != Status.PENDING:
            return False
        task.agent_id, task.host, task.ports = agent_id, host, ports
        return self.change(task, Status.ASSIGNED)

    def prune(self, task: Task) -> None:
        """Remove an ended task from the history."""
        self.change(task, Status.DELETED)

    def _remove(self, task: Task) -> None:
        before, task.status = task.status, Status.DELETED
        self._store.remove(task)
        self._listener.task_removed(task, before)
