"""scancel: ask for the end of jobs. Silent, and repeatable, as SLURM 22.05's is."""

from __future__ import annotations

import re
import signal

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import NotFound, Refused
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobPhase, JobRecord
from airavata_mesos_plugin.slurm import selecting, values, view
from airavata_mesos_plugin.slurm.options import Argument, Option, Parsed, parse
from airavata_mesos_plugin.slurm.selecting import JobName
from airavata_mesos_plugin.slurm.session import (
    CommandFailed,
    Invocation,
    JobProvider,
    Questions,
    Result,
    about,
    check_refused,
)
from airavata_mesos_plugin.slurm.table import visible
from airavata_mesos_plugin.store import JobSelection

_VALUE = Argument.REQUIRED
_DENIED = 210
"""Low byte of SLURM's error number for a job of another user."""

_NO_STEP = 225
"""Low byte of SLURM's error number for an unknown step."""

SCANCEL_OPTIONS: tuple[Option, ...] = (
    Option("account", "A", _VALUE),
    Option(
        "batch",
        "b",
        refused=(
            "scancel: error: --batch: the script cannot be signalled apart from its processes here;"
            " leave the option out to end the whole job",
        ),
    ),
    Option("ctld", ignored="there is one way to the scheduler"),
    Option("cron", "c", refused=("scancel: error: --cron: there are no cron jobs here",)),
    Option("full", "f", ignored="all processes of a job are ended anyway"),
    Option("help"),
    Option("hurry", "H", ignored="there is no burst buffer"),
    Option("interactive", "i"),
    Option("clusters", "M", _VALUE),
    Option("me"),
    Option("jobname", "n", _VALUE, dest="name"),
    Option("name", "", _VALUE),
    Option("nodelist", "w", _VALUE),
    Option("partition", "p", _VALUE),
    Option("qos", "q", _VALUE),
    Option("quiet", "Q"),
    Option("reservation", "R", _VALUE),
    Option("sibling", "", _VALUE, ignored="there is one cluster"),
    Option("signal", "s", _VALUE),
    Option("state", "t", _VALUE),
    Option("usage"),
    Option("user", "u", _VALUE),
    Option("verbose", "v"),
    Option("version", "V"),
    Option("wckey", "", _VALUE, ignored="workload keys are not used"),
)

USAGE = (
    "Usage: scancel [-A account] [-i] [--me] [-n job_name] [-p partition] [-q qos] [-Q]\n"
    "               [-t PENDING | RUNNING] [-u user_name] [-v] [-w hosts] [job_id[_array_id] ...]\n"
)

_ENDING = frozenset({"KILL", "TERM", "9", "15"})
_FILTERS = ("account", "name", "nodelist", "partition", "qos", "reservation", "state", "user", "me")


