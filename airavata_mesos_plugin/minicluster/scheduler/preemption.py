"""Tasks that make room for others which have waited long (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Iterable

from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.scheduler.placement import Limits, vetoes
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.scheduler.tiers import TIERS

_STOPPABLE = frozenset({Status.ASSIGNED, Status.STARTING, Status.RUNNING})


def may_preempt(waiting: Task, victim: Task) -> bool:
    """Lower priority in the same role and of the same kind, or preemptible by its tier while the waiting
    task is not."""
    kind, other = (TIERS[task.config.tier].preemptible for task in (waiting, victim))
    if not kind and other:
        return True
    same = waiting.key.role == victim.key.role and kind == other
    return same and bool(victim.config.priority < waiting.config.priority)


def victims(
    waiting: Task, needs: Amount, host: Host, tasks: Iterable[tuple[Task, Amount]], limits: Limits
) -> list[Task] | None:
    """The tasks of a host to take away so that the waiting one fits: the least important and largest first.
    None when even all of them would not do."""
    able = [(t, n) for t, n in tasks if t.status in _STOPPABLE and may_preempt(waiting, t)]
    able.sort(key=lambda entry: (entry[0].config.priority, tuple(-part for part in entry[1])))
    free = host.free
    chosen: list[Task] = []
    for task, amount in able:
        free = free.plus(amount)
        chosen.append(task)
        if not vetoes(needs, waiting.config.constraints, host, limits, free):
            return chosen
    return None
