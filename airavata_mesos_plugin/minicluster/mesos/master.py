"""The master's view: agents, frameworks, and their tasks."""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import dataclass

from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask, TaskKey

COMPLETED_FRAMEWORKS = 50


@dataclass
class FrameworkRecord:
    """What the master shows of a framework; times in seconds since the epoch."""

    framework_id: str
    name: str
    user: str = ""
    roles: tuple[str, ...] = ("*",)
    multi_role: bool = False
    principal: str = ""
    hostname: str = ""
    webui_url: str = ""
    failover_timeout: float = 0.0
    checkpoint: bool = False
    capabilities: tuple[str, ...] = ()
    active: bool = True
    connected: bool = True
    recovered: bool = False
    registered_time: float = 0.0
    reregistered_time: float | None = None
    unregistered_time: float = 0.0


class Master:
    def __init__(self, cluster_name: str, max_completed_tasks: int) -> None:
        self.master_id = str(uuid.uuid4())
        self.framework_id = f"{self.master_id}-0000"
        """That of Aurora."""
        self.cluster_name = cluster_name
        self.start_time = time.time()
        self.port = 0
        """Of the leading master."""
        self.scheduler_url = ""
        self.agents: dict[str, Agent] = {}
        self._agents_seen = 0
        self._frameworks_seen = 1
        self.frameworks: dict[str, FrameworkRecord] = {}
        """Those that came by the scheduler API."""
        self.completed_frameworks: deque[FrameworkRecord] = deque(maxlen=COMPLETED_FRAMEWORKS)
        self.active: dict[TaskKey, MesosTask] = {}
        self.unreachable: dict[TaskKey, MesosTask] = {}
        """Tasks of agents that are cut off, as they were seen last."""
        self.unreachable_agents: set[str] = set()
        self.out_of_reach: set[str] = set()
        """Agents that do not answer, for a while or for good."""
        self.gone_agents: set[str] = set()
        """Agents that an operator has given up."""
        self.recovered_agents: dict[str, Agent] = {}
        """Agents that a new leader knows of and that have not come to it yet."""
        self.completed: deque[MesosTask] = deque(maxlen=max_completed_tasks)

    def begin_anew(self, master_id: str) -> None:
        """Another master leads: of all that this one knew, it knows which agents there are."""
        self.master_id, self.start_time = master_id, time.time()
        self.recovered_agents.update(self.agents)
        for known in (self.agents, self.active, self.unreachable, self.frameworks):
            known.clear()
        self.completed.clear()
        self.completed_frameworks.clear()

    def next_agent_id(self) -> str:
        self._agents_seen += 1
        return f"{self.master_id}-S{self._agents_seen - 1}"

    def next_framework_id(self) -> str:
        self._frameworks_seen += 1
        return f"{self.master_id}-{self._frameworks_seen - 1:04d}"

    def add(self, task: MesosTask) -> None:
        self.active[task.key] = task

    def forget(self, task: MesosTask) -> None:
        """The task was never started."""
        self.active.pop(task.key, None)

    def updated(self, task: MesosTask) -> None:
        """The task has a new state.  Aurora's ended tasks are completed at once; those of other frameworks
        when the end was acknowledged."""
        if task.ended and task.framework_id == self.framework_id:
            self.finished(task)

    def finished(self, task: MesosTask) -> None:
        """The task is over for everybody.  Harmless for one that is not known any more."""
        known = [tasks.pop(task.key, None) for tasks in (self.active, self.unreachable)]
        if any(known):
            self.completed.append(task)
