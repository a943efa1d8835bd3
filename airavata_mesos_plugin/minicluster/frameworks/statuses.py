"""What frameworks are told of their tasks, and what room the tasks hold until they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.frameworks.framework import Framework
from airavata_mesos_plugin.minicluster.frameworks.updates import Update, Updates, described
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.mesos.task import EXECUTOR, MASTER, MesosTask, Status, TaskKey
from airavata_mesos_plugin.minicluster.room import Room
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount
from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST

_AWARE_ONLY = frozenset(
    ["TASK_UNREACHABLE", "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN"]
)
"""States that frameworks without PARTITION_AWARE are told as TASK_LOST."""


class Statuses:
    def __init__(
        self,
        clock: Clock,
        master: Master,
        lines: Updates,
        send: Callable[[str, Update], None],
        freed: Callable[[], None],
    ) -> None:
        """``send`` takes a framework's id and an update that comes once; ``freed`` is called when a task has
        given its room back."""
        self._clock = clock
        self._master = master
        self._lines = lines
        self._send = send
        self._freed = freed
        self._held: dict[TaskKey, tuple[Room, Amount]] = {}

    def launched(self, framework: Framework, task: MesosTask, amount: Amount) -> None:
        """A task is about to be sent to its agent, whose room it holds until it ends."""
        framework.tasks[task.launch.task_id] = task
        room = self._master.agents[task.agent_id].room
        room.hold(framework.id, amount, task.launch.ports.values())
        self._held[task.key] = (room, amount)

    def _release(self, task: MesosTask) -> None:
        held = self._held.pop(task.key, None)
        if held is not None:
            room, amount = held
            room.give_back(task.framework_id, amount, task.launch.ports.values())
            self._freed()

    def _now(self, state: str, message: str, reason: str) -> Status:
        return Status(state, self._clock.now_ms() / 1000, message, reason, MASTER)

    def tell(
        self, framework: Framework, task_id: str, agent_id: str, state: str, message: str, reason: str
    ) -> None:
        """A status that the master makes by itself: it comes once, and is not to be acknowledged."""
        if state in _AWARE_ONLY and not framework.can("PARTITION_AWARE"):
            state = "TASK_LOST"
        status = self._now(state, message, reason)
        update = described(task_id, agent_id, status)
        if state == "TASK_UNREACHABLE":
            update["unreachable_time"] = {"nanoseconds": int(status.when * 1e9)}
        self._send(framework.id, update)

    def over(self, task: MesosTask) -> None:
        """Nobody is told of the task any more."""
        if task.ended:
            self._release(task)
            self._master.finished(task)

    def reported(self, framework: Framework | None, task: MesosTask, status: Status) -> None:
        """A task has a new state. Of a framework that a new master has not heard of yet (None) the agents
        keep the updates.
        """
        if status.ended:
            self._release(task)
        task_id = task.launch.task_id
        if status.source == MASTER:
            if framework is not None:
                said = (status.state, status.message or "", status.reason)
                self.tell(framework, task_id, task.agent_id, *said)
            if status.ended:
                self._finish(framework, task)
            return
        if framework is not None:
            framework.tasks[task_id] = task
        update = described(task_id, task.agent_id, status)
        update["executor_id"] = {"value": task.launch.executor_id}
        if status.source == EXECUTOR:
            update["container_status"] = _container(task)
        self._lines.add(task, update)

    def back(self, framework: Framework, task: MesosTask, news: Sequence[Status]) -> None:
        """The agent of a task is back, with ``news`` of it."""
        known = task.statuses[: len(task.statuses) - len(news)]
        state = known[-1].state if known else "TASK_STAGING"
        task_id = task.launch.task_id
        framework.tasks[task_id] = task
        reason = "REASON_AGENT_REREGISTERED"
        self.tell(framework, task_id, task.agent_id, state, "Agent reregistered", reason)
        for status in news:
            self.reported(framework, task, status)

    def acknowledged(self, framework: Framework, task_id: str, agent_id: str, token: str) -> None:
        """An update has arrived; the next one of the task may come."""
        state = self._lines.acknowledge((framework.id, task_id), agent_id, token)
        task = framework.tasks.get(task_id)
        if state is not None and Status(state, 0.0).ended and task is not None:
            self._finish(framework, task)

    def _finish(self, framework: Framework | None, task: MesosTask) -> None:
        if framework is not None:
            framework.tasks.pop(task.launch.task_id, None)
        self._master.finished(task)

    def framework_removed(self, task: MesosTask) -> None:
        """The task is over for the master; its agent is told to end it."""
        self._release(task)
        if not task.ended:
            # A copy: the agent goes on with its own view until it has ended the task.
            task = replace(task, statuses=list(task.statuses))
            task.mark(self._now("TASK_KILLED", "Framework removed", "REASON_FRAMEWORK_REMOVED"))
        self._master.finished(task)


def _container(task: MesosTask) -> dict[str, object]:
    address = {"ip_address": LISTEN_HOST, "protocol": "IPv4"}
    return {
        "container_id": {"value": task.container_id},
        "executor_pid": task.executor_pid,
        "network_infos": [{"ip_addresses": [address]}],
    }
