"""When to ask the master how tasks are, and which (Mesos 1.11, docs/reconciliation.md). No I/O.

Answers may be missing, for instance while an agent has not registered again at a new master. So a question
is repeated, with growing pauses, until every task has been heard of.
"""

from __future__ import annotations

from collections.abc import Iterable

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
GROWTH = 1.5


class Reconciliation:
    """The questions of one subscription. Times are monotonic seconds."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self._open: dict[str, None] = {}
        self._pause = FIRST_PAUSE_SECONDS
        self._next = 0.0
        self._next_all = 0.0

    def begin(self, tasks: Iterable[str], now: float) -> None:
        """A new subscription: everything has to be asked for."""
        self._open = dict.fromkeys(tasks)
        self._pause = FIRST_PAUSE_SECONDS
        self._next = now
        self._next_all = now

    def doubt(self, tasks: Iterable[str], now: float) -> None:
        """Tasks of which something should have been heard. A repeat does not hurry."""
        fresh = [task for task in tasks if task not in self._open]
        if fresh:
            self._open.update(dict.fromkeys(fresh))
            self._pause = FIRST_PAUSE_SECONDS
            self._next = min(self._next, now + self._pause) if self._next > now else now + self._pause

    @property
    def unanswered(self) -> int:
        """How many tasks have been asked for and not been heard of."""
        return len(self._open)

    def heard(self, task: str) -> None:
        """Something was heard of a task."""
        self._open.pop(task, None)

    def due(self, alive: Iterable[str], now: float) -> list[str]:
        """The tasks to ask for now, of those that are ``alive``; each call counts as asked."""
        if not self._open or now < self._next:
            return []
        living = set(alive)
        self._open = {task: None for task in self._open if task in living}
        self._next = now + self._pause
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * GROWTH)
        return list(self._open)

    def all_due(self, alive: Iterable[str], now: float) -> bool:
        """Whether every task of the framework is to be asked for, those that we do not know among them.

        If so, each that is ``alive`` has to be heard of as well. Each call counts as asked.
        """
        if now < self._next_all:
            return False
        self._next_all = now + self._interval
        self.doubt(alive, now)
        return True
