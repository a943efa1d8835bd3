"""squeue: the table of jobs.

Better than SLURM 22.05 in two points, on purpose, because Airavata asks only here and splits lines at
blanks: ``-j`` and ``-n`` show finished jobs with their terminal letter for as long as the ledger has them,
and in the default tables a name is one word.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobPhase, JobRecord
from airavata_mesos_plugin.slurm import selecting, table, values, view
from airavata_mesos_plugin.slurm.options import Argument, Option, Parsed, parse
from airavata_mesos_plugin.slurm.session import (
    VERSION_TEXT,
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
)
from airavata_mesos_plugin.store import JobSelection

_VALUE = Argument.REQUIRED


def _other(
    long: str, short: str = "", argument: Argument = Argument.NONE, *, advice: str = "use -o", dest: str = ""
) -> Option:
    line = f"squeue: error: --{long} is not supported here; {advice}"
    return Option(long, short, argument, dest, refused=(line,))


SQUEUE_OPTIONS: tuple[Option, ...] = (
    Option("account", "A", _VALUE),
    Option("all", "a", ignored="all partitions are shown"),
    Option("array", "r", ignored="there are no arrays"),
    Option("array-unique", ignored="there are no arrays"),
    _other("Format", "O", _VALUE),
    Option("format", "o", _VALUE, environment="SQUEUE_FORMAT"),
    Option("federation", ignored="there is one cluster"),
    Option("help"),
    Option("hide", ignored="no partition is hidden"),
    _other("iterate", "i", _VALUE, advice="repeat the command"),
    Option("jobs", "j", Argument.AHEAD),
    _other("json"),
    _other("licenses", "L", _VALUE, advice="licences are not counted"),
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
    Option("sibling", ignored="there is one cluster"),
    _other("sort", "S", _VALUE, advice="sort the output"),
    _other("start", advice="start times are not foretold"),
    _other("steps", "s", Argument.AHEAD, advice="jobs have no steps"),
    Option("states", "t", _VALUE),
    Option("usage"),
    Option("user", "u", _VALUE),
    Option("users", "", _VALUE, dest="user"),
    Option("verbose", "v", ignored="there is nothing more to say"),
    Option("version", "V"),
    _other("yaml"),
)

DEFAULT_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG_FORMAT = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"

USAGE = (
    "Usage: squeue [-A account] [-h] [-j job_id[,...]] [-l] [--me] [-n name[,...]] [-o format]\n"
    "              [-p partition[,...]] [-q qos] [-r] [-t states] [-u user[,...]] [-w host[,...]]\n"
)


@dataclass(frozen=True)
class _Row:
    job: JobRecord
    now: float
    zone: tzinfo | None
    one_word: bool  # a name must not look like several columns

    def name(self) -> str:
        name = self.job.request.name
        return ("_".join(name.split()) or "(null)") if self.one_word else name

    def date(self, seconds: float | None) -> str:
        return "N/A" if seconds is None else view.date(seconds, self.zone)


def _null(text: str) -> str:
    return text or "(null)"


def _end_time(row: _Row) -> str:
    if row.job.phase.final:
        return row.date(view.end(row.job))
    if row.job.started_at is None:
        return "N/A"
    return row.date(row.job.started_at + row.job.request.wall_time_seconds)


def _time_left(row: _Row) -> str:
    return values.duration(row.job.request.wall_time_seconds - view.run_time(row.job, row.now))


FIELDS: dict[str, table.Field[_Row]] = {
    "a": table.Field("ACCOUNT", lambda row: _null(row.job.request.account)),
    "A": table.Field("JOBID", lambda row: str(row.job.id)),
    "B": table.Field("EXEC_HOST", lambda row: row.job.host or "n/a"),
    "c": table.Field("MIN_CPUS", lambda row: str(row.job.request.cpus_per_task or 1)),
    "C": table.Field("CPUS", lambda row: view.cpus(row.job)),
    "D": table.Field("NODES", lambda row: str(row.job.request.nodes)),
    "e": table.Field("END_TIME", _end_time),
    "F": table.Field("ARRAY_JOB_ID", lambda row: str(row.job.id)),
    "i": table.Field("JOBID", lambda row: str(row.job.id)),
    "j": table.Field("NAME", _Row.name),
    "k": table.Field("COMMENT", lambda row: _null(row.job.request.comment)),
    "K": table.Field("ARRAY_TASK_ID", lambda _row: "N/A"),
    "l": table.Field("TIME_LIMIT", lambda row: view.limit(row.job)),
    "L": table.Field("TIME_LEFT", _time_left),
    "m": table.Field("MIN_MEMORY", lambda row: values.memory(row.job.request.resources.memory_mb)),
    "M": table.Field("TIME", lambda row: values.duration(view.run_time(row.job, row.now))),
    "N": table.Field("NODELIST", lambda row: row.job.host),
    "P": table.Field("PARTITION", lambda row: row.job.request.queue),
    "q": table.Field("QOS", lambda row: _null(row.job.request.qos)),
    "r": table.Field("REASON", lambda row: view.reason(row.job)),
    "R": table.Field("NODELIST(REASON)", lambda row: view.place(row.job)),
    "S": table.Field("START_TIME", lambda row: row.date(row.job.started_at)),
    "t": table.Field("ST", lambda row: view.letters(row.job)),
    "T": table.Field("STATE", lambda row: view.word(row.job)),
    "u": table.Field("USER", lambda row: row.job.request.user),
    "U": table.Field("UID", lambda row: str(row.job.request.uid)),
    "v": table.Field("RESERVATION", lambda row: _null(row.job.request.reservation)),
    "V": table.Field("SUBMIT_TIME", lambda row: row.date(row.job.accepted_at)),
    "Z": table.Field("WORK_DIR", lambda row: row.job.request.working_directory),
}


def run(invocation: Invocation, provider: JobProvider, clock: Clock) -> Result:
    """Print jobs. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SQUEUE_OPTIONS, stop_at_word=False)
    if options.has("version"):
        return Result(VERSION_TEXT)
    if options.has("help") or options.has("usage"):
        return Result(USAGE)
    if options.words:
        raise CommandFailed(f"squeue: error: Unrecognized option: {options.words[0]}", stdout=USAGE)
    for given in options.options:
        if given.option.refused:
            raise CommandFailed(*given.option.refused)
    cluster = options.value("clusters")
    if cluster not in (None, "", "all", provider.settings.name):
        raise CommandFailed(
            f"squeue: error: No cluster '{cluster}' known by database.",
            f"squeue: error: the cluster here is called '{provider.settings.name}'",
        )
    complaints: list[str] = []
    jobs = _select(options, invocation, provider, complaints)
    now = clock.now()
    where = view.zone(invocation.environ)
    text = options.value("format")
    if text is None and not options.has("long"):
        text = invocation.environ.get("SQUEUE_FORMAT")
    one_word = text is None
    if text is None:
        text = LONG_FORMAT if options.has("long") else DEFAULT_FORMAT
    columns, unknown = table.parse_format(text, FIELDS)
    complaints += [f"squeue: error: Invalid job format specification: {letter}" for letter in unknown]
    header = not options.has("noheader")
    stdout = table.render(columns, [_Row(job, now, where, one_word) for job in jobs], header=header)
    if options.has("long") and header and options.value("format") is None:
        stdout = datetime.fromtimestamp(now, where).strftime("%a %b %d %H:%M:%S %Y") + "\n" + stdout
    return Result(stdout, "".join(f"{line}\n" for line in complaints))


