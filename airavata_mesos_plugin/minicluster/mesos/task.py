"""A task as Mesos shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from airavata_mesos_plugin.minicluster.launch import Launch

TERMINAL = frozenset(
    [
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_LOST",
        "TASK_ERROR",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    ]
)
MASTER, AGENT, EXECUTOR = "SOURCE_MASTER", "SOURCE_AGENT", "SOURCE_EXECUTOR"
TaskKey = tuple[str, str]
"""Framework id and task id: each framework names its tasks by itself."""


class Status(NamedTuple):
    """One state of a task and what was said with it; `when` in seconds since the epoch."""

    state: str
    when: float
    message: str | None = None
    reason: str = ""
    source: str = EXECUTOR

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL


@dataclass
class MesosTask:
    launch: Launch
    framework_id: str
    agent_id: str
    statuses: list[Status] = field(default_factory=list)
    container_id: str = ""
    executor_pid: int = 0

    @property
    def key(self) -> TaskKey:
        return self.framework_id, self.launch.task_id

    @property
    def latest(self) -> Status:
        """The latest status; before the first one it is on its way to the agent."""
        return self.statuses[-1] if self.statuses else Status("TASK_STAGING", 0.0, source=MASTER)

    @property
    def state(self) -> str:
        return self.latest.state

    @property
    def ended(self) -> bool:
        return self.latest.ended

    def mark(self, status: Status) -> MesosTask:
        """Note a new state."""
        self.statuses.append(status)
        return self
