"""The master's view: agents, the one framework, and its tasks."""

from __future__ import annotations

import time
import uuid
from collections import deque

from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask


class Master:
    def __init__(self, cluster_name: str, max_completed_tasks: int) -> None:
        self.master_id = str(uuid.uuid4())
        self.framework_id = f"{self.master_id}-0000"
        self.cluster_name = cluster_name
        self.start_time = time.time()
        self.port = 0
        self.scheduler_url = ""
        self.agents: dict[str, Agent] = {}
        self._agents_seen = 0
        self.active: dict[str, MesosTask] = {}
        self.unreachable: dict[str, MesosTask] = {}
        """Tasks of agents that are cut off, as they were seen last."""
        self.unreachable_agents: set[str] = set()
        self.completed: deque[MesosTask] = deque(maxlen=max_completed_tasks)

    def next_agent_id(self) -> str:
        self._agents_seen += 1
        return f"{self.master_id}-S{self._agents_seen - 1}"

    def add(self, task: MesosTask) -> None:
        self.active[task.launch.task_id] = task

    def forget(self, task: MesosTask) -> None:
        """The task was never started."""
        self.active.pop(task.launch.task_id, None)

    def updated(self, task: MesosTask) -> None:
        """The task has a new state."""
        if not task.ended:
            return
        known = [tasks.pop(task.launch.task_id, None) for tasks in (self.active, self.unreachable)]
        if any(known):
            self.completed.append(task)
