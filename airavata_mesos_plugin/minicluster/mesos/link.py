"""The connection between the master and one agent, which can be cut and slowed."""

from __future__ import annotations

from collections.abc import Callable

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.task import AGENT, MesosTask, Status, TaskKey

Deliver = Callable[[MesosTask, Status], None]
"""The task, and the status reported."""


class Link:
    """Orders go down, statuses come up, each in its order. While the link is cut both are lost; the agent
    keeps the latest state of its tasks."""

    def __init__(self, clock: Clock, deliver: Deliver) -> None:
        self._clock = clock
        self._deliver = deliver
        self._agent: Agent | None = None
        self._due = 0.0
        self.cut = False
        self.delay = 0.0
        """Seconds that each order and each status takes."""

    def attach(self, agent: Agent) -> None:
        self._agent = agent

    @property
    def agent(self) -> Agent:
        if self._agent is None:
            raise RuntimeError("no agent is attached")
        return self._agent

    def launch(self, task: MesosTask) -> None:
        """Raises OSError when the executor cannot be started at once."""
        if self.cut:
            return
        if self._quick():
            self.agent.launch(task)
        else:
            self._later(lambda: self._launch_late(task))

    def kill(self, key: TaskKey, grace: float | None = None) -> None:
        """With `grace` seconds instead of what the task was launched with."""
        self._order(lambda: self.agent.kill(key, grace))

    def shutdown(self, framework_id: str) -> None:
        """End all executors of a framework."""
        self._order(lambda: self.agent.shutdown(framework_id))

    def report(self, task: MesosTask) -> None:
        """The latest status, on its way from the agent to the master."""
        status = task.latest
        self._order(lambda: self._deliver(task, status))

    def _order(self, step: Callable[[], None]) -> None:
        if self.cut:
            return
        if self._quick():
            step()
        else:
            self._later(step)

    def _launch_late(self, task: MesosTask) -> None:
        try:
            self.agent.launch(task)
        except OSError as error:
            why = f"Failed to launch executor: {error}"
            now = self._clock.now_ms() / 1000
            task.mark(Status("TASK_FAILED", now, why, "REASON_CONTAINER_LAUNCH_FAILED", AGENT))
            self._deliver(task, task.latest)

    def _quick(self) -> bool:
        return self.delay == 0 and self._due <= self._clock.now_ms()

    def _later(self, step: Callable[[], None]) -> None:
        # What was sent before arrives before, also when the delay was made shorter meanwhile.
        now = self._clock.now_ms()
        self._due = max(self._due, now + self.delay * 1000)

        def arrive() -> None:
            if not self.cut:
                step()

        self._clock.call_later((self._due - now) / 1000, arrive)
