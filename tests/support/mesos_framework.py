"""An adapter on a real Mesos in this process, with a ledger that outlives it."""

from __future__ import annotations

import getpass
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import Unreachable
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import Submission, TaskObservation
from airavata_mesos_plugin.schedulers.mesos.scheduler import MesosScheduler
from airavata_mesos_plugin.service.parts import make_scheduler
from airavata_mesos_plugin.store import Ledger
from tests.realmesos.cluster import RealMesosCluster
from tests.support.waiting import wait_for

_NUMBERS = itertools.count(1)
CLUSTER = "testing"

PATIENT_AGENTS = ("--executor_reregistration_timeout=6secs",)
"""Flags of agents that are started again: a machine may stand still for longer than the usual two seconds,
after which they end what they find running."""


class Gateway:
    """The daemon's side of a cluster, as far as the adapter is it: started and ended at will."""

    def __init__(self, directory: Path, cluster: RealMesosCluster, settings: Mapping[str, Any]) -> None:
        self.directory = directory
        self.cluster = cluster
        self._settings = ClusterSettings.model_validate(
            {
                "name": CLUSTER,
                "kind": "mesos",
                "mesos_masters": [cluster.url(master) for master in cluster.masters],
                **settings,
            }
        )
        self._clock = SystemClock()
        self.ledger = Ledger(directory / "ledger.sqlite", self._clock)
        self.notes = self.ledger.notes(CLUSTER)
        self._scheduler: MesosScheduler | None = None

    @property
    def scheduler(self) -> MesosScheduler:
        """The adapter, made when there is none."""
        if self._scheduler is None:
            made = make_scheduler(self._settings, self._clock, self.notes)
            assert isinstance(made, MesosScheduler)
            self._scheduler = made
        return self._scheduler

    def end(self) -> None:
        """End the adapter; the next use makes another on the same ledger."""
        if self._scheduler is not None:
            self._scheduler.close()
            self._scheduler = None

    def close(self) -> None:
        self.end()
        self.ledger.close()

    def submit(self, command: str, *, cpus: float = 0.5, **members: Any) -> JobKey:
        """A job that must be accepted."""
        key = JobKey("www", "prod", f"job-{next(_NUMBERS)}")
        (result,) = self.scheduler.submit([Submission(key, document(key, command, cpus=cpus, **members))])
        assert result.error is None, result.error
        return key

    def see(self, key: JobKey) -> TaskObservation | None:
        """What is known of a job; None while nothing is, or nobody can be asked."""
        try:
            return self.scheduler.poll([key]).get(key)
        except Unreachable:
            return None

    def until(
        self, key: JobKey, good: Callable[[TaskObservation], bool], *, seconds: float = 60.0
    ) -> TaskObservation:
        """Wait until the job is as wanted; what is known of it then."""

        def fits(seen: TaskObservation | None) -> bool:
            return seen is not None and good(seen)

        found = wait_for(lambda: self.see(key), fits, "as wanted", seconds=seconds)
        assert found is not None
        return found

    def known(self, key: JobKey) -> TaskObservation:
        """What is known of a job once the scheduler answers."""
        return self.until(key, lambda _: True)

    def running(self, key: JobKey) -> TaskObservation:
        return self.until(key, lambda seen: seen.phase is JobPhase.RUNNING)

    def ended(self, key: JobKey, *, seconds: float = 60.0) -> TaskObservation:
        return self.until(key, lambda seen: seen.phase.final, seconds=seconds)

    def script(self, name: str) -> tuple[str, Path, Path]:
        """A command that tells that it ran and goes on until it may end; what it tells in; what lets it."""
        ran, go = self.directory / f"{name}.ran", self.directory / f"{name}.go"
        return f"echo run >> {ran}; while [ ! -e {go} ]; do sleep 0.05; done", ran, go

    def tasks(self) -> dict[str, str]:
        """The tasks of this framework that the leading master counts as active, with their states."""
        found = self.cluster.get(self.cluster.leader(), "/tasks?limit=10000")["tasks"]
        mine = [one for one in found if one["framework_id"] == self.scheduler.framework_id]
        return {one["id"]: one["state"] for one in mine if one["state"] not in ENDED}


ENDED = frozenset(
    f"TASK_{word}" for word in ("FINISHED", "FAILED", "KILLED", "ERROR", "LOST", "DROPPED", "GONE")
)


def document(
    key: JobKey, command: str, *, cpus: float = 0.5, count: int = 1, **members: Any
) -> dict[str, Any]:
    """A job of ``count`` tasks that run a shell command."""
    task = {
        "user": getpass.getuser(),
        "arguments": ["/bin/sh", "-c", command],
        "resources": {"cpus": cpus, "mem": 32},
        "kill_grace_seconds": 1,
    }
    return {
        "role": key.role,
        "environment": key.environment,
        "name": key.name,
        "tasks": [task] * count,
        **members,
    }


@contextmanager
def gateway(
    directory: Path, cluster: RealMesosCluster, settings: Mapping[str, Any] | None = None
) -> Iterator[Gateway]:
    """A gateway; ``settings`` are those of its cluster."""
    made = Gateway(directory, cluster, settings or {})
    try:
        yield made
    finally:
        made.close()


def executor_of(task_id: str) -> int:
    """The process that Mesos started for a task."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"MESOS_EXECUTOR_ID={task_id}".encode() in environment and b"mesos-executor" in command:
                return int(entry.name)
    raise AssertionError(f"no executor of {task_id}")


def lines(path: Path) -> Sequence[str]:
    """The lines of a file that may not be there."""
    return path.read_text().splitlines() if path.exists() else []
