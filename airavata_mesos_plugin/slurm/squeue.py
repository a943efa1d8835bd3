"""squeue: the table of jobs.

Better than SLURM 22.05 in some points, on purpose, because Airavata asks only here and splits lines at
blanks: ``-j`` and ``-n`` show finished jobs with their terminal letter for as long as the ledger has them,
in the default tables a name is one word, and ``--json`` heeds the filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobPhase, JobRecord
from airavata_mesos_plugin.slurm import documents, entries, selecting, table, values, view
from airavata_mesos_plugin.slurm import squeue_fields as fields
from airavata_mesos_plugin.slurm.entries import Entry
from airavata_mesos_plugin.slurm.known_lines import KnownLines
from airavata_mesos_plugin.slurm.options import Argument, Option, Parsed, parse
from airavata_mesos_plugin.slurm.selecting import JobName
from airavata_mesos_plugin.slurm.session import (
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
    about,
    check_refused,
)
from airavata_mesos_plugin.store import JobSelection

_VALUE = Argument.REQUIRED


def _refused(long: str, short: str, advice: str) -> Option:
    return Option(long, short, _VALUE, refused=(f"squeue: error: --{long} is not supported here; {advice}",))


SQUEUE_OPTIONS: tuple[Option, ...] = (
    Option("account", "A", _VALUE),
    Option("all", "a", ignored="all partitions are shown"),
    Option("array", "r"),
    Option("array-unique", dest="array"),
    Option("Format", "O", _VALUE, environment="SQUEUE_FORMAT2"),
    Option("format", "o", _VALUE, environment="SQUEUE_FORMAT"),
    Option("federation", ignored="there is one cluster"),
    Option("help"),
    Option("hide", ignored="no partition is hidden"),
    _refused("iterate", "i", "repeat the command"),
    Option("jobs", "j", Argument.AHEAD),
    Option("json"),
    _refused("licenses", "L", "licences are not counted"),
    Option("local", ignored="there is one cluster"),
    Option("long", "l"),
    Option("clusters", "M", _VALUE),
    Option("me"),
    Option("name", "n", _VALUE),
    Option("noconvert", ignored="amounts are whole megabytes"),
    Option("noheader", "h"),
    Option("nodelist", "w", _VALUE),
    Option("partition", "p", _VALUE),
    Option("priority", "P", ignored="a job is in one partition"),
    Option("qos", "q", _VALUE),
    Option("reservation", "R", _VALUE),
    Option("sib", dest="sibling", ignored="there is one cluster"),
    Option("sibling", ignored="there is one cluster"),
    Option("sort", "S", _VALUE, environment="SQUEUE_SORT"),
    Option("start"),
    Option("steps", "s", Argument.AHEAD),
    Option("states", "t", _VALUE),
    Option("usage"),
    Option("user", "u", _VALUE),
    Option("users", "", _VALUE, dest="user"),
    Option("verbose", "v", ignored="there is nothing more to say"),
    Option("version", "V"),
    Option("yaml"),
)

DEFAULT_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG_FORMAT = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
START_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R"
STEPS_FORMAT = "%.15i %.8j %.9P %.8u %.9M %N"
LONG_STEPS_FORMAT = "%.15i %.8j %.9P %.8u %.9l %.9M %N"

USAGE = (
    "Usage: squeue [-A account] [-h] [-j job_id[,...]] [-l] [--me] [-n name[,...]] [-o format]\n"
    "              [-O field[:width],...] [-p partition[,...]] [-q qos] [-r] [-s] [-S fields] [--start]\n"
    "              [-t states] [-u user[,...]] [-w host[,...]] [--json]\n"
)


def run(invocation: Invocation, provider: JobProvider, clock: Clock) -> Result:
    """Print jobs. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SQUEUE_OPTIONS, stop_at_word=False)
    if (told := about(options, USAGE)) is not None:
        return told
    if options.words:
        raise CommandFailed(f"squeue: error: Unrecognized option: {options.words[0]}", stdout=USAGE)
    check_refused(options)
    cluster = options.value("clusters")
    if cluster not in (None, "", "all", provider.settings.name):
        raise CommandFailed(
            f"squeue: error: No cluster '{cluster}' known by database.",
            f"squeue: error: '{cluster}' can't be reached now, or it is an invalid entry for --cluster."
            f"  The cluster here is called '{provider.settings.name}'.",
        )
    complaints: list[str] = []
    now = clock.now()
    layout = _layout(options, invocation, provider, complaints)
    chosen = _select(options, invocation, provider, complaints)
    rows = _rows(chosen, options, layout, now, invocation)
    errors = "".join(f"{line}\n" for line in complaints)
    if options.has("json") or options.has("yaml"):
        document = documents.jobs(rows, provider.settings.name)
        return Result(
            documents.as_yaml(document) if options.has("yaml") else documents.as_json(document), errors
        )
    header = not options.has("noheader")
    if layout.lines is not None:
        stdout = layout.lines.render(rows, header=header)
    else:
        stdout = table.render(layout.columns, rows, header=header)
    if layout.with_date and header:
        here = datetime.fromtimestamp(now, view.zone(invocation.environ))
        stdout = here.strftime("%a %b %d %H:%M:%S %Y") + "\n" + stdout
    if cluster:
        stdout = f"CLUSTER: {provider.settings.name}\n{stdout}"
    return Result(stdout, errors)


