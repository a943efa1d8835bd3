"""``scontrol show``: the texts about jobs, partitions, nodes and the configuration.

The forms are those of SLURM 22.05; what means nothing here has the value of a job that did not ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.config import QueueSettings
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobPhase, JobRecord
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm import nodes as node_words
from airavata_mesos_plugin.slurm import placement, values, view
from airavata_mesos_plugin.slurm import squeue_fields as fields
from airavata_mesos_plugin.slurm.entries import Entry, merged
from airavata_mesos_plugin.slurm.session import JobProvider, Result
from airavata_mesos_plugin.slurm.table import visible
from airavata_mesos_plugin.store import JobSelection

REMEMBERED_SECONDS = 300.0
"""How long ``show jobs`` without an id still lists a job that is over: SLURM's default MinJobAge."""


@dataclass(frozen=True)
class Frame:
    """How times are written."""

    now: float
    zone: tzinfo | None
    form: str = view.DATE_FORMAT

    def date(self, seconds: float | None) -> str:
        """A date, or Unknown."""
        return "Unknown" if seconds is None else view.date(seconds, self.zone, self.form)


def recent(provider: JobProvider, now: float) -> list[JobRecord]:
    """The jobs that are not over, and those that ended a moment ago, oldest first."""
    jobs = provider.jobs(JobSelection(phases=ACTIVE_PHASES))
    ended = provider.jobs(JobSelection(phases=frozenset(JobPhase) - ACTIVE_PHASES, limit=1000))
    jobs += [job for job in ended if view.end(job) >= now - REMEMBERED_SECONDS]
    return sorted(jobs, key=lambda job: job.id)


def jobs(
    records: Sequence[JobRecord], frame: Frame, *, details: bool, one_line: bool, single: bool = False
) -> list[str]:
    """One text for each job. Waiting tasks of an array have one together, unless they are ``single``."""
    rows = [Entry(job, frame.now, frame.zone, date_format=frame.form) for job in records]
    alone = frozenset(job.array_id or 0 for job in records) if single else frozenset()
    return [_text(_job(row, frame, details), one_line) for row in merged(rows, alone)]


def _text(lines: list[str], one_line: bool) -> str:
    if one_line:
        return " ".join(line for line in lines if line) + " \n"
    return "\n   ".join(lines) + "\n   \n\n"


def _job(entry: Entry, frame: Frame, details: bool) -> list[str]:
    job = entry.job
    request = job.request
    gid, group = view.group(request.uid, request.gid)
    cpus = request.all_resources.cpus
    array = "" if job.array_id is None else f"ArrayJobId={job.array_id} ArrayTaskId={entry.tasks()} "
    limit = f"ArrayTaskThrottle={request.array_limit} " if array and request.array_limit else ""
    eligible = view.eligible_time(job)
    start = fields.start_time(entry)
    if start is None and job.phase.final:
        start = view.end(job)
    memory = (
        f"MinMemoryNode={values.memory(request.resources.memory_mb)}"
        if request.memory_given
        else f"MinMemoryCPU={fields.memory(entry)}"
    )
    waiting_for = job.begin_at if eligible is None and job.wait_reason == "BeginTime" else eligible
    lines = [
        f"JobId={entry.id} {array}{limit}JobName={visible(request.name)}",
        f"UserId={request.user}({request.uid}) GroupId={group}({gid}) MCS_label=N/A",
        f"Priority={fields.priority(entry)} Nice=0 Account={request.account or '(null)'}"
        f" QOS={request.qos or '(null)'}",
        f"JobState={view.word(job)} Reason={view.reason(job)}"
        f" Dependency={fields.dependency(entry) or '(null)'}",
        f"Requeue={0 if request.requeue is False else 1} Restarts={job.attempt - 1} BatchFlag=1 Reboot=0"
        f" ExitCode={view.plain_exit_code(job) if job.phase.final else '0:0'}",
        *(["DerivedExitCode=0:0"] if details else []),
        f"RunTime={values.elapsed(view.run_time(job, frame.now))}"
        f" TimeLimit={values.elapsed(request.wall_time_seconds)} TimeMin=N/A",
        f"SubmitTime={frame.date(view.submit_time(job))} EligibleTime={frame.date(waiting_for)}",
        f"AccrueTime={frame.date(eligible)}",
        f"StartTime={frame.date(start)} EndTime={frame.date(fields.end_time(entry))} Deadline=N/A",
        f"SuspendTime=None SecsPreSuspend=0 LastSchedEval={frame.date(job.changed_at)} Scheduler=Main",
        f"Partition={request.queue} AllocNode:Sid={request.submit_host or '(null)'}:0",
        f"ReqNodeList={placement.shown_hosts(request.constraints) or '(null)'}"
        f" ExcNodeList={placement.shown_hosts(request.constraints, excluded=True) or '(null)'}",
        f"NodeList={job.shown_nodes}",
        *([f"BatchHost={job.batch_host}"] if job.batch_host else []),
        f"NumNodes={request.nodes} NumCPUs={cpus:g} NumTasks={request.tasks}"
        f" CPUs/Task={request.cpus_per_task or 1} ReqB:S:C:T=0:0:*:*",
        f"TRES={fields.tres(entry)}",
        f"Socks/Node=* NtasksPerN:B:S:C={request.tasks_per_node or 0}:0:*:* CoreSpec=*",
        f"MinCPUsNode={request.cpus_per_task or 1} {memory} MinTmpDiskNode=0",
        f"Features={placement.shown_features(request.constraints) or '(null)'} DelayBoot=00:00:00",
        "OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)",
        f"Command={visible(request.command) or '(null)'}",
        f"WorkDir={visible(request.working_directory)}",
    ]
    if request.comment:
        lines.append(f"Comment={visible(request.comment)} ")
    lines += [
        f"StdErr={visible(fields.file_name(entry, request.stderr or request.stdout))}",
        f"StdIn={visible(fields.file_name(entry, request.stdin))}",
        f"StdOut={visible(fields.file_name(entry, request.stdout))}",
        "Power=",
    ]
    number = request.resources.gpus
    if number:
        lines.append(f"{'TresPerJob' if request.gpus_given else 'TresPerNode'}=gres:gpu:{number}")
    if request.mail_types:
        lines.append(f"MailUser={visible(request.mail_user)} MailType={','.join(request.mail_types)}")
    return lines


