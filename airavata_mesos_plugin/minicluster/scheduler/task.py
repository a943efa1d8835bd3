"""One task of one instance, as the scheduler keeps it."""

from __future__ import annotations

from typing import Any

from thrift.Thrift import TFrozenDict

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey, key_of
from airavata_mesos_plugin.minicluster.scheduler.normal import replaced
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, amount_of
from airavata_mesos_plugin.minicluster.scheduler.status import ACTIVE_STATES, Status


class Task:
    """Changed by the state manager only; `struct` is the form that clients read."""

    __slots__ = (
        "_bare",
        "_full",
        "agent_id",
        "ancestor_id",
        "config",
        "events",
        "failures",
        "host",
        "instance",
        "key",
        "needs",
        "ports",
        "sequence",
        "status",
        "task_id",
        "times_partitioned",
    )

    def __init__(
        self,
        task_id: str,
        instance: int,
        config: Any,
        sequence: int,
        ancestor: Task | None = None,
    ) -> None:
        self.task_id = task_id
        self.instance = instance
        self.config = config
        self.key: JobKey = key_of(config.job) if ancestor is None else ancestor.key
        self.needs: Amount = amount_of(config) if ancestor is None else ancestor.needs
        self.sequence = sequence
        self.status = Status.INIT
        self.events: list[Any] = []
        self.failures: int = 0 if ancestor is None else ancestor.failures
        self.times_partitioned = 0
        self.ancestor_id = None if ancestor is None else ancestor.task_id
        self.agent_id: str | None = None
        self.host: str | None = None
        self.ports: dict[str, int] = {}
        self._full: Any = None
        self._bare: Any = None

    @property
    def active(self) -> bool:
        return self.status in ACTIVE_STATES

    @property
    def changed_ms(self) -> int:
        """Time of the latest event."""
        return int(self.events[-1].timestamp)

    def changed(self) -> None:
        """Forget the prepared answers."""
        self._full = self._bare = None

    def struct(self) -> Any:
        """The task with its whole configuration."""
        if self._full is None:
            self._full = self._build(self.config)
        return self._full

    def struct_without_config(self) -> Any:
        """The task without the executor's data.  Raises ValueError when it has no executor at all."""
        if self._bare is None:
            executor = self.config.executorConfig
            if executor is None:
                raise ValueError
            self._bare = self._build(replaced(self.config, executorConfig=replaced(executor, data=None)))
        return self._bare

    def _build(self, config: Any) -> Any:
        assigned = api.AssignedTask(
            taskId=self.task_id,
            slaveId=self.agent_id,
            slaveHost=self.host,
            task=config,
            assignedPorts=TFrozenDict(self.ports),
            instanceId=self.instance,
        )
        return api.ScheduledTask(
            assignedTask=assigned,
            status=int(self.status),
            failureCount=self.failures,
            timesPartitioned=self.times_partitioned,
            taskEvents=tuple(self.events),
            ancestorId=self.ancestor_id,
        )


def from_struct(struct: Any, sequence: int) -> Task:
    """A task as it was told of and kept."""
    assigned = struct.assignedTask
    task = Task(assigned.taskId, assigned.instanceId, assigned.task, sequence)
    task.status = Status(struct.status)
    task.events = list(struct.taskEvents)
    task.failures = struct.failureCount
    task.times_partitioned = struct.timesPartitioned
    task.ancestor_id = struct.ancestorId
    task.agent_id, task.host = assigned.slaveId, assigned.slaveHost
    task.ports = dict(assigned.assignedPorts or {})
    return task
