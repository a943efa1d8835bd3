"""All tasks, found by id, by job, by role, and the active ones apart from the history."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.status import TERMINAL_STATES, Status
from airavata_mesos_plugin.minicluster.scheduler.task import Task

_Tasks = dict[str, Task]


class TaskStore:
    """In memory. Every index is kept up to date by `add`, `moved` and `remove`, none of which looks at
    other tasks."""

    def __init__(self) -> None:
        self._all: _Tasks = {}
        self._by_job: dict[JobKey, _Tasks] = {}
        self._jobs_by_role: dict[str, set[JobKey]] = {}
        self._active: _Tasks = {}
        self._active_by_job: dict[JobKey, _Tasks] = {}
        self._ended: OrderedDict[str, Task] = OrderedDict()
        self._ended_by_job: dict[JobKey, OrderedDict[str, Task]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def get(self, task_id: str) -> Task | None:
        return self._all.get(task_id)

    def all(self) -> Iterable[Task]:
        return self._all.values()

    def active(self) -> Iterable[Task]:
        return self._active.values()

    def of_job(self, key: JobKey) -> Iterable[Task]:
        return self._by_job.get(key, {}).values()

    def active_of_job(self, key: JobKey) -> Iterable[Task]:
        return self._active_by_job.get(key, {}).values()

    def jobs(self, role: str | None = None) -> list[JobKey]:
        """Jobs that have any task, also ended ones."""
        return list(self._by_job if role is None else self._jobs_by_role.get(role, ()))

    def active_jobs(self, role: str | None = None) -> list[JobKey]:
        if role is None:
            return list(self._active_by_job)
        return [key for key in self._jobs_by_role.get(role, ()) if key in self._active_by_job]

    def roles(self) -> dict[str, int]:
        """Number of jobs per role."""
        return {role: len(keys) for role, keys in self._jobs_by_role.items()}

    def ended(self) -> Iterator[Task]:
        """Ended tasks, the oldest end first."""
        return iter(self._ended.values())

    def ended_of_job(self, key: JobKey) -> Iterator[Task]:
        return iter(self._ended_by_job.get(key, {}).values())

    def crowded_jobs(self, limit: int) -> list[JobKey]:
        """Jobs with more than `limit` ended tasks."""
        return [key for key, tasks in self._ended_by_job.items() if len(tasks) > limit]

    def ended_count(self, key: JobKey) -> int:
        return len(self._ended_by_job.get(key, ()))

    def add(self, task: Task) -> None:
        self._all[task.task_id] = task
        self._by_job.setdefault(task.key, {})[task.task_id] = task
        self._jobs_by_role.setdefault(task.key.role, set()).add(task.key)
        self._active[task.task_id] = task
        self._active_by_job.setdefault(task.key, {})[task.task_id] = task

    def restore(self, task: Task) -> None:
        """A task that may have ended long ago.  Ended ones have to come in the order of their ends."""
        self.add(task)
        if task.status in TERMINAL_STATES:
            self.moved(task, Status.INIT)

    def moved(self, task: Task, before: Status) -> None:
        """The task's status is no longer `before`."""
        if task.status in TERMINAL_STATES and before not in TERMINAL_STATES:
            self._drop_active(task)
            self._ended[task.task_id] = task
            self._ended_by_job.setdefault(task.key, OrderedDict())[task.task_id] = task

    def remove(self, task: Task) -> None:
        del self._all[task.task_id]
        del self._by_job[task.key][task.task_id]
        if not self._by_job[task.key]:
            del self._by_job[task.key]
            self._jobs_by_role[task.key.role].discard(task.key)
            if not self._jobs_by_role[task.key.role]:
                del self._jobs_by_role[task.key.role]
        self._drop_active(task)
        if self._ended.pop(task.task_id, None) is not None:
            del self._ended_by_job[task.key][task.task_id]
            if not self._ended_by_job[task.key]:
                del self._ended_by_job[task.key]

    def _drop_active(self, task: Task) -> None:
        if self._active.pop(task.task_id, None) is not None:
            del self._active_by_job[task.key][task.task_id]
            if not self._active_by_job[task.key]:
                del self._active_by_job[task.key]
