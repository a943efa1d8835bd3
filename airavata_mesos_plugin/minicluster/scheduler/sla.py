"""Whether a task may be taken down without breaking what its job was promised (Aurora 0.22)."""

from __future__ import annotations

import math
from typing import Any

from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings


def may_go(store: TaskStore, task: Task, policy: Any, settings: ClusterSettings, now_ms: int) -> bool:
    """`policy` is an SlaPolicy, or None for a task without one. A coordinator is never asked and so never
    permits anything."""
    active = list(store.active_of_job(task.key))
    production = task.config.production or settings.sla_non_production
    if policy is None or not production or len(active) < settings.sla_min_instances:
        return True
    if policy.coordinatorSlaPolicy is not None:
        return False
    if policy.countSlaPolicy is not None:
        required, duration = policy.countSlaPolicy.count, policy.countSlaPolicy.durationSecs
    else:
        share = policy.percentageSlaPolicy
        required, duration = math.ceil(share.percentage * len(active) / 100), share.durationSecs
    running = sum(
        other is not task
        and other.status == Status.RUNNING
        and now_ms - other.changed_ms >= (duration or 0) * 1000
        for other in active
    )
    # A policy that would never let a task go is read as "all but one".
    return running >= min(required or 0, len(active) - 1)


def objection(
    policy: Any, task: Any, tier_is_production: bool, instances: int, settings: ClusterSettings
) -> str | None:
    """What is wrong with the policy of a configuration, in Aurora's words; None when nothing is."""
    if not tier_is_production and not settings.sla_non_production:
        return f"Tier '{task.tier}' does not support SlaPolicy."
    count, share = policy.countSlaPolicy, policy.percentageSlaPolicy
    if count is None and share is None:
        return None
    least = settings.sla_min_instances
    if instances < least:
        return f"Job with fewer than {least} instances cannot have Percentage/Count SlaPolicy."
    if count is not None and count.count >= instances:
        return (
            f"Current CountSlaPolicy: count={count.count} will not allow any instances to be killed. "
            f"Must be less than instanceCount={instances}."
        )
    if share is not None and instances * (100 - share.percentage) < 100:
        return (
            f"Current PercentageSlaPolicy: percentage={share.percentage:f} will not allow any instances to "
            f"be killed. Must be less than {100 * (instances - 1) / instances:f}."
        )
    name, duration = (
        ("Count", count.durationSecs) if count is not None else ("Percentage", share.durationSecs)
    )
    if duration > settings.sla_max_duration:
        return (
            f"{name}SlaPolicy: durationSecs={duration} must be less than cluster-wide maximum of "
            f"{settings.sla_max_duration} secs."
        )
    return None
