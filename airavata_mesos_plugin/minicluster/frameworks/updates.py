"""Status updates on their way to frameworks: one at a time for each task, again until acknowledged."""

from __future__ import annotations

import base64
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airavata_mesos_plugin.minicluster.clock import Clock, Timer
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask, Status, TaskKey

Update = dict[str, Any]
"""A TaskStatus in v1 JSON."""


@dataclass
class _Line:
    """The updates of one task; the first one is out."""

    agent_id: str
    waiting: deque[tuple[str, Update]] = field(default_factory=deque)
    timer: Timer | None = None


class Updates:
    """Agents keep updates until they are acknowledged, and so do these lines (Mesos 1.11)."""

    def __init__(
        self,
        clock: Clock,
        pauses: tuple[float, float],
        send: Callable[[str, Update], None],
        reachable: Callable[[str], bool],
    ) -> None:
        """``pauses``: seconds until the first repetition, and the longest ones. ``send`` takes a framework's
        id and an update; ``reachable`` says of an agent whether its updates get through."""
        self._clock = clock
        self._first, self._longest = pauses
        self._send = send
        self._reachable = reachable
        self._lines: dict[TaskKey, _Line] = {}

    def __len__(self) -> int:
        """Of how many tasks an update waits to be acknowledged."""
        return len(self._lines)

    def add(self, task: MesosTask, update: Update) -> None:
        """One more, which has to be acknowledged."""
        token = base64.b64encode(uuid.uuid4().bytes).decode()
        line = self._lines.setdefault(task.key, _Line(task.agent_id))
        line.waiting.append((token, {**update, "uuid": token}))
        if len(line.waiting) == 1:
            self._out(task.key, self._first)

    def acknowledge(self, key: TaskKey, agent_id: str, token: str) -> str | None:
        """State of the update that was waited for; None for any other, which changes nothing."""
        line = self._lines.get(key)
        if line is None or line.agent_id != agent_id or line.waiting[0][0] != token:
            return None
        if not self._reachable(agent_id):
            return None
        state = str(line.waiting.popleft()[1]["state"])
        self._rest(line)
        if line.waiting:
            self._out(key, self._first)
        else:
            del self._lines[key]
        return state

    def again(self, *, framework_id: str | None = None, agent_id: str | None = None) -> None:
        """Send what waits for this framework, or comes from this agent, at once: it is there again."""
        for key, line in list(self._lines.items()):
            if key[0] == framework_id or line.agent_id == agent_id:
                self._rest(line)
                self._out(key, self._first)

    def drop(self, *, framework_id: str | None = None, agent_id: str | None = None) -> None:
        """Forget everything for a framework, or of an agent, that is gone."""
        for key, line in list(self._lines.items()):
            if key[0] == framework_id or line.agent_id == agent_id:
                self._rest(line)
                del self._lines[key]

    def stop(self) -> None:
        for line in self._lines.values():
            self._rest(line)

    def _out(self, key: TaskKey, pause: float) -> None:
        line = self._lines[key]
        if self._reachable(line.agent_id):
            self._send(key[0], line.waiting[0][1])
        longer = min(2 * pause, self._longest)
        line.timer = self._clock.call_later(pause, lambda: self._out(key, longer))

    @staticmethod
    def _rest(line: _Line) -> None:
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None


def described(task_id: str, agent_id: str, status: Status, **more: Any) -> Update:
    """A TaskStatus without what nobody said."""
    update: Update = {
        "task_id": {"value": task_id},
        "state": status.state,
        "source": status.source,
        "timestamp": status.when,
        **more,
    }
    if agent_id:
        update["agent_id"] = {"value": agent_id}
    if status.message:
        update["message"] = status.message
    if status.reason:
        update["reason"] = status.reason
    return update
