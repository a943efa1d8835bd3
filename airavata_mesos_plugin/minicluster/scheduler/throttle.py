"""How long a replacement has to wait when its ancestors ended too soon (Aurora 0.22)."""

from __future__ import annotations

from random import Random

from airavata_mesos_plugin.minicluster.scheduler.status import ACTIVE_STATES, TERMINAL_STATES, Status
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_EXCUSED = frozenset({Status.RESTARTING, Status.KILLING, Status.DRAINING})


def _flapped(task: Task, threshold_ms: float) -> bool:
    statuses = [event.status for event in task.events]
    if task.status not in TERMINAL_STATES or _EXCUSED.intersection(statuses):
        return False
    active = [event.timestamp for event in task.events if event.status in ACTIVE_STATES]
    return bool(active) and task.events[-1].timestamp - active[-1] < threshold_ms


def penalty_secs(store: TaskStore, task: Task, settings: ClusterSettings, random: Random) -> float:
    """Seconds, found by walking the ancestors of `task`; the task itself is not counted.  0 means no wait."""
    penalty = 0.0
    ancestor = store.get(task.ancestor_id) if task.ancestor_id else None
    while ancestor is not None and _flapped(ancestor, settings.flapping_threshold * 1000):
        if penalty == 0.0:
            penalty = random.uniform(settings.flapping_penalty_min, settings.flapping_penalty_first_max)
        else:
            penalty *= random.uniform(1.0, 2.0)
        penalty = min(penalty, settings.flapping_penalty_max)
        ancestor = store.get(ancestor.ancestor_id) if ancestor.ancestor_id else None
    return penalty
