"""The fields of sacct 22.05. What nobody measures here, such as the CPU time of a script, is empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo

from airavata_mesos_plugin.jobs import JobPhase, JobRecord, PastAttempt
from airavata_mesos_plugin.slurm import squeue_fields, values, view
from airavata_mesos_plugin.slurm.entries import Entry


@dataclass(frozen=True)
class Line:
    """One record: an attempt of a job, several waiting tasks of an array, or the script of an attempt."""

    entry: Entry
    cluster: str
    state: str
    batch: bool = False

    @property
    def job(self) -> JobRecord:
        """The job, at the end of this attempt."""
        return self.entry.job

    def date(self, seconds: float) -> str:
        """A date in the caller's form."""
        return view.date(seconds, self.entry.zone, self.entry.date_format)


def line(entry: Entry, cluster: str) -> Line:
    """The record of a job's present attempt."""
    return Line(entry, cluster, view.accounting_state(entry.job))


def script_line(record: Line) -> Line | None:
    """The record of an attempt's script, which runs on the first node; None when it never started."""
    job = record.job
    if job.started_at is None:
        return None
    state = view.batch_state(job)
    if job.request.nodes > 1:
        there = job.request.model_copy(update={"nodes": 1})
        job = replace(job, request=there, node_list=job.batch_host)
    return replace(record, entry=replace(record.entry, job=job), state=state, batch=True)


_ENDS = {
    "COMPLETED": JobPhase.COMPLETED,
    "FAILED": JobPhase.FAILED,
    "TIMEOUT": JobPhase.TIMEOUT,
    "NODE_FAIL": JobPhase.LOST,
}


def past_line(
    past: PastAttempt, job: JobRecord, cluster: str, now: float, zone: tzinfo | None, form: str
) -> Line:
    """The record of an attempt that was followed by another."""
    then = replace(
        job,
        phase=_ENDS.get(past.state, JobPhase.CANCELLED),
        attempt=past.attempt,
        submitted_at=past.submitted_at,
        started_at=past.started_at,
        ended_at=past.ended_at,
        host=past.host,
        node_list=past.node_list,
        exit_code=past.exit_code,
        signal=past.signal,
        wait_reason="",
        eligible_at=past.submitted_at,
    )
    state = f"CANCELLED by {job.request.uid}" if past.state == "CANCELLED" else past.state
    return Line(Entry(then, now, zone, date_format=form), cluster, state)


@dataclass(frozen=True)
class Field:
    """One field: default width (negative: text to the left) and how its value is found."""

    width: int
    value: Callable[[Line], str]
    of_script: bool = True  # scripts have it too


def _of_job(width: int, value: Callable[[Line], str]) -> Field:
    return Field(width, value, of_script=False)


def _empty(width: int) -> Field:
    return Field(width, lambda _line: "")


def _elapsed(record: Line) -> float:
    return float(int(view.run_time(record.job, record.entry.now)))


def _start(record: Line) -> str:
    job = record.job
    if job.started_at is not None:
        return record.date(job.started_at)
    return record.date(view.end(job)) if job.phase.final else "Unknown"


def _end(record: Line) -> str:
    return record.date(view.end(record.job)) if record.job.phase.final else "Unknown"


def _eligible(record: Line) -> str:
    moment = view.eligible_time(record.job)
    return "Unknown" if moment is None else record.date(moment)


def _waited(record: Line) -> float:
    begin = view.eligible_time(record.job)
    if begin is None:
        return 0.0
    end = record.job.started_at
    if end is None:
        end = view.end(record.job) if record.job.phase.final else record.entry.now
    return max(0.0, end - begin)


def _tres(record: Line) -> str:
    """In SLURM's order of names."""
    return ",".join(sorted(squeue_fields.tres(record.entry).split(",")))


def _allocated(record: Line) -> str:
    return _tres(record) if record.job.started_at is not None else ""


def _script_suffix(record: Line, text: str) -> str:
    return f"{text}.batch" if record.batch else text


def _exit_code(record: Line) -> str:
    if not record.job.phase.final or record.state == "REQUEUED":
        return "0:0"
    if record.batch:
        return "" if record.job.phase is JobPhase.LOST else view.batch_exit_code(record.job)
    return view.exit_code(record.job)


