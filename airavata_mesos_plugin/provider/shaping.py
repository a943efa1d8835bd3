"""From what somebody wants to the nodes, tasks and resources of a job, as SLURM 22.05 counts them.

The command line, peers and task adapters all come through here, so a job is the same and a refusal says the
same, whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from airavata_mesos_plugin.config import QueueSettings
from airavata_mesos_plugin.errors import UnsatisfiableRequest
from airavata_mesos_plugin.jobs import Resources
from airavata_mesos_plugin.provider.amounts import duration, memory
from airavata_mesos_plugin.schedulers.base import Node

LARGEST = 2**31 - 1
"""SLURM keeps counts in 32 bits."""


class Lack(Enum):
    """What a job asks too much of, with what to do about it."""

    NODES = "ask for fewer nodes, with more tasks on each"
    TIME = "ask for less wall time"
    CPUS = "ask for fewer tasks, or fewer CPUs for each"
    MEMORY = "ask for another amount of memory"
    GPUS = "ask for fewer GPUs"
    TOGETHER = "ask for less"


class DoesNotFit(UnsatisfiableRequest):
    """No node, or no limit of the partition, allows the job."""

    def __init__(self, lack: Lack, message: str) -> None:
        super().__init__(message, advice=lack.value)
        self.lack = lack


@dataclass(frozen=True)
class Shape:
    """How many of everything a job wants. ``warning`` says what was made of a contradiction."""

    nodes: int
    tasks: int
    tasks_given: bool
    cpus_per_task: int | None
    tasks_per_node: int | None
    warning: str = ""

    @property
    def tasks_of_node(self) -> int:
        """Most tasks that one node has."""
        spread = -(-self.tasks // self.nodes)
        return spread if self.tasks_per_node is None else min(self.tasks, max(spread, self.tasks_per_node))

    @property
    def cpus(self) -> int:
        """CPUs of the job on each of its nodes."""
        return self.tasks_of_node * (self.cpus_per_task or 1)


@dataclass(frozen=True)
class Wishes:
    """What somebody wants, each checked by itself; None where nothing was said. Memory is for each node."""

    fewest_nodes: int | None = None
    tasks: int | None = None
    cpus_per_task: int | None = None
    tasks_per_node: int | None = None
    memory_mb: int | None = None
    memory_mb_per_cpu: int | None = None
    seconds: float | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)  # by the name of sbatch's option

    def gpus_of(self, tasks: int, nodes: int = 1) -> int:
        """GPUs on each node, which has so many ``tasks`` of the job's ``nodes``."""
        return max(
            -(-self.gpus.get("gpus", 0) // nodes),
            self.gpus.get("gpus-per-node", self.gpus.get("gres", 0)),
            self.gpus.get("gpus-per-task", 0) * tasks,
        )


def shape(wishes: Wishes) -> Shape:
    """Nodes and tasks as SLURM counts them: without a number of tasks, one for each node."""
    nodes = wishes.fewest_nodes or 1
    warning = ""
    if wishes.tasks is not None:
        tasks = wishes.tasks
        if tasks < nodes:
            warning = f"can't run {tasks} processes on {nodes} nodes, setting nnodes to {tasks}"
            nodes = tasks
        if wishes.tasks_per_node is not None:
            nodes = max(nodes, -(-tasks // wishes.tasks_per_node))
    else:
        tasks = nodes * (wishes.tasks_per_node or 1)
    return Shape(
        nodes=nodes,
        tasks=tasks,
        tasks_given=wishes.tasks is not None or wishes.tasks_per_node is not None,
        cpus_per_task=wishes.cpus_per_task,
        tasks_per_node=wishes.tasks_per_node,
        warning=warning,
    )


def fit(wishes: Wishes, wanted: Shape, queue: QueueSettings, nodes: Sequence[Node]) -> tuple[Resources, int]:
    """Resources on each node, and wall time in seconds, of the job in this partition.

    Raises DoesNotFit when the partition, or every node of its cluster, has too little: like a SLURM site with
    ``EnforcePartLimits=ALL``. With no node known only the partition's own limits count.
    """
    if wanted.nodes > queue.max_nodes:
        many = "one node" if queue.max_nodes == 1 else f"at most {queue.max_nodes} nodes"
        raise DoesNotFit(Lack.NODES, f"partition {queue.name} runs each job on {many}, not on {wanted.nodes}")
    longest = queue.max_wall_time_minutes * 60
    seconds = queue.default_wall_time_minutes * 60 if wishes.seconds is None else wishes.seconds
    if seconds > longest:
        raise DoesNotFit(Lack.TIME, f"partition {queue.name} allows at most {duration(longest)}")
    return _resources(wishes, wanted, queue, nodes), int(seconds)


def _resources(wishes: Wishes, wanted: Shape, queue: QueueSettings, nodes: Sequence[Node]) -> Resources:
    most_cpus = min(
        [queue.max_cpus or LARGEST] + ([int(max(node.total.cpus for node in nodes))] if nodes else [])
    )
    if wanted.cpus > most_cpus:
        raise DoesNotFit(
            Lack.CPUS, f"partition {queue.name} gives a job at most {most_cpus} CPUs, not {wanted.cpus}"
        )
    amount = _memory(wishes, wanted, queue)
    most_memory = min(
        [queue.max_memory_mb or LARGEST] + ([max(node.total.memory_mb for node in nodes)] if nodes else [])
    )
    if not 0 < amount <= most_memory:
        raise DoesNotFit(
            Lack.MEMORY,
            f"partition {queue.name} gives a job 1M to {memory(most_memory)} of memory, not {memory(amount)}",
        )
    gpus = wishes.gpus_of(wanted.tasks_of_node, wanted.nodes)
    if gpus > LARGEST:
        raise DoesNotFit(Lack.GPUS, f"{gpus} GPUs are more than any node has")
    resources = Resources(cpus=float(wanted.cpus), memory_mb=amount, disk_mb=queue.disk_mb, gpus=gpus)
    fitting = sum(resources.fits_in(node.total) for node in nodes)
    if 0 < fitting < wanted.nodes:
        raise DoesNotFit(
            Lack.TOGETHER,
            f"partition {queue.name} has {fitting} nodes with {wanted.cpus} CPUs and {memory(amount)} of"
            f" memory each, not {wanted.nodes}",
        )
    if nodes and not fitting:
        with_gpus = f" {gpus} GPUs," if gpus else ""
        raise DoesNotFit(
            Lack.TOGETHER,
            f"no node of partition {queue.name} has {wanted.cpus} CPUs,{with_gpus} {memory(amount)} of memory"
            f" and {memory(queue.disk_mb)} of disk together",
        )
    return resources


def _memory(wishes: Wishes, wanted: Shape, queue: QueueSettings) -> int:
    if wishes.memory_mb is not None:
        return wishes.memory_mb
    per_cpu = wishes.memory_mb_per_cpu
    return wanted.cpus * (queue.default_memory_mb_per_cpu if per_cpu is None else per_cpu)
