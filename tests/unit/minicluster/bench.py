"""A scheduler on a bench: a fake way to the agents, and time that is moved by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import ManualClock
from airavata_mesos_plugin.minicluster.probe import job
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.handler import Handler
from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings


class Bench:
    """A scheduler with one host of two cores."""

    def __init__(self, driver: Any, work_dir: Path = Path("unused"), **settings: Any) -> None:
        self.clock = ManualClock()
        self.driver = driver
        self.settings = ClusterSettings(work_dir=work_dir, **settings)
        self.scheduler = Scheduler(self.settings, self.clock, driver, "scheduler-1")
        self.scheduler.start()
        total = Amount(cpu=2000, ram=4096, disk=4096, ports=10)
        self.scheduler.add_host(Host("S0", "node1", {"host": ("node1",)}, total, (31000, 31009)))
        self.handler = Handler(self.scheduler)

    def add_host(self, number: int, cpu: int = 2000, **attributes: tuple[str, ...]) -> None:
        """Host `node<number + 1>` with the agent id `S<number>`."""
        name = f"node{number + 1}"
        first = 31000 + 10 * number
        total = Amount(cpu=cpu, ram=4096, disk=4096, ports=10)
        shown = {"host": (name,), **attributes}
        self.scheduler.add_host(Host(f"S{number}", name, shown, total, (first, first + 9)))

    def ok(self, method: str, **arguments: Any) -> Any:
        """The answer to a call that has to go well."""
        answer = self.call(method, **arguments)
        assert answer.responseCode == api.ResponseCode.OK, answer.details
        return answer

    def run(self, name: str = "j") -> list[Task]:
        """Everything placed of a job comes to run; its active tasks by instance."""
        for task in self.of(name):
            if task.status.name in ("ASSIGNED", "STARTING"):
                self.report(task, "STARTING", "RUNNING")
        return self.active(name)

    def active(self, name: str = "j") -> list[Task]:
        return sorted((t for t in self.of(name) if t.active), key=lambda task: task.instance)

    def kills_take_effect(self) -> None:
        """The agents answer every kill that was sent."""
        for task in list(self.scheduler.store.active()):
            if task.status.name in ("KILLING", "RESTARTING", "DRAINING", "PREEMPTING"):
                self.report(task, "KILLED")

    def call(self, method: str, **arguments: Any) -> Any:
        return self.handler.call(method, _Arguments(**arguments))

    def create(self, configuration: Any) -> Any:
        return self.call("createJob", description=configuration)

    def created(self, name: str = "j", **members: Any) -> list[Task]:
        answer = self.create(job(name, "{}", **members))
        assert answer.responseCode == api.ResponseCode.OK, answer.details
        self.clock.advance(0.01)
        return self.of(name)

    def of(self, name: str = "j") -> list[Task]:
        return sorted(
            self.scheduler.store.of_job(JobKey("www", "devel", name)), key=lambda task: task.sequence
        )

    def report(self, task: Task, *states: str, message: str | None = None) -> None:
        for state in states:
            self.scheduler.status_update(task.task_id, f"TASK_{state}", message)
            self.clock.advance(0.01)


class _Arguments:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def messages(answer: Any) -> list[str | None]:
    return [detail.message for detail in answer.details]


def code(answer: Any) -> str:
    return str(api.ResponseCode._VALUES_TO_NAMES[answer.responseCode])
