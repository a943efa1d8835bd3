"""PENDING tasks waiting for a place.

Tasks that ask for the same things stand in one line: when the first of them fits nowhere, none of the line
does. A round therefore costs as much as there are different requests, not as there are tasks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.placement import Limits, first_fit
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount
from airavata_mesos_plugin.minicluster.scheduler.task import Task


class Shape(NamedTuple):
    """What decides where a task may run.  `job` is set when a limit constraint makes the job matter."""

    priority: int
    needs: Amount
    constraints: frozenset[Any]
    job: JobKey | None


class _Line:
    def __init__(self) -> None:
        self.tasks: OrderedDict[str, Task] = OrderedDict()
        self.nearest: tuple[str, ...] = ()

    def head(self) -> Task:
        return next(iter(self.tasks.values()))


def _limited(config: Any) -> bool:
    return any(c.constraint is not None and c.constraint.limit is not None for c in config.constraints)


class PendingQueue:
    """`overhead` is added to what each task needs."""

    def __init__(self, overhead: Amount) -> None:
        self._overhead = overhead
        self._lines: dict[Shape, _Line] = {}

    def needs(self, task: Task) -> Amount:
        return task.needs.plus(self._overhead)

    def _shape(self, task: Task) -> Shape:
        config = task.config
        job = task.key if _limited(config) else None
        return Shape(config.priority, self.needs(task), config.constraints, job)

    def add(self, task: Task) -> None:
        self._lines.setdefault(self._shape(task), _Line()).tasks[task.task_id] = task

    def remove(self, task: Task) -> None:
        """Harmless when the task does not wait."""
        shape = self._shape(task)
        line = self._lines.get(shape)
        if line is None:
            return
        line.tasks.pop(task.task_id, None)
        if not line.tasks:
            del self._lines[shape]

    def reason(self, task: Task) -> tuple[str, ...]:
        """The objections of the nearest host; empty when no host was looked at since the task began to
        wait."""
        line = self._lines.get(self._shape(task))
        return () if line is None else line.nearest

    def heads(self) -> list[Task]:
        """The longest waiting of each line, higher priorities first."""
        lines = sorted(self._lines.items(), key=lambda item: -item[0].priority)
        return [line.head() for _, line in lines]

    def __len__(self) -> int:
        return sum(len(line.tasks) for line in self._lines.values())

    def place(
        self,
        hosts: Iterable[Host],
        limits_of: Callable[[JobKey], Limits],
        assign: Callable[[Task, Host], bool],
        budget: int,
    ) -> bool:
        """Give tasks their places, higher priorities first, then the longest waiting; what is large does
        not hold up what is small. Returns True when the budget ended the round before everything was tried.

        `assign` takes the task out of the queue, or returns False when the place cannot be used after all.
        """
        everywhere = list(hosts)
        for shape, line in sorted(
            self._lines.items(), key=lambda item: (-item[0].priority, item[1].head().sequence)
        ):
            limits = Limits() if shape.job is None else limits_of(shape.job)
            while line.tasks:
                attempt = first_fit(shape.needs, shape.constraints, everywhere, limits)
                line.nearest = attempt.nearest
                if attempt.host is None:
                    break
                if budget <= 0:
                    return True
                budget -= 1
                if not assign(line.head(), attempt.host):
                    line.nearest = ("Insufficient: ports",)
                    break
                limits.add(attempt.host)
        return False
