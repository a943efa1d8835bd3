"""From options with their values to a complete `JobRequest`: defaults of the partition, limits, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airavata_mesos_plugin.config import ProviderSettings, QueueSettings
from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.jobs import JobRequest, Resources
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm import values
from airavata_mesos_plugin.slurm.session import CommandFailed

FAILED = "sbatch: error: Batch job submission failed: "
NO_SUCH_NODE = f"{FAILED}Requested node configuration is not available"


@dataclass(frozen=True)
class Shape:
    """How many of everything a job wants."""

    nodes: int
    tasks: int
    tasks_given: bool
    cpus_per_task: int | None
    tasks_per_node: int | None
    warnings: tuple[str, ...] = ()

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
    """The values of the options, each checked by itself; None where an option was not given."""

    fewest_nodes: int | None = None
    tasks: int | None = None
    cpus_per_task: int | None = None
    tasks_per_node: int | None = None
    memory_mb: int | None = None
    memory_mb_per_cpu: int | None = None
    minutes: float | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)  # by the name of the option

    def gpus_of(self, tasks: int, nodes: int = 1) -> int:
        """GPUs on each node, which has so many ``tasks`` of the job's ``nodes``."""
        return max(
            -(-self.gpus.get("gpus", 0) // nodes),
            self.gpus.get("gpus-per-node", self.gpus.get("gres", 0)),
            self.gpus.get("gpus-per-task", 0) * tasks,
        )


def shape(wishes: Wishes) -> Shape:
    """Nodes and tasks as SLURM 22.05 counts them: without -n, one task for each node."""
    nodes = wishes.fewest_nodes or 1
    warnings: tuple[str, ...] = ()
    if wishes.tasks is not None:
        tasks = wishes.tasks
        if tasks < nodes:
            warnings = (
                f"sbatch: Warning: can't run {tasks} processes on {nodes} nodes, setting nnodes to {tasks}",
            )
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
        warnings=warnings,
    )


def queues(settings: ProviderSettings, partitions: str | None) -> list[QueueSettings]:
    """The partitions of a ``-p`` list, or the default one. Raises CommandFailed."""
    names: Sequence[str | None] = [None] if partitions is None else (values.parse_list(partitions) or [""])
    found = []
    for name in names:
        try:
            found.append(settings.queue(name))
        except NotFound as error:
            known = ", ".join(queue.name for queue in settings.queues)
            raise CommandFailed(
                f"sbatch: error: invalid partition specified: {partitions}",
                f"{FAILED}Invalid partition name specified",
                f"sbatch: error: partitions here: {known}",
            ) from error
    return found


def fit(wishes: Wishes, wanted: Shape, queue: QueueSettings, nodes: Sequence[Node]) -> tuple[Resources, int]:
    """Resources and wall time in seconds of the job in this partition.

    Raises CommandFailed when the partition, or every node of its cluster, has too little: like a SLURM
    site with ``EnforcePartLimits=ALL``. With no node known only the partition's own limits count.
    """
    if wanted.nodes > queue.max_nodes:
        many = "one node" if queue.max_nodes == 1 else f"at most {queue.max_nodes} nodes"
        raise CommandFailed(
            NO_SUCH_NODE,
            f"sbatch: error: partition {queue.name} runs each job on {many}, not on {wanted.nodes};"
            f" ask for -N {queue.max_nodes} and give the tasks with -n",
        )
    minutes = queue.default_wall_time_minutes if wishes.minutes is None else wishes.minutes
    if minutes > queue.max_wall_time_minutes:
        raise CommandFailed(
            f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)",
            f"sbatch: error: partition {queue.name} allows at most"
            f" {values.duration(queue.max_wall_time_minutes * 60)}; give a shorter time with -t",
        )
    return _resources(wishes, wanted, queue, nodes), int(minutes) * 60