_FIELDS: dict[str, Field] = {
    "Account": Field(10, lambda line: line.job.request.account),
    "AdminComment": _empty(19),
    "AllocCPUS": Field(10, lambda line: view.cpus(line.job)),
    "AllocNodes": Field(10, lambda line: str(line.job.request.nodes if line.job.started_at else 0)),
    "AllocTRES": Field(10, _allocated),
    "AssocID": _empty(7),
    **dict.fromkeys(("AveCPU", "AveCPUFreq", "AvePages", "AveRSS", "AveVMSize"), _empty(10)),
    **dict.fromkeys(("AveDiskRead", "AveDiskWrite"), _empty(14)),
    "BlockID": _empty(16),
    "Cluster": Field(10, lambda line: line.cluster),
    "Comment": _of_job(14, lambda line: line.job.request.comment),
    "Constraints": _empty(11),
    "ConsumedEnergy": _empty(14),
    "ConsumedEnergyRaw": _empty(17),
    "Container": _empty(20),
    "CPUTime": Field(10, lambda line: values.elapsed(_elapsed(line) * line.job.request.all_resources.cpus)),
    "CPUTimeRAW": Field(10, lambda line: f"{_elapsed(line) * line.job.request.all_resources.cpus:.0f}"),
    "DBIndex": _empty(20),
    "DerivedExitCode": _of_job(15, lambda _line: "0:0"),
    "Elapsed": Field(10, lambda line: values.elapsed(_elapsed(line))),
    "ElapsedRaw": Field(10, lambda line: f"{_elapsed(line):.0f}"),
    "Eligible": Field(19, _eligible),
    "End": Field(19, _end),
    "ExitCode": Field(8, _exit_code),
    "Flags": _empty(20),
    "GID": _of_job(6, lambda line: str(view.group(line.job.request.uid, line.job.request.gid)[0])),
    "Group": _of_job(9, lambda line: view.group(line.job.request.uid, line.job.request.gid)[1]),
    "JobID": Field(-12, lambda line: _script_suffix(line, line.entry.label())),
    "JobIDRaw": Field(-12, lambda line: _script_suffix(line, str(line.entry.id))),
    "JobName": Field(10, lambda line: "batch" if line.batch else line.job.request.name),
    "Layout": _empty(9),
    **dict.fromkeys(
        ("MaxDiskRead", "MaxDiskWrite", "MaxDiskReadTask", "MaxDiskWriteTask", "MaxDiskReadNode"), _empty(12)
    ),
    "MaxDiskWriteNode": _empty(16),
    **dict.fromkeys(("MaxPages", "MaxPagesNode", "MaxPagesTask"), _empty(8)),
    **dict.fromkeys(("MaxRSS", "MaxRSSNode", "MaxRSSTask"), _empty(10)),
    **dict.fromkeys(("MaxVMSize", "MaxVMSizeNode", "MaxVMSizeTask"), _empty(10)),
    "McsLabel": _empty(10),
    **dict.fromkeys(("MinCPU", "MinCPUNode", "MinCPUTask"), _empty(10)),
    "NCPUS": Field(10, lambda line: view.cpus(line.job)),
    "NNodes": Field(8, lambda line: str(line.job.request.nodes)),
    "NodeList": Field(15, lambda line: line.job.shown_nodes or "None assigned"),
    "NTasks": Field(8, lambda line: "1" if line.batch else ""),
    "Partition": _of_job(10, lambda line: line.job.request.queue),
    "Priority": _of_job(10, lambda line: squeue_fields.priority(line.entry)),
    "QOS": _of_job(10, lambda line: line.job.request.qos),
    "QOSRAW": _empty(10),
    "Reason": _of_job(22, lambda line: "None" if line.job.phase.final else view.reason(line.job)),
    "ReqCPUFreq": _empty(10),
    "ReqCPUFreqGov": _empty(13),
    "ReqCPUFreqMax": _empty(13),
    "ReqCPUFreqMin": _empty(13),
    "ReqCPUS": Field(8, lambda line: view.cpus(line.job)),
    "ReqMem": _of_job(10, lambda line: values.memory(line.job.request.all_resources.memory_mb)),
    "ReqNodes": _of_job(8, lambda line: str(line.job.request.nodes)),
    "ReqTRES": _of_job(10, _tres),
    "Reservation": _of_job(20, lambda line: line.job.request.reservation),
    "ReservationId": _empty(15),
    "Reserved": _of_job(10, lambda line: values.elapsed(_waited(line))),
    "ResvCPU": _of_job(10, lambda line: values.elapsed(_waited(line) * line.job.request.all_resources.cpus)),
    "ResvCPURAW": _of_job(10, lambda line: f"{_waited(line) * line.job.request.all_resources.cpus:.0f}"),
    "Start": Field(19, _start),
    "State": Field(10, lambda line: line.state),
    "Submit": Field(19, lambda line: line.date(view.submit_time(line.job))),
    "SubmitLine": _of_job(20, lambda line: line.job.request.submit_line),
    "Suspended": Field(10, lambda _line: "00:00:00"),
    "SystemComment": _empty(20),
    "SystemCPU": _empty(10),
    "Timelimit": _of_job(10, lambda line: values.elapsed(line.job.request.wall_time_seconds)),
    "TimelimitRaw": _of_job(12, lambda line: str(line.job.request.wall_time_seconds // 60)),
    "TotalCPU": _empty(10),
    **dict.fromkeys(
        [
            f"TRESUsage{way}{what}"
            for way in ("In", "Out")
            for what in ("Ave", "Max", "MaxNode", "MaxTask", "Min", "MinNode", "MinTask", "Tot")
        ],
        _empty(14),
    ),
    "UID": _of_job(6, lambda line: str(line.job.request.uid)),
    "User": _of_job(9, lambda line: line.job.request.user),
    "UserCPU": _empty(10),
    "WCKey": _empty(10),
    "WCKeyID": _empty(8),
    "WorkDir": _of_job(20, lambda line: line.job.request.working_directory),
}

FIELDS = dict(sorted(_FIELDS.items(), key=lambda item: item[0].lower()))
"""In the order in which ``sacct --helpformat`` lists them."""


def document(record: Line) -> dict[str, object]:
    """One record for ``--json``."""
    job, request = record.job, record.job.request
    begin = view.eligible_time(job)
    ended = job.phase.final
    failed = ended and view.exit_code(job) != "0:0"
    exit_code: dict[str, object] = {
        "status": "SIGNALED" if failed and job.signal else "ERROR" if failed else "SUCCESS",
        "return_code": job.exit_code or 0 if failed and not job.signal else 0,
    }
    if failed and job.signal:
        exit_code["signal"] = {"signal_id": job.signal, "name": None}
    return {
        "account": request.account,
        "comment": {"administrator": None, "job": request.comment or None, "system": None},
        "allocation_nodes": request.nodes if job.started_at is not None else 0,
        "array": {
            "job_id": job.array_id or 0,
            "limits": {"max": {"running": {"tasks": request.array_limit}}},
            "task": None,
            "task_id": job.array_index,
        },
        "association": {
            "account": request.account,
            "cluster": record.cluster,
            "partition": None,
            "user": request.user,
        },
        "cluster": record.cluster,
        "constraints": "",
        "container": None,
        "derived_exit_code": {"status": "SUCCESS", "return_code": 0},
        "time": {
            "elapsed": int(_elapsed(record)),
            "eligible": 0 if begin is None else int(begin),
            "end": int(view.end(job)) if ended else 0,
            "start": 0 if job.started_at is None else int(job.started_at),
            "submission": int(view.submit_time(job)),
            "suspended": 0,
            "limit": request.wall_time_seconds // 60,
        },
        "exit_code": exit_code,
        "flags": [],
        "group": view.group(request.uid, request.gid)[1],
        "het": {"job_id": 0, "job_offset": None},
        "job_id": job.id,
        "name": request.name,
        "mcs": {"label": ""},
        "nodes": job.shown_nodes or "None assigned",
        "partition": request.queue,
        "priority": int(squeue_fields.priority(record.entry)),
        "qos": request.qos,
        "required": {"CPUs": int(request.all_resources.cpus), "memory": request.resources.memory_mb},
        "kill_request_user": view.canceller(job) if job.phase is JobPhase.CANCELLED else None,
        "reservation": {"id": 0, "name": request.reservation or 0},
        "state": {"current": record.state.split(" ")[0], "reason": view.reason(job)},
        "steps": [],
        "submit_line": request.submit_line,
        "user": request.user,
        "working_directory": request.working_directory,
    }
