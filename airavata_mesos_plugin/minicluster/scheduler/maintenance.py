"""Hosts taken out of use for maintenance (Aurora 0.22)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import Clock, Timer
from airavata_mesos_plugin.minicluster.scheduler import sla
from airavata_mesos_plugin.minicluster.scheduler.journal import Journal, decoded, encoded
from airavata_mesos_plugin.minicluster.scheduler.manager import StateManager
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_DRAINED = "Draining machine for maintenance."


class Mode(IntEnum):
    NONE = 1
    SCHEDULED = 2
    DRAINING = 3
    DRAINED = 4


class _SlaDrain(NamedTuple):
    policy: Any
    force_at_ms: int


class Maintenance:
    """Hosts are known by name, once they have offered anything; unknown ones are left out of answers."""

    def __init__(
        self,
        store: TaskStore,
        manager: StateManager,
        clock: Clock,
        settings: ClusterSettings,
        journal: Journal,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._manager = manager
        self._clock = clock
        self._settings = settings
        self._journal = journal
        self._changed = changed
        self._modes: dict[str, Mode] = {}
        self._gentle: dict[str, _SlaDrain] = {}
        self._poll: Timer | None = None

    def know(self, host: str) -> None:
        self._modes.setdefault(host, Mode.NONE)

    def mode(self, host: str) -> Mode:
        return self._modes.get(host, Mode.NONE)

    def known(self, hosts: Iterable[str]) -> list[tuple[str, Mode]]:
        return [(host, self._modes[host]) for host in hosts if host in self._modes]

    def all(self) -> dict[str, Mode]:
        return dict(self._modes)

    def schedule(self, hosts: Iterable[str]) -> None:
        """Tasks still land there."""
        for host, _ in self.known(hosts):
            self._set(host, Mode.SCHEDULED)

    def end(self, hosts: Iterable[str]) -> None:
        for host, _ in self.known(hosts):
            self._gentle.pop(host, None)
            self._set(host, Mode.NONE)

    def drain(self, hosts: Iterable[str]) -> None:
        """Take every task away at once."""
        for host, _ in self.known(hosts):
            self._gentle.pop(host, None)
            self._set(host, Mode.DRAINING)
            for task in self.tasks_on(host):
                self._manager.change(task, Status.DRAINING, _DRAINED)
            self._finish(host)

    def drain_gently(self, hosts: Iterable[str], policy: Any, timeout_secs: int) -> None:
        """Take each task away when its own policy, or else `policy`, permits it, and all of them after
        `timeout_secs`."""
        force_at = self._clock.now_ms() + timeout_secs * 1000
        for host, _ in self.known(hosts):
            self._gentle[host] = _SlaDrain(policy, force_at)
            self._set(host, Mode.DRAINING)
            self._finish(host)
        self._poll_later()

    def tasks_on(self, host: str) -> list[Task]:
        return [task for task in self._store.active() if task.host == host]

    def task_ended(self, task: Task) -> None:
        if task.host is not None and self._modes.get(task.host) is Mode.DRAINING:
            self._finish(task.host)

    def stop(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None

    def restore(self, hosts: Iterable[tuple[str, bytes]]) -> None:
        for host, data in hosts:
            mode, force_at, policy = json.loads(data)
            self._modes[host] = Mode(mode)
            if force_at is not None:
                struct = None if policy is None else decoded(api.SlaPolicy, bytes.fromhex(policy))
                self._gentle[host] = _SlaDrain(struct, force_at)
        self._poll_later()

    def _set(self, host: str, mode: Mode) -> None:
        self._modes[host] = mode
        self._journal.put("host", host, lambda: self._written(host))
        self._changed()

    def written(self) -> Iterator[tuple[str, bytes]]:
        return ((host, self._written(host)) for host in self._modes)

    def _written(self, host: str) -> bytes:
        gentle = self._gentle.get(host)
        if gentle is None:
            return json.dumps([self._modes[host], None, None]).encode()
        policy = None if gentle.policy is None else encoded(gentle.policy).hex()
        return json.dumps([self._modes[host], gentle.force_at_ms, policy]).encode()

    def _finish(self, host: str) -> None:
        if not self.tasks_on(host):
            self._gentle.pop(host, None)
            self._set(host, Mode.DRAINED)

    def _poll_later(self) -> None:
        if self._gentle and self._poll is None:
            self._poll = self._clock.call_later(self._settings.maintenance_poll_interval, self._look)

    def _look(self) -> None:
        self._poll = None
        now = self._clock.now_ms()
        for host, request in list(self._gentle.items()):
            for task in self.tasks_on(host):
                policy = task.config.slaPolicy or request.policy
                forced = now >= request.force_at_ms
                if forced or sla.may_go(self._store, task, policy, self._settings, now):
                    self._manager.change(task, Status.DRAINING, _DRAINED)
        self._poll_later()