def _resources(wishes: Wishes, wanted: Shape, queue: QueueSettings, nodes: Sequence[Node]) -> Resources:
    most_cpus = min(
        [queue.max_cpus or values.LARGEST] + ([int(max(node.total.cpus for node in nodes))] if nodes else [])
    )
    if wanted.cpus > most_cpus:
        raise CommandFailed(
            f"{FAILED}More processors requested than permitted",
            f"sbatch: error: partition {queue.name} gives a job at most {most_cpus} CPUs, not {wanted.cpus};"
            " give fewer with -n or -c",
        )
    memory = _memory(wishes, wanted, queue)
    most_memory = min(
        [queue.max_memory_mb or values.LARGEST]
        + ([max(node.total.memory_mb for node in nodes)] if nodes else [])
    )
    if not 0 < memory <= most_memory:
        raise CommandFailed(
            "sbatch: error: Memory specification can not be satisfied",
            NO_SUCH_NODE,
            f"sbatch: error: partition {queue.name} gives a job 1M to {values.memory(most_memory)} of memory,"
            f" not {values.memory(memory)}; give another amount with --mem",
        )
    gpus = wishes.gpus_of(wanted.tasks_of_node, wanted.nodes)
    if gpus > values.LARGEST:
        raise CommandFailed(NO_SUCH_NODE, f"sbatch: error: {gpus} GPUs are more than any node has")
    resources = Resources(cpus=float(wanted.cpus), memory_mb=memory, disk_mb=queue.disk_mb, gpus=gpus)
    fitting = sum(resources.fits_in(node.total) for node in nodes)
    if 0 < fitting < wanted.nodes:
        raise CommandFailed(
            NO_SUCH_NODE,
            f"sbatch: error: partition {queue.name} has {fitting} nodes with {wanted.cpus} CPUs and"
            f" {values.memory(memory)} of memory each, not {wanted.nodes}; ask for less",
        )
    if nodes and not fitting:
        with_gpus = f" {gpus} GPUs," if gpus else ""
        raise CommandFailed(
            NO_SUCH_NODE,
            f"sbatch: error: no node of partition {queue.name} has {wanted.cpus} CPUs,{with_gpus}"
            f" {values.memory(memory)} of memory and {values.memory(queue.disk_mb)} of disk"
            " together; ask for less",
        )
    return resources


def _memory(wishes: Wishes, wanted: Shape, queue: QueueSettings) -> int:
    if wishes.memory_mb is not None:
        return wishes.memory_mb
    per_cpu = wishes.memory_mb_per_cpu
    return wanted.cpus * (queue.default_memory_mb_per_cpu if per_cpu is None else per_cpu)


@dataclass(frozen=True)
class Origin:
    """Who asks, and from where."""

    user: str
    uid: int
    host: str
    directory: str
    aliases: tuple[str, ...]


def build(
    origin: Origin,
    texts: Mapping[str, str],
    wishes: Wishes,
    *,
    settings: ProviderSettings,
    nodes_of: Mapping[str, Sequence[Node]],
    arguments: tuple[str, ...],
    default_name: str,
    stdout: str,
    stderr: str | None,
    mail_types: tuple[str, ...],
) -> tuple[JobRequest, tuple[str, ...]]:
    """The request and the warnings that go with it. ``texts`` holds the options that are plain words.

    Of several partitions the first one that can run the job is taken. Raises CommandFailed.
    """
    wanted = shape(wishes)
    refusal: CommandFailed | None = None
    for queue in queues(settings, texts.get("partition")):
        try:
            resources, seconds = fit(wishes, wanted, queue, nodes_of.get(queue.cluster, ()))
        except CommandFailed as error:
            refusal = refusal or error
            continue
        request = JobRequest(
            name=texts.get("job-name", default_name),
            user=origin.user,
            uid=origin.uid,
            queue=queue.name,
            working_directory=origin.directory,
            working_directory_aliases=origin.aliases,
            script_arguments=arguments,
            nodes=wanted.nodes,
            tasks=wanted.tasks,
            tasks_given=wanted.tasks_given,
            cpus_per_task=wanted.cpus_per_task,
            tasks_per_node=wanted.tasks_per_node,
            resources=resources,
            memory_given=wishes.memory_mb is not None,
            gpus_given="gpus" in wishes.gpus,
            wall_time_seconds=seconds,
            stdout=stdout,
            stderr=stderr,
            account=texts.get("account", "").lower(),
            qos=texts.get("qos", "").lower(),
            reservation=texts.get("reservation", ""),
            mail_user=texts.get("mail-user", "") or (origin.user if mail_types else ""),
            mail_types=mail_types,
            comment=texts.get("comment", ""),
            submit_host=origin.host,
        )
        return request, wanted.warnings
    assert refusal is not None  # queues() never gives an empty list
    raise refusal
