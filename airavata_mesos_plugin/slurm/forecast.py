"""When a job could start, for ``sbatch --test-only`` and ``squeue --start``. An estimate, no promise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from airavata_mesos_plugin.jobs import JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm import view
from airavata_mesos_plugin.slurm.session import JobProvider
from airavata_mesos_plugin.store import JobSelection


def line(request: JobRequest, provider: JobProvider, now: float, zone: tzinfo | None) -> str:
    """The answer of ``sbatch --test-only``. The id is the one that a job would get that came next."""
    newest = provider.jobs(JobSelection(limit=1))
    number = newest[0].id + 1 if newest else 1
    queue = provider.settings.queue(request.queue)
    moment, node = _start(request.resources, provider, queue.cluster, now)
    begin = max(moment, request.begin_at or now)
    return (
        f"sbatch: Job {number} to start at {view.date(begin, zone)} using {request.all_resources.cpus:g}"
        f" processors on nodes {node or '(null)'} in partition {request.queue}"
    )


def _start(wanted: Resources, provider: JobProvider, cluster: str, now: float) -> tuple[float, str]:
    """At once where a node has room; else when the first running job must be over."""
    nodes = provider.nodes(cluster)
    for node in nodes:
        if node.active and wanted.fits_in(_free(node)):
            return now, node.name
    running = provider.jobs(JobSelection(clusters=frozenset({cluster}), phases=frozenset({JobPhase.RUNNING})))
    return _first_end(running, now), _large_enough(wanted, nodes)


def _first_end(running: Sequence[JobRecord], now: float) -> float:
    ends = [job.started_at + job.request.wall_time_seconds for job in running if job.started_at is not None]
    return max(now, min(ends, default=now))


def _large_enough(wanted: Resources, nodes: Sequence[Node]) -> str:
    return next((node.name for node in nodes if wanted.fits_in(node.total)), "")


def _free(node: Node) -> Resources:
    return Resources(
        cpus=node.total.cpus - node.used.cpus,
        memory_mb=node.total.memory_mb - node.used.memory_mb,
        disk_mb=node.total.disk_mb - node.used.disk_mb,
        gpus=node.total.gpus - node.used.gpus,
    )
