"""sacct: what became of jobs. One line for each job; jobs here have no steps, so ``-X`` changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.slurm import selecting, values, view
from airavata_mesos_plugin.slurm.options import Argument, Option, Parsed, parse
from airavata_mesos_plugin.slurm.session import (
    VERSION_TEXT,
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
)
from airavata_mesos_plugin.slurm.table import visible
from airavata_mesos_plugin.store import JobSelection

_VALUE = Argument.REQUIRED


def _other(long: str, short: str = "", argument: Argument = Argument.NONE) -> Option:
    line = f"sacct: error: --{long} is not supported here; choose jobs with -j, -u or --name, fields with -o"
    return Option(long, short, argument, refused=(line,))


SACCT_OPTIONS: tuple[Option, ...] = (
    _other("accounts", "A", _VALUE),
    Option("allclusters", "L", ignored="there is one cluster"),
    Option("allocations", "X"),
    Option("allusers", "a"),
    _other("batch-script", "B"),
    _other("brief", "b"),
    Option("cluster", "", _VALUE, ignored="there is one cluster"),
    Option("clusters", "M", _VALUE, ignored="there is one cluster"),
    _other("completion", "c"),
    _other("constraints", "C", _VALUE),
    Option("delimiter", "", _VALUE),
    Option("duplicates", "D", ignored="a job has one record"),
    _other("endtime", "E", _VALUE),
    _other("env-vars"),
    _other("federation"),
    _other("file", "f", _VALUE),
    _other("flags", "F", _VALUE),
    Option("format", "o", _VALUE),
    _other("group", "g", _VALUE),
    Option("help", "h"),
    _other("helpformat", "e"),
    Option("jobs", "j", _VALUE),
    _other("json"),
    Option("local", ignored="there is one cluster"),
    _other("long", "l"),
    Option("name", "", _VALUE),
    _other("ncpus", "I", _VALUE),
    _other("nnodes", "i", _VALUE),
    Option("noconvert", ignored="amounts are whole"),
    _other("nodelist", "N", _VALUE),
    Option("noheader", "n"),
    Option("parsable", "p"),
    Option("parsable2", "P"),
    Option("partition", "r", _VALUE),
    _other("qos", "q", _VALUE),
    _other("starttime", "S", _VALUE),
    _other("state", "s", _VALUE),
    _other("timelimit-max", "K", _VALUE),
    _other("timelimit-min", "k", _VALUE),
    Option("truncate", "T", ignored="times are never outside"),
    _other("uid", "", _VALUE),
    _other("units", "", _VALUE),
    Option("usage", "U"),
    Option("user", "u", _VALUE),
    Option("version", "V"),
    _other("wckeys", "W", _VALUE),
    _other("whole-hetjob", "", Argument.OPTIONAL),
    _other("yaml"),
)

USAGE = (
    "Usage: sacct [-X] [-n] [-p | -P] [--delimiter=TEXT] [-o field[%width],...] [-j job[,...]]\n"
    "             [-u user[,...]] [-a] [--name=name[,...]] [-r partition[,...]]\n"
)

DEFAULT_FIELDS = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode"


@dataclass(frozen=True)
class _Row:
    job: JobRecord
    now: float
    zone: tzinfo | None

    def date(self, seconds: float) -> str:
        return view.date(seconds, self.zone)


@dataclass(frozen=True)
class Field:
    """One field: default width (negative: text to the left) and how its value is found."""

    width: int
    value: Callable[[_Row], str]


def _start(row: _Row) -> str:
    job = row.job
    if job.started_at is not None:
        return row.date(job.started_at)
    return row.date(view.end(job)) if job.phase.final else "Unknown"


def _end(row: _Row) -> str:
    return row.date(view.end(row.job)) if row.job.phase.final else "Unknown"


FIELDS: dict[str, Field] = {
    "Account": Field(10, lambda row: row.job.request.account),
    "AllocCPUS": Field(10, lambda row: view.cpus(row.job)),
    "Comment": Field(14, lambda row: row.job.request.comment),
    "Elapsed": Field(10, lambda row: values.elapsed(view.run_time(row.job, row.now))),
    "End": Field(19, _end),
    "ExitCode": Field(8, lambda row: view.exit_code(row.job)),
    "JobID": Field(-12, lambda row: str(row.job.id)),
    "JobIDRaw": Field(-12, lambda row: str(row.job.id)),
    "JobName": Field(10, lambda row: row.job.request.name),
    "NCPUS": Field(10, lambda row: view.cpus(row.job)),
    "NNodes": Field(8, lambda row: str(row.job.request.nodes)),
    "NodeList": Field(15, lambda row: row.job.host or "None assigned"),
    "Partition": Field(10, lambda row: row.job.request.queue),
    "QOS": Field(10, lambda row: row.job.request.qos),
    "Reason": Field(22, lambda row: view.reason(row.job)),
    "ReqCPUS": Field(8, lambda row: view.cpus(row.job)),
    "ReqMem": Field(10, lambda row: values.memory(row.job.request.resources.memory_mb)),
    "Start": Field(19, _start),
    "State": Field(10, lambda row: view.accounting_state(row.job)),
    "Submit": Field(19, lambda row: row.date(row.job.accepted_at)),
    "Timelimit": Field(10, lambda row: values.elapsed(row.job.request.wall_time_seconds)),
    "UID": Field(6, lambda row: str(row.job.request.uid)),
    "User": Field(9, lambda row: row.job.request.user),
    "WorkDir": Field(20, lambda row: row.job.request.working_directory),
}


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
    if options.has("version"):
        return Result(VERSION_TEXT)
    if options.has("help") or options.has("usage"):
        return Result(USAGE)
    if options.words:
        raise CommandFailed(
            "sacct: error: Unknown arguments:", *(f"sacct: error:  {word}" for word in options.words)
        )
    for given in options.options:
        if given.option.refused:
            raise CommandFailed(*given.option.refused)
    text = options.value("format")
    columns = _columns(invocation.environ.get("SACCT_FORMAT", DEFAULT_FIELDS) if text is None else text)
    now = clock.now()
    where = view.zone(invocation.environ)
    rows = [_Row(job, now, where) for job in _select(options, invocation, provider, now, where)]
    return Result(_print(columns, rows, options))


def _columns(text: str) -> list[_Column]:
    columns = []
    for entry in values.parse_list(text):
        name, _, width = entry.partition("%")
        found = next((known for known in FIELDS if known.lower() == name.lower()), None) or next(
            (known for known in FIELDS if known.lower().startswith(name.lower())), None
        )
        if found is None or not re.fullmatch(r"|-?[1-9][0-9]{0,3}", width, re.ASCII):
            raise CommandFailed(f'sacct: error: Invalid field requested: "{entry if found else name}"')
        columns.append(_Column(found, int(width) if width else FIELDS[found].width, FIELDS[found]))
    return columns


def _select(
    options: Parsed, invocation: Invocation, provider: JobProvider, now: float, where: tzinfo | None
) -> list[JobRecord]:
    names, partitions = options.value("name"), options.value("partition")
    people = _people(options, invocation, provider)
    ids = _ids(options.value("jobs") or "")
    selection = JobSelection(
        names=None if names is None else frozenset(values.parse_list(names)),
        users=people,
        queues=None if partitions is None else frozenset(values.parse_list(partitions)),
    )
    if any(wanted is not None and not wanted for wanted in (selection.names, people, selection.queues)):
        return []
    if ids:
        jobs = selecting.known(provider, ids, selection)
    else:
        midnight = (
            datetime.fromtimestamp(now, where).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        )
        # As SLURM: without ids, whatever was alive since midnight.
        jobs = [job for job in provider.jobs(selection) if not job.phase.final or view.end(job) >= midnight]
    return sorted(jobs, key=lambda job: job.id)


def _ids(text: str) -> frozenset[int]:
    ids = set()
    for entry in values.parse_list(text):
        found = selecting.job_id(entry)
        if found is None:
            raise CommandFailed(f"sacct: fatal: Bad job/step specified: {entry}")
        # What follows an id is a task or a step, which no job here has: an id that nothing matches.
        ids.add(selecting.LARGEST_ID + 1 if found[1] else found[0])
    return frozenset(ids)


def _people(options: Parsed, invocation: Invocation, provider: JobProvider) -> frozenset[str] | None:
    text = options.value("user")
    if text is None:
        return None if options.value("jobs") or options.has("allusers") else frozenset({invocation.user})
    found, unknown = selecting.users(provider, text, invocation.user)
    if unknown:
        raise CommandFailed(f"sacct: error: Invalid user id: {unknown[0]}")
    return found


def _print(columns: Sequence[_Column], rows: Sequence[_Row], options: Parsed) -> str:
    parsable = options.has("parsable") or options.has("parsable2")
    delimiter = options.value("delimiter") or "|"
    lines: list[list[str]] = []
    if not options.has("noheader"):
        lines.append([column.name for column in columns])
        if not parsable:
            lines.append(["-" * abs(column.width) for column in columns])
    lines += [[visible(column.field.value(row)) for column in columns] for row in rows]
    if not parsable:
        return "".join(
            "".join(f"{column.cell(text)} " for column, text in zip(columns, line, strict=True)) + "\n"
            for line in lines
        )
    ending = "\n" if options.has("parsable2") else f"{delimiter}\n"
    return "".join(delimiter.join(line) + ending for line in lines)