@dataclass(frozen=True)
class _Layout:
    columns: list[table.Column[Entry]]
    one_word: bool  # names must not look like several columns: one of the default tables
    with_date: bool
    lines: KnownLines | None = None  # of the default table


def _layout(options: Parsed, invocation: Invocation, provider: JobProvider, complaints: list[str]) -> _Layout:
    own = [given for given in options.options if given.option.name in ("format", "Format")]
    steps, start, long = (options.has(name) for name in ("steps", "start", "long"))
    text: str | None = None
    named = False
    if own:
        text, named = own[-1].value or "", own[-1].option.name == "Format"
    elif not (steps or start or long):
        text = invocation.environ.get("SQUEUE_FORMAT") or None
        if text is None and invocation.environ.get("SQUEUE_FORMAT2"):
            text, named = invocation.environ["SQUEUE_FORMAT2"], True
    if text is None:
        standard = LONG_FORMAT if long else START_FORMAT if start else DEFAULT_FORMAT
        if steps:
            standard = LONG_STEPS_FORMAT if long else STEPS_FORMAT
        if standard == DEFAULT_FORMAT:
            return _DEFAULT_LAYOUT
        columns, _ = table.parse_format(standard, fields.STEP_LETTERS if steps else fields.LETTERS)
        return _Layout(columns, one_word=True, with_date=long)
    if named:
        known = {**fields.NAMES, "Cluster": fields.cluster_field(provider.settings.name)}
        columns, unknown = table.parse_names(text, known)
    else:
        letters = fields.STEP_LETTERS if steps else fields.LETTERS
        columns, unknown = table.parse_format(fields.ALL if text == "%all" else text, letters)
    complaints += [f"squeue: error: Invalid job format specification: {word}" for word in unknown]
    return _Layout(columns, one_word=False, with_date=False)


_DEFAULT_COLUMNS, _ = table.parse_format(DEFAULT_FORMAT, fields.LETTERS)
_DEFAULT_LAYOUT = _Layout(
    _DEFAULT_COLUMNS, one_word=True, with_date=False, lines=KnownLines(_DEFAULT_COLUMNS)
)


@dataclass(frozen=True)
class _Chosen:
    jobs: list[JobRecord]
    names: list[JobName] | None  # of -j


def _select(options: Parsed, invocation: Invocation, provider: JobProvider, complaints: list[str]) -> _Chosen:
    steps = options.value("steps")
    ids = _ids(options.value("jobs") if steps is None else steps)
    names = options.value("name")
    phases: frozenset[JobPhase] | None
    if (text := options.value("states")) is not None:
        phases = _phases(text)
    else:
        phases = None if ids is not None or names is not None else ACTIVE_PHASES
    if options.has("start"):
        phases = view.phases_of("PENDING")
    elif options.has("steps") and options.value("states") is None:
        phases = view.phases_of("RUNNING")
    people = _people(options, invocation, provider, complaints)
    partition = options.value("partition")
    selection = JobSelection(
        names=None if names is None else frozenset(values.parse_list(names)),
        users=people,
        queues=None if partition is None else frozenset(values.parse_list(partition)),
        phases=phases,
    )
    if ids is None:
        empty = any(
            wanted is not None and not wanted
            for wanted in (selection.names, selection.users, selection.queues, selection.phases)
        )
        jobs = [] if empty else provider.jobs(selection)
    else:
        if len(ids) == 1 and not selecting.family(provider, [ids[0].id]):
            raise CommandFailed("slurm_load_jobs error: Invalid job id specified")
        jobs = selecting.find(provider, ids, selection)
    _check_nodes(options.value("nodelist"), provider, jobs)
    return _Chosen(_fitting(jobs, options), ids)


def _rows(
    chosen: _Chosen, options: Parsed, layout: _Layout, now: float, invocation: Invocation
) -> list[Entry]:
    where, form = view.zone(invocation.environ), view.date_format(invocation.environ)
    rows = [Entry(job, now, where, layout.one_word, (), form) for job in chosen.jobs]
    sort = options.value("sort") or invocation.environ.get("SQUEUE_SORT", "")
    if sort:
        rows.sort(key=lambda row: row.id)
    if not (options.has("array") or options.has("json") or options.has("yaml")):
        rows = entries.merged(rows, _single_tasks(chosen.names))
    if sort:
        return _sorted(rows, sort)
    if options.has("start"):
        return sorted(rows, key=lambda row: (fields.start_time(row) or float("inf"), row.id))
    if options.value("name") is None:
        rows.sort(key=_usual_order)
    if options.has("array"):
        rows = _expanded(rows)
    return rows


