"""sacct: what became of jobs. A job has one record, each earlier attempt another one, and its script a line
of its own unless ``-X`` is given.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.slurm import documents, entries, selecting, times, values, view
from airavata_mesos_plugin.slurm.entries import Entry
from airavata_mesos_plugin.slurm.options import Argument, Option, Parsed, parse
from airavata_mesos_plugin.slurm.sacct_fields import (
    FIELDS,
    Field,
    Line,
    document,
    line,
    past_line,
    script_line,
)
from airavata_mesos_plugin.slurm.selecting import JobName
from airavata_mesos_plugin.slurm.session import (
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
    about,
    check_refused,
)
from airavata_mesos_plugin.slurm.table import visible
from airavata_mesos_plugin.store import JobSelection

_VALUE = Argument.REQUIRED


def _other(long: str, short: str = "", argument: Argument = Argument.NONE) -> Option:
    text = f"sacct: error: --{long} is not supported here; choose jobs with -j, -u, -S or -s, fields with -o"
    return Option(long, short, argument, refused=(text,))


SACCT_OPTIONS: tuple[Option, ...] = (
    Option("accounts", "A", _VALUE),
    Option("allclusters", "L", ignored="there is one cluster"),
    Option("allocations", "X"),
    Option("allusers", "a"),
    Option("batch-script", "B"),
    Option("brief", "b"),
    Option("cluster", "", _VALUE, ignored="there is one cluster"),
    Option("clusters", "M", _VALUE, ignored="there is one cluster"),
    _other("completion", "c"),
    _other("constraints", "C", _VALUE),
    Option("delimiter", "", _VALUE),
    Option("duplicates", "D"),
    Option("endtime", "E", _VALUE),
    _other("env-vars"),
    Option("federation", ignored="there is one cluster"),
    _other("file", "f", _VALUE),
    _other("flags", "F", _VALUE),
    Option("format", "o", _VALUE, environment="SACCT_FORMAT"),
    _other("group", "g", _VALUE),
    Option("help", "h"),
    Option("helpformat", "e"),
    Option("jobs", "j", _VALUE),
    Option("json"),
    Option("local", ignored="there is one cluster"),
    Option("long", "l"),
    Option("name", "", _VALUE),
    _other("ncpus", "I", _VALUE),
    _other("nnodes", "i", _VALUE),
    Option("noconvert", ignored="amounts are whole"),
    Option("nodelist", "N", _VALUE),
    Option("noheader", "n"),
    Option("parsable", "p"),
    Option("parsable2", "P"),
    Option("partition", "r", _VALUE),
    Option("qos", "q", _VALUE),
    Option("starttime", "S", _VALUE),
    Option("state", "s", _VALUE),
    _other("timelimit-max", "K", _VALUE),
    _other("timelimit-min", "k", _VALUE),
    Option("truncate", "T", ignored="times are never outside"),
    Option("uid", "", _VALUE, dest="user"),
    Option("units", "", _VALUE, ignored="amounts have their unit"),
    Option("usage", "U"),
    Option("user", "u", _VALUE),
    Option("version", "V"),
    _other("wckeys", "W", _VALUE),
    Option("whole-hetjob", "", Argument.OPTIONAL, ignored="there are no heterogeneous jobs"),
    Option("yaml"),
)

USAGE = (
    "Usage: sacct [-X] [-n] [-p | -P] [--delimiter=TEXT] [-o field[%width],...] [-j job[,...]] [-D]\n"
    "             [-u user[,...]] [-a] [--name=name[,...]] [-r partition[,...]] [-s state[,...]]\n"
    "             [-S time] [-E time] [--json]\n"
)

DEFAULT_FIELDS = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode"
BRIEF_FIELDS = "JobID,State,ExitCode"
LONG_FIELDS = (
    "JobID,JobIDRaw,JobName,Partition,MaxVMSize,MaxVMSizeNode,MaxVMSizeTask,AveVMSize,MaxRSS,MaxRSSNode,"
    "MaxRSSTask,AveRSS,MaxPages,MaxPagesNode,MaxPagesTask,AvePages,MinCPU,MinCPUNode,MinCPUTask,AveCPU,NTasks,"
    "AllocCPUS,Elapsed,State,ExitCode,AveCPUFreq,ReqCPUFreqMin,ReqCPUFreqMax,ReqCPUFreqGov,ReqMem,"
    "ConsumedEnergy,MaxDiskRead,MaxDiskReadNode,MaxDiskReadTask,AveDiskRead,MaxDiskWrite,MaxDiskWriteNode,"
    "MaxDiskWriteTask,AveDiskWrite,ReqTRES,AllocTRES,TRESUsageInAve,TRESUsageInMax,TRESUsageInMaxNode,"
    "TRESUsageInMaxTask,TRESUsageInMin,TRESUsageInMinNode,TRESUsageInMinTask,TRESUsageInTot,TRESUsageOutMax,"
    "TRESUsageOutMaxNode,TRESUsageOutMaxTask,TRESUsageOutAve,TRESUsageOutTot"
)


@dataclass(frozen=True)
class _Column:
    name: str
    width: int
    field: Field

    def cell(self, text: str) -> str:
        """``text`` at the width of the column; a cut value ends in a plus sign."""
        width = abs(self.width)
        if len(text) > width:
            text = text[: width - 1] + "+"
        return text.ljust(width) if self.width < 0 else text.rjust(width)


def run(invocation: Invocation, provider: JobProvider, clock: Clock) -> Result:
    """Print jobs. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SACCT_OPTIONS, stop_at_word=False)
    if (told := about(options, USAGE)) is not None:
        return told
    if options.has("helpformat"):
        return Result(_help_format())
    if options.words:
        raise CommandFailed(
            "sacct: error: Unknown arguments:", *(f"sacct: error:  {word}" for word in options.words)
        )
    check_refused(options)
    columns = _columns(_format(options, invocation))
    lines = _lines(options, invocation, provider, clock.now())
    if options.has("batch-script"):
        return Result(_scripts(lines, invocation, provider))
    if options.has("json") or options.has("yaml"):
        answer = documents.accounting([document(record) for record in lines if not record.batch])
        return Result(documents.as_yaml(answer) if options.has("yaml") else documents.as_json(answer))
    return Result(_print(columns, lines, options))