def partitions(provider: JobProvider, name: str | None, *, one_line: bool) -> Result:
    """One partition, or all. Exit code 1 for an unknown one."""
    settings = provider.settings
    queues = [queue for queue in settings.queues if name in (None, queue.name)]
    if not queues:
        return Result(f"Partition {name} not found\n", exit_code=1)
    default = settings.queue(None).name
    texts = []
    for queue in queues:
        lines = _partition(queue, provider.nodes(queue.cluster), queue.name == default)
        texts.append(" ".join(lines) + "\n" if one_line else "\n   ".join(lines) + "\n\n")
    return Result("".join(texts))


def _partition(queue: QueueSettings, nodes: Sequence[Node], default: bool) -> list[str]:
    cpus = sum(int(node.total.cpus) for node in nodes)
    memory = sum(node.total.memory_mb for node in nodes)
    gpus = sum(node.total.gpus for node in nodes)
    return [
        f"PartitionName={queue.name}",
        "AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL",
        f"AllocNodes=ALL Default={'YES' if default else 'NO'} QoS=N/A",
        f"DefaultTime={values.elapsed(queue.default_wall_time_minutes * 60)} DisableRootJobs=NO"
        f" ExclusiveUser=NO GraceTime=0 Hidden=NO",
        f"MaxNodes=1 MaxTime={values.elapsed(queue.max_wall_time_minutes * 60)} MinNodes=0 LLN=NO"
        f" MaxCPUsPerNode={queue.max_cpus or 'UNLIMITED'}",
        f"Nodes={hostlist.short([node.name for node in nodes])}",
        "PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO",
        "OverTimeLimit=NONE PreemptMode=OFF",
        f"State=UP TotalCPUs={cpus} TotalNodes={len(nodes)} SelectTypeParameters=NONE",
        "JobDefaults=(null)",
        f"DefMemPerCPU={queue.default_memory_mb_per_cpu} MaxMemPerNode={queue.max_memory_mb or 'UNLIMITED'}",
        f"TRES=cpu={cpus},mem={memory}M,node={len(nodes)},billing={cpus}"
        + (f",gres/gpu={gpus}" if gpus else ""),
    ]


_STATES = {"idle": "IDLE", "mix": "MIXED", "alloc": "ALLOCATED", "down*": "DOWN*"}


def nodes(provider: JobProvider, name: str | None, *, one_line: bool) -> Result:
    """One node, or all. Exit code 1 for an unknown one."""
    queues = provider.settings.queues
    found: dict[str, tuple[Node, list[str]]] = {}
    for queue in queues:
        for node in provider.nodes(queue.cluster):
            found.setdefault(node.name, (node, []))[1].append(queue.name)
    wanted = sorted(found) if name is None else hostlist.expand(name)
    texts = []
    missing = []
    for host in wanted:
        if host not in found:
            missing.append(f"Node {host} not found\n")
            continue
        lines = _node(*found[host])
        texts.append(" ".join(lines) + "\n" if one_line else "\n   ".join(lines) + "\n\n")
    return Result("".join((*texts, *missing)), exit_code=1 if missing else 0)


def _node(node: Node, partitions_of: Sequence[str]) -> list[str]:
    total, used = node.total, node.used
    gpus = f",gres/gpu={total.gpus}" if total.gpus else ""
    allocated = f"cpu={used.cpus:g},mem={used.memory_mb}M" if used.cpus else ""
    return [
        f"NodeName={node.name} CoresPerSocket={int(total.cpus)} ",
        f"CPUAlloc={used.cpus:g} CPUEfctv={total.cpus:g} CPUTot={total.cpus:g} CPULoad=N/A",
        "AvailableFeatures=(null)",
        "ActiveFeatures=(null)",
        f"Gres={node_words.gres([node])}",
        f"NodeAddr={node.name} NodeHostName={node.name} Version=22.05.8",
        f"RealMemory={total.memory_mb} AllocMem={used.memory_mb} FreeMem={total.memory_mb - used.memory_mb}"
        " Sockets=1 Boards=1",
        f"State={_STATES[node_words.state(node)]} ThreadsPerCore=1 TmpDisk={total.disk_mb} Weight=1 Owner=N/A"
        " MCS_label=N/A",
        f"Partitions={','.join(partitions_of)} ",
        f"CfgTRES=cpu={total.cpus:g},mem={total.memory_mb}M,billing={total.cpus:g}{gpus}",
        f"AllocTRES={allocated}",
    ]


def config(provider: JobProvider, now: float, frame: Frame) -> Result:
    """What of SLURM's configuration is true here."""
    settings = provider.settings
    default = settings.queue(None)
    entries = {
        "ClusterName": settings.name,
        "DefMemPerCPU": str(default.default_memory_mb_per_cpu),
        "EnforcePartLimits": "ALL",
        "KillWait": f"{default.kill_grace_seconds} sec",
        "MaxArraySize": "1001",
        "SLURM_VERSION": "22.05.8",
    }
    lines = [f"Configuration data as of {frame.date(now)}"]
    lines += [f"{name:<23} = {value}" for name, value in entries.items()]
    return Result("".join(f"{line}\n" for line in lines))