def run(invocation: Invocation, provider: JobProvider, _clock: Clock) -> Result:
    """Ask for the end of the jobs. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SCANCEL_OPTIONS, stop_at_word=False)
    if (told := about(options, USAGE)) is not None:
        return told
    number = _signal(options.value("signal"))
    check_refused(options)
    cluster = options.value("clusters")
    if cluster not in (None, provider.settings.name):
        raise CommandFailed(
            f"scancel: error: No cluster '{cluster}' known by database.",
            f"scancel: error: the cluster here is called '{provider.settings.name}'",
        )
    phases = _phases(options.value("state"))
    people = _people(options, invocation, provider)
    names = _names(options.words)
    filtered = any(options.has(name) for name in _FILTERS)
    if not names and not filtered:
        raise CommandFailed("scancel: error: No job identification provided")
    selection = JobSelection(
        names=_words(options, "name"), users=people, queues=_words(options, "partition"), phases=phases
    )
    jobs = _targets(names, selection, options, provider, filtered)
    if number is not None and number not in _ENDING:
        return _other_signal(jobs, options)
    if options.has("interactive"):
        return _ask([job for job in jobs if not job.phase.final], options)
    return _cancel(names, jobs, invocation, provider, options, filtered)


def _cancel(
    names: list[JobName],
    jobs: list[JobRecord],
    invocation: Invocation,
    provider: JobProvider,
    options: Parsed,
    filtered: bool,
) -> Result:
    lines: list[str] = []
    verbose = options.has("verbose")
    code = 0
    if filtered:
        code = _end(jobs, invocation, provider, lines, verbose=verbose)
    for name in () if filtered else names:
        meant = [job for job in jobs if name.means(job)]
        if name.step:
            lines.append(f"scancel: error: Kill job error on job step id {name.id}: Invalid job id specified")
            lines.append(f"scancel: error: steps cannot be ended here; end the job with: scancel {name.id}")
            code = code or _NO_STEP
        elif not meant:
            if verbose:
                lines.append(f"scancel: Terminating job {name.text}")
                lines.append(
                    f"scancel: error: Kill job error on job id {name.text}: Invalid job id specified"
                )
        else:
            # Of an array that is named as a whole those that are over are no error.
            left = [job for job in meant if not job.phase.final] or meant
            code = _end(left, invocation, provider, lines, verbose=verbose) or code
    return Result("", "".join(f"{line}\n" for line in dict.fromkeys(lines)), code)


def _end(
    jobs: list[JobRecord], invocation: Invocation, provider: JobProvider, lines: list[str], *, verbose: bool
) -> int:
    """Ask for the end of each job; the exit code."""
    code = 0
    for job in jobs:
        text = view.label(job)
        if verbose:
            lines.append(f"scancel: Terminating job {text}")
        failure = f"scancel: error: Kill job error on job id {text}: "
        try:
            asked = provider.request_cancel(job.id, invocation.user, invocation.uid)
        except NotFound:
            continue
        except Refused:
            lines.append(f"{failure}Access/permission denied")
            code = _DENIED
            continue
        if not asked and verbose:
            lines.append(f"{failure}Job/step already completing or completed")
    return code


def _other_signal(jobs: list[JobRecord], options: Parsed) -> Result:
    """A signal that does not end jobs: as in SLURM one that waits is left alone, and here all others too."""
    if all(view.word(job) != "RUNNING" for job in jobs):
        return Result()
    raise CommandFailed(
        f"scancel: error: --signal={options.value('signal')}: jobs can only be ended here, by TERM and then"
        " KILL; leave the option out"
    )


def _ask(jobs: list[JobRecord], options: Parsed) -> Result:
    """Each job is asked about where the command was typed; those with yes come back as a command line."""
    asked = tuple(
        (
            view.label(job),
            f"Cancel job_id={view.label(job)} name={visible(job.request.name)}"
            f" partition={job.request.queue} [y/n]? ",
        )
        for job in sorted(jobs, key=lambda job: job.id)
    )
    return Result(then=Questions(("-v",) if options.has("verbose") else (), asked)) if asked else Result()


def _targets(
    names: list[JobName], selection: JobSelection, options: Parsed, provider: JobProvider, filtered: bool
) -> list[JobRecord]:
    """The jobs that are meant: those given, as far as they fit the filters, or all that fit."""
    if not filtered:
        return selecting.find(provider, names)
    conditions = (selection.names, selection.users, selection.queues, selection.phases)
    if any(wanted is not None and not wanted for wanted in conditions):
        return []
    jobs = selecting.find(provider, names, selection) if names else provider.jobs(selection)
    if (text := options.value("nodelist")) is not None:
        jobs = list(filter(selecting.on_nodes(text), jobs))
    return sorted((job for job in jobs if _fits(job, options)), key=lambda job: job.id)


def _fits(job: JobRecord, options: Parsed) -> bool:
    return all(
        wanted is None or value in wanted
        for wanted, value in (
            (_words(options, "account"), job.request.account),
            (_words(options, "qos"), job.request.qos),
            (_words(options, "reservation"), job.request.reservation),
        )
    )


def _words(options: Parsed, name: str) -> frozenset[str] | None:
    text = options.value(name)
    return None if text is None else frozenset(values.parse_list(text))


def _names(words: tuple[str, ...]) -> list[JobName]:
    names = []
    for word in words:
        for entry in selecting.split(word) or [""]:
            found = selecting.job_name(entry)
            if found is None or (found.step and not found.step.isdigit()):
                raise CommandFailed(f"scancel: error: Invalid job id {entry}")
            names.append(found)
    return list(dict.fromkeys(names))


def _signal(text: str | None) -> str | None:
    """The name of a signal without SIG, or its number. Raises CommandFailed for what is none."""
    if text is None:
        return None
    name = text.upper().removeprefix("SIG")
    if re.fullmatch("[0-9]{1,3}", name) and 0 < int(name) < signal.NSIG:
        return str(int(name))
    if f"SIG{name}" not in signal.Signals.__members__:
        raise CommandFailed(f"Unknown job signal: {text}")
    return name


def _phases(text: str | None) -> frozenset[JobPhase]:
    if text is None:
        return ACTIVE_PHASES
    try:
        return selecting.states(text) & ACTIVE_PHASES
    except view.UnknownState as error:
        raise CommandFailed(
            f"Invalid job state specified: {error}", "Valid job states are PENDING, RUNNING, and SUSPENDED"
        ) from error


def _people(options: Parsed, invocation: Invocation, provider: JobProvider) -> frozenset[str] | None:
    text = options.value("user")
    if text is None:
        return frozenset({invocation.user}) if options.has("me") else None
    found, unknown = selecting.users(provider, text, invocation.user)
    if unknown:
        raise CommandFailed(f"scancel: error: Invalid user name: {unknown[0]}")
    return found
