"""Do the queues that Airavata is told agree with the queues that the provider has?

What Airavata allows and the provider refuses costs a user about a minute and ends in an error that does
not say why (Airavata drops the exit code of the submission). So everything that Airavata offers has to
fit; offering less is fine.
"""

from __future__ import annotations

from collections.abc import Iterator

from airavata_mesos_plugin.airavata.registration.resource import Queue, Resource
from airavata_mesos_plugin.config import ProviderSettings, QueueSettings
from airavata_mesos_plugin.schedulers.base import Check


def compare(resource: Resource, settings: ProviderSettings) -> list[Check]:
    """One line for each queue of either side. Reads nothing but its arguments."""
    ours = {queue.name: queue for queue in settings.queues}
    checks = []
    for queue in resource.queues:
        subject = f"registered queue {queue.name}"
        if queue.name not in ours:
            known = ", ".join(sorted(ours))
            checks.append(Check(subject, False, f"the provider has no such queue, only {known}"))
            continue
        wrong = list(_above(queue, ours[queue.name]))
        checks.append(Check(subject, not wrong, "; ".join(wrong) or _summary(queue)))
    offered = {queue.name for queue in resource.queues}
    checks.extend(
        Check(f"queue {name}", True, "not offered to users of Airavata")
        for name in ours
        if name not in offered
    )
    return checks


def _above(queue: Queue, limit: QueueSettings) -> Iterator[str]:
    for what, given, most in (
        ("max_run_time_minutes", queue.max_run_time_minutes, limit.max_wall_time_minutes),
        ("max_processors", queue.max_processors, limit.max_cpus),
        ("max_memory_mb", queue.max_memory_mb, limit.max_memory_mb),
        ("max_nodes", queue.max_nodes, limit.max_nodes),
    ):
        if most is not None and given > most:
            yield f"{what} {given} is above the provider's {most}"


def _summary(queue: Queue) -> str:
    return f"{queue.max_run_time_minutes} min, {queue.max_processors} CPUs, {queue.max_memory_mb} MB"
