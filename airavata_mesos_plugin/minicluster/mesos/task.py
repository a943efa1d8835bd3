"""A task as Mesos shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from airavata_mesos_plugin.minicluster.launch import Launch

TERMINAL = frozenset(
    ["TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE"]
)


@dataclass
class MesosTask:
    launch: Launch
    framework_id: str
    agent_id: str
    state: str = "TASK_STAGING"
    statuses: list[tuple[str, float]] = field(default_factory=list)
    """State and time in seconds; messages are not shown by Mesos here."""
    message: str | None = None
    """That of the latest status."""

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    def mark(self, state: str, when: float, message: str | None = None) -> MesosTask:
        """Note a new state, reported at `when` (seconds since the epoch)."""
        self.state = state
        self.message = message
        self.statuses.append((state, when))
        return self
