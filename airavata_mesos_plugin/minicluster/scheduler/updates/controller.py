"""Carries updates out."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import Clock, Timer
from airavata_mesos_plugin.minicluster.scheduler import sla
from airavata_mesos_plugin.minicluster.scheduler.journal import Journal, decoded, encoded
from airavata_mesos_plugin.minicluster.scheduler.manager import StateManager
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.status import TERMINAL_STATES, Status
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.scheduler.updates.machine import (
    AWAITING,
    MOVING,
    PAUSED,
    TRANSITIONS,
    Action,
    UpdateStatus,
)
from airavata_mesos_plugin.minicluster.scheduler.updates.model import Update, from_details, newest_first
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

U = UpdateStatus
_TIMED_OUT = "Pulses from external service have timed out."
_PAUSED = "Update auto paused"
_ASKED_TO_GO = frozenset({Status.KILLING, Status.RESTARTING, Status.DRAINING, Status.PREEMPTING})


class Refused(ValueError):
    """An update cannot be moved so; the text is what the client reads."""


class Updates:
    """All updates, those that ended included, and the timers of those that go on."""

    def __init__(
        self,
        store: TaskStore,
        manager: StateManager,
        clock: Clock,
        settings: ClusterSettings,
        journal: Journal,
    ) -> None:
        self._store = store
        self._manager = manager
        self._clock = clock
        self._settings = settings
        self._journal = journal
        self._all: dict[str, Update] = {}
        self._active: dict[JobKey, Update] = {}
        self._timers: dict[str, Timer] = {}
        self._evaluating: set[str] = set()

    # Reading

    def all(self) -> list[Update]:
        return newest_first(self._all.values())

    def get(self, key: JobKey, update_id: str) -> Update | None:
        update = self._all.get(update_id)
        return update if update is not None and update.job == key else None

    def active_of(self, key: JobKey) -> Update | None:
        return self._active.get(key)

    def updating(self, role: str) -> list[JobKey]:
        return [key for key in self._active if key.role == role]

    def wanted_of(self, key: JobKey) -> Mapping[int, Any] | None:
        """For quota: what the instances of a job will have; None when it is not being updated."""
        update = self._active.get(key)
        if update is None:
            return None
        return update.after if update.forward else update.before

    # Life

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def restore(self, found: Iterable[bytes]) -> None:
        for data in found:
            update = from_details(decoded(api.JobUpdateDetails, data))
            self._all[update.update_id] = update
            if update.active:
                self._active[update.job] = update

    def resume_all(self) -> None:
        """Go on with what was restored. Updates that need pulses have to be pulsed anew."""
        for update in list(self._active.values()):
            self._evaluate(update)

    def start(
        self, key: Any, instructions: Any, metadata: frozenset[Any], user: str, message: str | None
    ) -> Update:
        """A new update of a job that has no active one."""
        update = Update(str(uuid.uuid4()), user, metadata, instructions, key)
        first = U.ROLLING_FORWARD
        if update.settings.blockIfNoPulsesAfterMs:
            first = U.ROLL_FORWARD_AWAITING_PULSE
        self._all[update.update_id] = update
        self._active[update.job] = update
        self._append(update, first, user, message)
        update.plan()
        # The caller's answer must not tell of what comes next.
        self._clock.call_later(0, lambda: self._evaluate(update))
        return update

    def move(self, update: Update, to: UpdateStatus, user: str, message: str | None) -> None:
        """A user's wish.  Nothing is recorded when the update is there already.  Raises Refused."""
        if to == update.status:
            return
        if to not in TRANSITIONS[update.status]:
            raise Refused(f"Cannot transition update from {update.status.name} to {to.name}")
        self._transition(update, to, user, message)

    def pause(self, update: Update, user: str, message: str | None) -> None:
        """Raises Refused."""
        self.move(update, PAUSED.get(update.status, U.ROLL_FORWARD_PAUSED), user, message)

    def resume(self, update: Update, user: str, message: str | None) -> None:
        """Raises Refused."""
        to = U.ROLLING_FORWARD if update.forward or not update.active else U.ROLLING_BACK
        if update.status != to and self._overdue(update):
            to = AWAITING[to]
        update.goes_on = True
        self.move(update, to, user, message)

    def pulse(self, key: JobKey, update_id: str) -> bool:
        """False when the update does not wait for pulses: ended, unknown, or without need of them."""
        update = self.get(key, update_id)
        if update is None or not update.active or not update.settings.blockIfNoPulsesAfterMs:
            return False
        update.last_pulse_ms = self._clock.now_ms()
        for moving, awaiting in AWAITING.items():
            if update.status == awaiting:
                self._transition(update, moving, None, None)
        return True

    def task_changed(self, task: Task, before: Status) -> None:
        """Also told of removals, with the status that the task had."""
        update = self._active.get(task.key)
        if update is None:
            return
        fell = task.status in TERMINAL_STATES and before not in _ASKED_TO_GO
        if fell and task.instance in update.working and task.config == update.wanted(task.instance):
            update.failures[task.instance] += 1
        # The replacement of an ended task is made in the same breath, and has to be there first.
        self._clock.call_later(0, lambda: self._evaluate(update))

    def prune(self) -> None:
        """Forget old ended updates, and those of jobs that are forgotten."""
        ended: defaultdict[JobKey, list[Update]] = defaultdict(list)
        for update in self.all():
            if not update.active:
                ended[update.job].append(update)
        oldest = self._clock.now_ms() - self._settings.update_history_max_age * 1000
        for key, updates in ended.items():
            gone = not any(True for _ in self._store.of_job(key))
            for position, update in enumerate(updates):
                many = position >= self._settings.update_history_max_per_job
                if gone or many or update.modified_ms <= oldest:
                    del self._all[update.update_id]
                    self._journal.delete("update", update.update_id)

    def _append(self, update: Update, to: UpdateStatus, user: str | None, message: str | None) -> None:
        update.events.append(
            api.JobUpdateEvent(status=int(to), timestampMs=self._clock.now_ms(), user=user, message=message)
        )
        self._save(update)

    def _save(self, update: Update) -> None:
        self._journal.put("update", update.update_id, lambda: encoded(update.details()))

    def _transition(self, update: Update, to: UpdateStatus, user: str | None, message: str | None) -> None:
        was_forward = update.forward
        self._append(update, to, user, message)
        if not update.active:
            self._active.pop(update.job, None)
            self._cancel_timer(update)
        elif update.forward != was_forward:
            update.plan()
        self._evaluate(update)

    # Carrying out

    def _overdue(self, update: Update) -> bool:
        block = update.settings.blockIfNoPulsesAfterMs
        if not block:
            return False
        last = update.last_pulse_ms
        return last is None or self._clock.now_ms() - last >= block

    def _evaluate(self, update: Update) -> None:
        """Do what can be done now.  Harmless at any time."""
        if update.update_id in self._evaluating:
            return
        self._evaluating.add(update.update_id)
        try:
            self._cancel_timer(update)
            if update.status in MOVING and self._overdue(update):
                self._append(update, AWAITING[update.status], None, _TIMED_OUT)
            while update.status in MOVING and self._step(update):
                pass
        finally:
            self._evaluating.discard(update.update_id)

    def _step(self, update: Update) -> bool:
        """True when the update's status changed on the way and has to be looked at anew."""
        waits = [wait for i in sorted(update.working) if (wait := self._judge(update, i)) is not None]
        if len(update.failed) > update.settings.maxFailedInstances:
            return self._give_up(update)
        while update.idle:
            room = update.portions.room(len(update.working), update.begun)
            if room <= 0:
                break
            if self._pauses_now(update):
                self._append(update, U.ROLL_FORWARD_PAUSED, None, _PAUSED)
                return True
            update.goes_on = False
            group, update.idle = update.idle[:room], update.idle[room:]
            update.begun += len(group)
            for instance in group:
                update.working.add(instance)
                update.note(
                    instance, Action.INSTANCE_UPDATING, Action.INSTANCE_ROLLING_BACK, self._clock.now_ms()
                )
                wait = self._judge(update, instance)
                if wait is not None:
                    waits.append(wait)
            self._save(update)
        if not update.working and not update.idle:
            end = U.ROLLED_FORWARD if update.forward else U.ROLLED_BACK
            self._append(update, end, None, None)
            self._active.pop(update.job, None)
            return True
        self._wake(update, waits)
        return False

    def _pauses_now(self, update: Update) -> bool:
        further = update.begun > 0 and not update.working
        return update.portions.autopause and update.forward and further and not update.goes_on

    def _give_up(self, update: Update) -> bool:
        message = f"Latest failure: instance {update.last_failed} exited."
        back = update.forward and update.settings.rollbackOnFailure
        self._append(update, U.ROLLING_BACK if back else U.FAILED, None, message)
        if back:
            update.plan()
        else:
            self._active.pop(update.job, None)
        return True

    def _wake(self, update: Update, waits: list[float]) -> None:
        block = update.settings.blockIfNoPulsesAfterMs
        if block and update.last_pulse_ms is not None:
            waits.append((update.last_pulse_ms + block - self._clock.now_ms()) / 1000)
        if waits:
            self._timers[update.update_id] = self._clock.call_later(
                max(0.0, min(waits)), lambda: self._evaluate(update)
            )

    def _cancel_timer(self, update: Update) -> None:
        timer = self._timers.pop(update.update_id, None)
        if timer is not None:
            timer.cancel()

    def _judge(self, update: Update, instance: int) -> float | None:
        """Move one instance on. Returns the seconds after which to look again, None when an event will tell
        or the instance is done."""
        wanted = update.wanted(instance)
        active = [t for t in self._store.active_of_job(update.job) if t.instance == instance]
        task = active[0] if active else None
        if update.failures[instance] > update.settings.maxPerInstanceFailures:
            self._done(update, instance, failed=True)
            return None
        if task is None:
            if wanted is None:
                self._done(update, instance)
            else:
                self._manager.create(wanted, [instance])
            return None
        if wanted is None or task.config != wanted:
            return self._remove(update, task)
        if task.status == Status.RUNNING:
            needed = update.settings.minWaitInInstanceRunningMs
            left: int = task.changed_ms + needed - self._clock.now_ms()
            if left > 0:
                return left / 1000
            self._done(update, instance)
        return None

    def _remove(self, update: Update, task: Task) -> float | None:
        if task.status in _ASKED_TO_GO:
            return None
        policy = task.config.slaPolicy if update.settings.slaAware else None
        now = self._clock.now_ms()
        if policy is not None and not sla.may_go(self._store, task, policy, self._settings, now):
            return self._settings.sla_retry_interval
        instance = task.instance
        self._manager.change(task, Status.KILLING, f"Killed for job update {update.update_id}")
        if self._store.get(task.task_id) is None:  # it had not begun, and is gone at once
            return self._judge(update, instance)
        return None

    def _done(self, update: Update, instance: int, failed: bool = False) -> None:
        update.working.discard(instance)
        now = self._clock.now_ms()
        if failed:
            update.failed.add(instance)
            update.last_failed = instance
            update.note(instance, Action.INSTANCE_UPDATE_FAILED, Action.INSTANCE_ROLLBACK_FAILED, now)
        else:
            update.note(instance, Action.INSTANCE_UPDATED, Action.INSTANCE_ROLLED_BACK, now)
        self._save(update)
