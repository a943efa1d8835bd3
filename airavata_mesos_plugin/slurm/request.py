"""From options with their values to a complete `JobRequest`: defaults of the partition, limits, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.config import ProviderSettings, QueueSettings
from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.jobs import JobRequest
from airavata_mesos_plugin.provider.shaping import DoesNotFit, Lack, Wishes, fit, shape
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm import values
from airavata_mesos_plugin.slurm.session import CommandFailed

FAILED = "sbatch: error: Batch job submission failed: "
NO_SUCH_NODE = f"{FAILED}Requested node configuration is not available"

_SLURMS: Mapping[Lack, tuple[str, ...]] = {
    Lack.NODES: (NO_SUCH_NODE,),
    Lack.TIME: (f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)",),
    Lack.CPUS: (f"{FAILED}More processors requested than permitted",),
    Lack.MEMORY: ("sbatch: error: Memory specification can not be satisfied", NO_SUCH_NODE),
    Lack.GPUS: (NO_SUCH_NODE,),
    Lack.TOGETHER: (NO_SUCH_NODE,),
}
_ADVICE = {
    Lack.NODES: "ask for -N {most} and give the tasks with -n",
    Lack.TIME: "give a shorter time with -t",
    Lack.CPUS: "give fewer with -n or -c",
    Lack.MEMORY: "give another amount with --mem",
    Lack.GPUS: "",
}


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


def _refusal(error: DoesNotFit, queue: QueueSettings) -> CommandFailed:
    """SLURM's words for it, then ours."""
    lack = error.lack
    advice = _ADVICE.get(lack, lack.value).format(most=queue.max_nodes)
    ours = f"sbatch: error: {error.message}" + (f"; {advice}" if advice else "")
    return CommandFailed(*_SLURMS[lack], ours)


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
    warnings = (f"sbatch: Warning: {wanted.warning}",) if wanted.warning else ()
    refusal: CommandFailed | None = None
    for queue in queues(settings, texts.get("partition")):
        try:
            resources, seconds = fit(wishes, wanted, queue, nodes_of.get(queue.cluster, ()))
        except DoesNotFit as error:
            refusal = refusal or _refusal(error, queue)
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
        return request, warnings
    assert refusal is not None  # queues() never gives an empty list
    raise refusal
