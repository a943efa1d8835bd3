"""The columns that squeue 22.05 knows: by letter for ``-o`` and by name for ``-O``.

What has no meaning here has the value that SLURM shows when nothing was asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from airavata_mesos_plugin.filenames import expand
from airavata_mesos_plugin.provider import dependencies
from airavata_mesos_plugin.slurm import placement, values, view
from airavata_mesos_plugin.slurm.entries import Entry
from airavata_mesos_plugin.slurm.table import Field


def _null(text: str) -> str:
    return text or "(null)"


def _always(heading: str, text: str) -> Field[Entry]:
    return Field(heading, lambda _entry: text)


def end_time(row: Entry) -> float | None:
    """When the job ended, or has to end at last."""
    if row.job.phase.final:
        return view.end(row.job)
    if row.job.started_at is None:
        return None
    return row.job.started_at + row.job.request.wall_time_seconds


def start_time(row: Entry) -> float | None:
    """When the job started, or the time that it waits for."""
    if row.job.started_at is not None or row.job.wait_reason != "BeginTime":
        return row.job.started_at
    return row.job.begin_at


def _time_left(row: Entry) -> str:
    return values.duration(row.job.request.wall_time_seconds - view.run_time(row.job, row.now))


def memory(row: Entry) -> str:
    """The memory as it was asked for: of the node, or of each CPU."""
    request = row.job.request
    if request.memory_given:
        return values.memory(request.resources.memory_mb)
    return values.memory(request.resources.memory_mb // max(1, int(request.resources.cpus)))


def gpus(row: Entry) -> str:
    """The GPUs of the node as SLURM writes them."""
    request = row.job.request
    number = request.resources.gpus
    return f"gres:gpu:{number}" if number and not request.gpus_given else "N/A"


def tres(row: Entry) -> str:
    """Trackable resources of the job."""
    resources = row.job.request.all_resources
    text = f"cpu={resources.cpus:g},mem={values.memory(resources.memory_mb)},node={row.job.request.nodes}"
    text += f",billing={resources.cpus:g}"
    return f"{text},gres/gpu={resources.gpus}" if resources.gpus else text


def dependency(row: Entry) -> str:
    """What the job waits for."""
    return dependencies.parse(row.job.dependency).shown()


def priority(row: Entry) -> str:
    """0 for a held job, 1 for all others: the scheduler has its own order."""
    return "0" if row.job.held is not None and not row.job.phase.final else "1"


def file_name(row: Entry, text: str) -> str:
    """The absolute name of a file of the job."""
    name = expand(text, row.job, "%N")
    return name if name.startswith("/") else f"{row.job.request.working_directory}/{name}"


def _stderr(row: Entry) -> str:
    return file_name(row, row.job.request.stderr or row.job.request.stdout)


LETTERS: dict[str, Field[Entry]] = {
    "a": Field("ACCOUNT", lambda row: _null(row.job.request.account)),
    "b": Field("TRES_PER_NODE", gpus),
    "c": Field("MIN_CPUS", lambda row: str(row.job.request.cpus_per_task or 1)),
    "d": _always("MIN_TMP_DISK", "0"),
    "e": Field("END_TIME", lambda row: row.date(end_time(row))),
    "f": Field("FEATURES", lambda row: _null(placement.shown_features(row.job.request.constraints))),
    "g": Field("GROUP", lambda row: view.group(row.job.request.uid, row.job.request.gid)[1]),
    "h": _always("OVER_SUBSCRIBE", "OK"),
    "i": Field("JOBID", Entry.label),
    "j": Field("NAME", Entry.name),
    "k": Field("COMMENT", lambda row: _null(row.job.request.comment)),
    "l": Field("TIME_LIMIT", lambda row: view.limit(row.job)),
    "m": Field("MIN_MEMORY", memory),
    "n": Field("REQ_NODES", lambda row: placement.shown_hosts(row.job.request.constraints)),
    "o": Field("COMMAND", lambda row: _null(row.job.request.command)),
    "p": Field("PRIORITY", lambda row: "0.00000000000000" if priority(row) == "0" else "0.00000000023283"),
    "q": Field("QOS", lambda row: _null(row.job.request.qos)),
    "r": Field("REASON", lambda row: view.reason(row.job)),
    "s": _always("", ""),
    "t": Field("ST", lambda row: view.letters(row.job)),
    "u": Field("USER", lambda row: row.job.request.user),
    "v": Field("RESERVATION", lambda row: _null(row.job.request.reservation)),
    "w": _always("WCKEY", "(null)"),
    "x": Field("EXC_NODES", lambda row: placement.shown_hosts(row.job.request.constraints, excluded=True)),
    "y": _always("NICE", "0"),
    "z": _always("S:C:T", "*:*:*"),
    "A": Field("JOBID", lambda row: str(row.id)),
    "B": Field("EXEC_HOST", lambda row: row.job.batch_host or "n/a"),
    "C": Field("CPUS", lambda row: view.cpus(row.job)),
    "D": Field("NODES", lambda row: str(row.job.request.nodes)),
    "E": Field("DEPENDENCY", lambda row: _null(dependency(row))),
    "F": Field("ARRAY_JOB_ID", lambda row: str(row.job.array_id or row.job.id)),
    "G": Field("GROUP", lambda row: str(view.group(row.job.request.uid, row.job.request.gid)[0])),
    "H": _always("SOCKETS_PER_NODE", "*"),
    "I": _always("CORES_PER_SOCKET", "*"),
    "J": _always("THREADS_PER_CORE", "*"),
    "K": Field("ARRAY_TASK_ID", Entry.tasks),
    "L": Field("TIME_LEFT", _time_left),
    "M": Field("TIME", lambda row: values.duration(view.run_time(row.job, row.now))),
    "N": Field("NODELIST", lambda row: row.job.shown_nodes),
    "O": _always("CONTIGUOUS", "0"),
    "P": Field("PARTITION", lambda row: row.job.request.queue),
    "Q": Field("PRIORITY", priority),
    "R": Field("NODELIST(REASON)", lambda row: view.place(row.job)),
    "S": Field("START_TIME", lambda row: row.date(start_time(row))),
    "T": Field("STATE", lambda row: view.word(row.job)),
    "U": Field("UID", lambda row: str(row.job.request.uid)),
    "V": Field("SUBMIT_TIME", lambda row: row.date(view.submit_time(row.job))),
    "W": _always("LICENSES", "(null)"),
    "X": _always("CORE_SPEC", "N/A"),
    "Y": _always("SCHEDNODES", "(null)"),
    "Z": Field("WORK_DIR", lambda row: row.job.request.working_directory),
}

ALL = "|".join(f"%{letter}" for letter in LETTERS)
"""What ``-o %all`` means."""

_BY_LETTER = {
    "Account": "a", "ArrayJobID": "F", "ArrayTaskID": "K", "BatchHost": "B", "Command": "o", "Comment": "k",
    "Contiguous": "O", "Cores": "I", "CoreSpec": "X", "Dependency": "E", "EndTime": "e", "Feature": "f",
    "GroupName": "g", "GroupID": "G", "JobArrayID": "i", "Licenses": "W", "MinCpus": "c", "MinMemory": "m",
    "MinTmpDisk": "d", "Name": "j", "Nice": "y", "NodeList": "N", "NumCPUs": "C", "NumNodes": "D",
    "OverSubscribe": "h", "Partition": "P", "Priority": "p", "PriorityLong": "Q", "QOS": "q", "Reason": "r",
    "ReasonList": "R", "ReqNodes": "n", "Reservation": "v", "SchedNodes": "Y", "SCT": "z", "Sockets": "H",
    "StartTime": "S", "State": "T", "StateCompact": "t", "SubmitTime": "V", "Threads": "J", "TimeLeft": "L",
    "TimeLimit": "l", "TimeUsed": "M", "tres-per-node": "b", "UserID": "U", "UserName": "u", "WCKey": "w",
    "WorkDir": "Z", "Gres": "b",
}  # fmt: skip

_FIXED = {
    "BatchFlag": ("BATCH_FLAG", "1"), "BoardsPerNode": ("BOARDS_PER_NODE", "0"),
    "BurstBuffer": ("BURST_BUFFER", "(null)"), "BurstBufferState": ("BURST_BUFFER_STATE", "(null)"),
    "ClusterFeature": ("CLUSTER_FEATURES", "(null)"), "Container": ("CONTAINER", "(null)"),
    "cpus-per-tres": ("CPUS_PER_TRES", "N/A"), "Deadline": ("DEADLINE", "N/A"),
    "DelayBoot": ("DELAY_BOOT", "0:00"), "HetJobID": ("HET_JOB_ID", "N/A"),
    "HetJobOffset": ("HET_JOB_OFFSET", "N/A"), "HetJobIDSet": ("HET_JOB_ID_SET", "N/A"),
    "MCSLabel": ("MCSLABEL", "(null)"), "mem-per-tres": ("MEM_PER_TRES", "N/A"),
    "MinTime": ("TIME_MIN", "0:00"),
    "Network": ("NETWORK", "(null)"), "NTPerBoard": ("NTASKS_PER_BOARD", "0"),
    "NTPerCore": ("NTASKS_PER_CORE", "N/A"), "NTPerSocket": ("NTASKS_PER_SOCKET", "N/A"),
    "PreemptTime": ("PREEMPT_TIME", "N/A"), "Prefer": ("PREFER", "(null)"), "Profile": ("PROFILE", "NotSet"),
    "Reboot": ("REBOOT", "0"), "ReqSwitch": ("REQ_SWITCH", "0"), "ResizeTime": ("RESIZE_TIME", "N/A"),
    "System_Comment": ("SYSTEM_COMMENT", "(null)"), "AdminComment": ("ADMIN_COMMENT", "(null)"),
    "tres-bind": ("TRES_BIND", "N/A"), "tres-per-task": ("TRES_PER_TASK", "N/A"),
    "tres-per-socket": ("TRES_PER_SOCKET", "N/A"), "Wait4Switch": ("WAIT4SWITCH", "0:00"),
}  # fmt: skip


def _pending_time(row: Entry) -> str:
    end = row.job.started_at
    if end is None:
        end = view.end(row.job) if row.job.phase.final else row.now
    return str(max(0, int(end - view.submit_time(row.job))))


def _eligible(row: Entry) -> str:
    moment = view.eligible_time(row.job)
    return row.date(row.job.begin_at if moment is None and row.job.wait_reason == "BeginTime" else moment)


NAMES: dict[str, Field[Entry]] = {
    **{name: LETTERS[letter] for name, letter in _BY_LETTER.items()},
    **{name: _always(heading, text) for name, (heading, text) in _FIXED.items()},
    "cpus-per-task": Field("CPUS_PER_TASK", lambda row: str(row.job.request.cpus_per_task or 1)),
    "DerivedEC": _always("DERIVED_EC", "0"),
    "EligibleTime": Field("ELIGIBLE_TIME", _eligible),
    "exit_code": Field("EXIT_CODE", lambda row: str(view.wait_status(row.job))),
    "JobID": Field("JOBID", lambda row: str(row.id)),
    "LastSchedEval": Field("LAST_SCHED_EVAL", lambda row: row.date(row.job.changed_at)),
    "MaxCPUs": Field("MAX_CPUS", lambda row: view.cpus(row.job)),
    "MaxNodes": Field("MAX_NODES", lambda row: str(row.job.request.nodes)),
    "NTPerNode": Field("NTASKS_PER_NODE", lambda row: str(row.job.request.tasks_per_node or 0)),
    "NumTasks": Field("TASKS", lambda row: str(row.job.request.tasks)),
    "OriginCluster": _always("ORIGIN", "N/A"),
    "PendingTime": Field("PENDING_TIME", _pending_time),
    "Requeue": Field("REQUEUE", lambda row: "0" if row.job.request.requeue is False else "1"),
    "RestartCnt": Field("RESTART_COUNT", lambda row: str(row.job.attempt - 1)),
    "STDERR": Field("STDERR", _stderr),
    "STDIN": Field("STDIN", lambda row: file_name(row, row.job.request.stdin)),
    "STDOUT": Field("STDOUT", lambda row: file_name(row, row.job.request.stdout)),
    "tres-alloc": Field("TRES_ALLOC", tres),
    "tres-per-job": Field(
        "TRES_PER_JOB",
        lambda row: f"gres:gpu:{row.job.request.resources.gpus}" if row.job.request.gpus_given else "N/A",
    ),
}


def cluster_field(name: str) -> Field[Entry]:
    """The field ``Cluster``."""
    return _always("CLUSTER", name)


STEP_LETTERS: dict[str, Field[Entry]] = {
    "i": Field("STEPID", lambda row: f"{row.label()}.batch"),
    "j": _always("NAME", "batch"),
    "P": LETTERS["P"],
    "u": LETTERS["u"],
    "U": LETTERS["U"],
    "M": LETTERS["M"],
    "S": LETTERS["S"],
    "N": Field("NODELIST", lambda row: row.job.batch_host),
    "A": Field("NTASKS", lambda _row: "1"),
    "b": _always("GRES", "(null)"),
    "l": LETTERS["l"],
}
"""Columns of ``squeue -s``. The script is the only step that is known here."""

SortKey = Callable[[Entry], tuple[object, ...]]


def sort_key(letter: str) -> SortKey:
    """What rows are sorted by for a letter of ``-S``: numbers where the column has some."""
    numbers: dict[str, Callable[[Entry], float]] = {
        "i": lambda row: float(row.id),
        "A": lambda row: float(row.id),
        "F": lambda row: float(row.job.array_id or row.job.id),
        "K": lambda row: float(-1 if row.job.array_index is None else row.job.array_index),
        "l": lambda row: float(row.job.request.wall_time_seconds),
        "L": lambda row: row.job.request.wall_time_seconds - view.run_time(row.job, row.now),
        "M": lambda row: view.run_time(row.job, row.now),
        "m": lambda row: float(row.job.request.resources.memory_mb),
        "C": lambda row: row.job.request.all_resources.cpus,
        "D": lambda row: float(row.job.request.nodes),
        "S": lambda row: start_time(row) or float("inf"),
        "e": lambda row: end_time(row) or float("inf"),
        "V": lambda row: view.submit_time(row.job),
        "U": lambda row: float(row.job.request.uid),
        "p": lambda row: float(priority(row)),
        "Q": lambda row: float(priority(row)),
        "t": lambda row: float(state_order(row)),
        "T": lambda row: float(state_order(row)),
    }
    if letter in numbers:
        number = numbers[letter]
        return lambda row: (number(row),)
    value = LETTERS[letter].value
    return lambda row: (value(row),)


def state_order(row: Entry) -> int:
    """Waiting jobs before running ones before those that are over, as SLURM numbers its states."""
    return list(view.STATE_WORDS).index(view.word(row.job))