def _format(options: Parsed, invocation: Invocation) -> str:
    text = options.value("format")
    if text is not None:
        return text
    if options.has("long"):
        return LONG_FIELDS
    if options.has("brief"):
        return BRIEF_FIELDS
    return invocation.environ.get("SACCT_FORMAT") or DEFAULT_FIELDS


def _help_format() -> str:
    names = list(FIELDS)
    rows = [names[start : start + 4] for start in range(0, len(names), 4)]
    return "".join(" ".join(f"{name:<19}" for name in row) + "\n" for row in rows)


def _columns(text: str) -> list[_Column]:
    columns = []
    for entry in values.parse_list(text):
        name, _, width = entry.partition("%")
        if name.upper() == "ALL":
            columns += [_Column(known, field.width, field) for known, field in FIELDS.items()]
            continue
        found = next((known for known in FIELDS if known.lower() == name.lower()), None) or next(
            (known for known in FIELDS if known.lower().startswith(name.lower())), None
        )
        if found is None or not re.fullmatch(r"|-?[1-9][0-9]{0,3}", width, re.ASCII):
            raise CommandFailed(f'sacct: error: Invalid field requested: "{entry if found else name}"')
        columns.append(_Column(found, int(width) if width else FIELDS[found].width, FIELDS[found]))
    return columns


def _lines(options: Parsed, invocation: Invocation, provider: JobProvider, now: float) -> list[Line]:
    """All records in their order: by id, tasks of an array by index, attempts from the oldest on."""
    where, form = view.zone(invocation.environ), view.date_format(invocation.environ)
    names = _names(options.value("jobs") or "")
    jobs = _select(options, names, invocation, provider, now, where)
    cluster = provider.settings.name
    rows = entries.merged(
        [Entry(job, now, where, date_format=form) for job in jobs],
        frozenset(name.id for name in names if name.indexes is not None),
    )
    past: dict[int, list[Line]] = {}
    if options.has("duplicates"):
        by_id = {job.id: job for job in jobs}
        for attempt in provider.past_attempts(by_id):
            record = past_line(attempt, by_id[attempt.job_id], cluster, now, where, form)
            past.setdefault(attempt.job_id, []).append(record)
    lines: list[Line] = []
    for row in rows:
        for record in (*past.get(row.job.id, ()), line(row, cluster)):
            wanted = [name.step for name in names if name.means(row.job)]
            if not wanted or "" in wanted:
                lines.append(record)
            script = None if options.has("allocations") else script_line(record)
            if script is not None and (not wanted or "" in wanted or "batch" in wanted):
                lines.append(script)
    if (text := options.value("nodelist")) is not None:
        there = selecting.on_nodes(text)
        lines = [record for record in lines if there(record.job)]
    return lines