def _select(
    options: Parsed, invocation: Invocation, provider: JobProvider, complaints: list[str]
) -> list[JobRecord]:
    ids = _ids(options.value("jobs"))
    names = options.value("name")
    phases: frozenset[JobPhase] | None
    if (text := options.value("states")) is not None:
        phases = _phases(text)
    else:
        phases = None if ids is not None or names is not None else ACTIVE_PHASES
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
        jobs = _by_id(ids, provider, selection)
    jobs = [job for job in jobs if _fits(job, options)]
    if names is None:
        # Python's sort is stable: within partition and state the newest stay first.
        jobs.sort(key=lambda job: (job.request.queue, min(job.phase.rank, 3) if job.phase.rank > 2 else 0))
    return jobs


def _by_id(ids: list[tuple[int, str]], provider: JobProvider, selection: JobSelection) -> list[JobRecord]:
    if len(ids) == 1 and not selecting.known(provider, frozenset({ids[0][0]})):
        raise CommandFailed("slurm_load_jobs error: Invalid job id specified")
    # What follows an id names a task of an array, which no job here has.
    whole = frozenset(number for number, rest in ids if not rest)
    return selecting.known(provider, whole, selection)


def _ids(text: str | None) -> list[tuple[int, str]] | None:
    """The ids of ``-j``; None when any job will do. Raises CommandFailed."""
    if text is None:
        return None
    ids = []
    for entry in values.parse_list(text):
        found = selecting.job_id(entry)
        if found is None and entry.isascii() and entry.isdigit() and entry.strip("0"):
            found = (selecting.LARGEST_ID + 1, "")  # a number beyond all ids
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


def _fits(job: JobRecord, options: Parsed) -> bool:
    """The conditions that the ledger does not look for by itself."""
    for name, value in (
        ("account", job.request.account),
        ("qos", job.request.qos),
        ("reservation", job.request.reservation),
        ("nodelist", job.host),
    ):
        text = options.value(name)
        if text is not None and value not in values.parse_list(text):
            return False
    return True