def _usual_order(row: Entry) -> tuple[str, int, int, int]:
    """By partition and state; the newest first, and the last task of an array."""
    family = row.job.array_id or row.job.id
    return row.job.request.queue, fields.state_order(row), -family, -(row.job.array_index or 0)


def _expanded(rows: list[Entry]) -> list[Entry]:
    """The same with the waiting tasks of each array by their index, where the first of them stood."""
    by_array: dict[int, list[Entry]] = {}
    for row in rows:
        if row.job.array_id is not None and view.word(row.job) == "PENDING":
            by_array.setdefault(row.job.array_id, []).append(row)
    for tasks in by_array.values():
        tasks.sort(key=lambda row: -(row.job.array_index or 0))
    return [
        by_array[row.job.array_id].pop()
        if row.job.array_id is not None and view.word(row.job) == "PENDING"
        else row
        for row in rows
    ]


def _single_tasks(names: list[JobName] | None) -> frozenset[int]:
    """The arrays of which one task was asked for: it has its own row even while it waits."""
    tasks: dict[int, set[int]] = {}
    for name in names or ():
        tasks.setdefault(name.id, set()).update(name.indexes or (-1, -2))
    return frozenset(number for number, indexes in tasks.items() if len(indexes) == 1)


def _sorted(rows: list[Entry], text: str) -> list[Entry]:
    """By the letters of ``-S``, the last first so that the first counts most."""
    for entry in reversed(values.parse_list(text)):
        match = re.fullmatch(r"([+\-]?)%?\.?[0-9]{0,4}([A-Za-z])", entry, re.ASCII)
        if match is None or match[2] not in fields.LETTERS:
            raise CommandFailed(f"squeue: error: Invalid sort specification: {entry}")
        rows = sorted(rows, key=fields.sort_key(match[2]), reverse=match[1] == "-")
    return rows


def _ids(text: str | None) -> list[JobName] | None:
    """The ids of ``-j``; None when any job will do. Raises CommandFailed."""
    if text is None:
        return None
    ids = []
    for entry in selecting.split(text):
        found = selecting.job_name(entry)
        if found is None and entry.isascii() and entry.isdigit() and entry.strip("0"):
            found = JobName(selecting.LARGEST_ID + 1)  # a number beyond all ids
        if found is None:
            raise CommandFailed(f"squeue: error: Invalid job id: {entry}")
        ids.append(found)
    return ids


def _phases(text: str) -> frozenset[JobPhase]:
    try:
        return selecting.states(text)
    except view.UnknownState as error:
        raise CommandFailed(
            f"squeue: error: Invalid job state specified: {error}",
            f"squeue: error: Valid job states include: {','.join(view.STATE_WORDS)}",
        ) from error


def _people(
    options: Parsed, invocation: Invocation, provider: JobProvider, complaints: list[str]
) -> frozenset[str] | None:
    text = options.value("user")
    if text is None:
        return frozenset({invocation.user}) if options.has("me") else None
    found, unknown = selecting.users(provider, text, invocation.user)
    complaints += [f"squeue: error: Invalid user: {name}" for name in unknown]
    return found


def _check_nodes(text: str | None, provider: JobProvider, jobs: list[JobRecord]) -> None:
    """Refuse the name of no node, if any node is known; any name that a job shows will do."""
    if text is None:
        return
    clusters = {queue.cluster for queue in provider.settings.queues}
    known = {node.name for cluster in clusters for node in provider.nodes(cluster)}
    if not known:
        return
    known.update([hostlist.without_domain(name) for name in known])
    known.update(name for job in jobs for name in job.node_names)
    for name in hostlist.expand(text):
        if name not in known:
            raise CommandFailed(f"squeue: error: Invalid node name {name}")


def _fitting(jobs: list[JobRecord], options: Parsed) -> list[JobRecord]:
    """Those that meet the conditions which the ledger does not look for by itself."""
    for name, value in _OTHER_CONDITIONS.items():
        if (text := options.value(name)) is not None:
            wanted = frozenset(values.parse_list(text))
            jobs = [job for job in jobs if value(job) in wanted]
    if (text := options.value("nodelist")) is not None:
        jobs = list(filter(selecting.on_nodes(text), jobs))
    return jobs


_OTHER_CONDITIONS: dict[str, Callable[[JobRecord], str]] = {
    "account": lambda job: job.request.account,
    "qos": lambda job: job.request.qos,
    "reservation": lambda job: job.request.reservation,
}