def _select(
    options: Parsed,
    ids: Sequence[JobName],
    invocation: Invocation,
    provider: JobProvider,
    now: float,
    where: tzinfo | None,
) -> list[JobRecord]:
    begin, end = _window(options, bool(ids), now, where)
    names, partitions = options.value("name"), options.value("partition")
    people = _people(options, invocation, provider)
    phases = _phases(options.value("state"))
    selection = JobSelection(
        names=None if names is None else frozenset(values.parse_list(names)),
        users=people,
        queues=None if partitions is None else frozenset(values.parse_list(partitions)),
        phases=phases,
    )
    if any(
        wanted is not None and not wanted
        for wanted in (selection.names, people, selection.queues, selection.phases)
    ):
        return []
    jobs = selecting.find(provider, ids, selection) if ids else provider.jobs(selection)
    found = [
        job
        for job in _fitting(jobs, options)
        if (begin is None or not job.phase.final or view.end(job) > begin) and job.accepted_at <= end
    ]
    return sorted(found, key=lambda job: (job.array_id or job.id, job.array_index or 0))


def _window(options: Parsed, by_id: bool, now: float, where: tzinfo | None) -> tuple[float | None, float]:
    """From when to when a job must have been alive. As in SLURM that is today, and any time with ids."""
    begin: float | None = None
    if (text := options.value("starttime")) is not None:
        begin = _moment(text, now, where)
    elif not by_id:
        midnight = datetime.fromtimestamp(now, where).replace(hour=0, minute=0, second=0, microsecond=0)
        begin = midnight.timestamp()
    end = now
    if (text := options.value("endtime")) is not None:
        end = _moment(text, now, where)
    if begin is not None and begin > end:
        raise CommandFailed(
            f"sacct: error: Start time ({view.date(begin, where)}) requested is after"
            f" end time ({view.date(end, where)})."
        )
    return begin, end


def _moment(text: str, now: float, where: tzinfo | None) -> float:
    try:
        return times.parse(text, now, where, past=True)
    except times.BadTime as error:
        raise CommandFailed(str(error)) from error


def _names(text: str) -> list[JobName]:
    names = []
    for entry in selecting.split(text):
        found = selecting.job_name(entry)
        if found is None:
            raise CommandFailed(f"sacct: fatal: Bad job/step specified: {entry}")
        names.append(found)
    return names


def _phases(text: str | None) -> frozenset[JobPhase] | None:
    if text is None:
        return None
    try:
        return selecting.states(text)
    except view.UnknownState as error:
        raise CommandFailed(f"sacct: fatal: unrecognized job state value '{error}'") from error


def _people(options: Parsed, invocation: Invocation, provider: JobProvider) -> frozenset[str] | None:
    text = options.value("user")
    if text is None:
        return None if options.value("jobs") or options.has("allusers") else frozenset({invocation.user})
    found, unknown = selecting.users(provider, text, invocation.user)
    if unknown:
        raise CommandFailed(f"sacct: error: Invalid user id: {unknown[0]}")
    return found


def _fitting(jobs: list[JobRecord], options: Parsed) -> list[JobRecord]:
    """Those that meet the conditions which the ledger does not look for by itself."""
    if (text := options.value("accounts")) is not None:
        accounts = frozenset(word.lower() for word in values.parse_list(text))
        jobs = [job for job in jobs if job.request.account in accounts]
    if (text := options.value("qos")) is not None:
        classes = frozenset(word.lower() for word in values.parse_list(text))
        jobs = [job for job in jobs if job.request.qos in classes]
    return jobs


def _scripts(lines: Sequence[Line], invocation: Invocation, provider: JobProvider) -> str:
    pieces = []
    for record in lines:
        if record.batch:
            continue
        own = invocation.uid in (0, record.job.request.uid)
        text = provider.script(record.job.id) if own else "NONE\n"
        pieces.append(f"Batch Script for {record.entry.label()}\n{'-' * 80}\n{text}")
    return "".join(pieces)


def _print(columns: Sequence[_Column], lines: Sequence[Line], options: Parsed) -> str:
    parsable = options.has("parsable") or options.has("parsable2")
    delimiter = options.value("delimiter") or "|"
    rows: list[list[str]] = []
    if not options.has("noheader"):
        rows.append([column.name for column in columns])
        if not parsable:
            rows.append(["-" * abs(column.width) for column in columns])
    rows += [
        [
            visible(column.field.value(record)) if column.field.of_script or not record.batch else ""
            for column in columns
        ]
        for record in lines
    ]
    if not parsable:
        return "".join(
            "".join(f"{column.cell(text)} " for column, text in zip(columns, row, strict=True)) + "\n"
            for row in rows
        )
    ending = "\n" if options.has("parsable2") else f"{delimiter}\n"
    return "".join(delimiter.join(row) + ending for row in rows)
