"""scancel: ask for the end of jobs. Silent, and repeatable, as SLURM 22.05's is."""

from __future__ import annotations

import re

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import NotFound, Refused
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobPhase, JobRecord
from airavata_mesos_plugin.slurm import selecting, values, view
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
_DENIED = 210
"""Low byte of SLURM's error number for a job of another user."""

_WHOLE = "only whole jobs can be ended here; leave the option out"


def _other(long: str, short: str, argument: Argument, advice: str) -> Option:
    return Option(long, short, argument, refused=(f"scancel: error: --{long}: {advice}",))


SCANCEL_OPTIONS: tuple[Option, ...] = (
    Option("account", "A", _VALUE),
    _other("batch", "b", Argument.NONE, _WHOLE),
    Option("ctld", ignored="there is one way to the scheduler"),
    _other("cron", "c", Argument.NONE, "there are no cron jobs here"),
    Option("full", "f", ignored="all processes of a job are ended anyway"),
    Option("help"),
    Option("hurry", "H", ignored="there is no burst buffer"),
    _other("interactive", "i", Argument.NONE, "questions cannot be asked here; give the job ids"),
    Option("clusters", "M", _VALUE, ignored="there is one cluster"),
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
    "Usage: scancel [-A account] [--me] [-n job_name] [-p partition] [-q qos] [-Q] [-t PENDING | RUNNING]\n"
    "               [-u user_name] [-v] [-w hosts] [job_id ...]\n"
)

_ENDING = frozenset({"KILL", "SIGKILL", "9", "TERM", "SIGTERM", "15"})
_FILTERS = ("account", "name", "nodelist", "partition", "qos", "reservation", "state", "user", "me")


def run(invocation: Invocation, provider: JobProvider, _clock: Clock) -> Result:
    """Ask for the end of the jobs. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SCANCEL_OPTIONS, stop_at_word=False)
    if options.has("version"):
        return Result(VERSION_TEXT)
    if options.has("help") or options.has("usage"):
        return Result(USAGE)
    for given in options.options:
        if given.option.refused:
            raise CommandFailed(*given.option.refused)
    _check_signal(options.value("signal"))
    phases = _phases(options.value("state"))
    people = _people(options, invocation, provider)
    ids = _ids(options.words)
    filtered = any(options.has(name) for name in _FILTERS)
    if not ids and not filtered:
        raise CommandFailed("scancel: error: No job identification provided")
    selection = JobSelection(
        names=_words(options, "name"), users=people, queues=_words(options, "partition"), phases=phases
    )
    lines: list[str] = []
    denied = False
    for job_id in _targets(ids, selection, options, provider, filtered):
        denied |= _cancel(job_id, invocation, provider, lines, verbose=options.has("verbose"))
    return Result("", "".join(f"{line}\n" for line in lines), _DENIED if denied else 0)


def _cancel(
    job_id: int, invocation: Invocation, provider: JobProvider, lines: list[str], *, verbose: bool
) -> bool:
    """Ask for the end of one job; True when that was denied."""
    if verbose:
        lines.append(f"scancel: Terminating job {job_id}")
    failure = f"scancel: error: Kill job error on job id {job_id}: "
    try:
        if job_id > selecting.LARGEST_ID:
            raise NotFound("no such job")
        asked = provider.request_cancel(job_id, invocation.user, invocation.uid)
    except NotFound:
        if verbose:
            lines.append(f"{failure}Invalid job id specified")
        return False
    except Refused:
        lines.append(f"{failure}Access/permission denied")
        return True
    if not asked and verbose:
        lines.append(f"{failure}Job/step already completing or completed")
    return False


def _targets(
    ids: list[int], selection: JobSelection, options: Parsed, provider: JobProvider, filtered: bool
) -> list[int]:
    """The ids that are meant, each once: those given, as far as they fit the filters, or all that fit."""
    if not filtered:
        return list(dict.fromkeys(ids))
    conditions = (selection.names, selection.users, selection.queues, selection.phases)
    if any(wanted is not None and not wanted for wanted in conditions):
        return []
    jobs = selecting.known(provider, frozenset(ids), selection) if ids else provider.jobs(selection)
    fitting = {job.id for job in jobs if _fits(job, options)}
    if ids:
        return [number for number in dict.fromkeys(ids) if number in fitting]
    return sorted(fitting)


def _fits(job: JobRecord, options: Parsed) -> bool:
    return all(
        wanted is None or value in wanted
        for wanted, value in (
            (_words(options, "account"), job.request.account),
            (_words(options, "qos"), job.request.qos),
            (_words(options, "reservation"), job.request.reservation),
            (_words(options, "nodelist"), job.host),
        )
    )


def _words(options: Parsed, name: str) -> frozenset[str] | None:
    text = options.value(name)
    return None if text is None else frozenset(values.parse_list(text))


def _ids(words: tuple[str, ...]) -> list[int]:
    ids = []
    for word in words:
        for entry in word.split(",") if word else [""]:
            text = entry.strip()
            if re.fullmatch("0*[1-9][0-9]{0,17}", text, re.ASCII) is None:
                found = selecting.job_id(text)
                if found is not None and found[1]:
                    raise CommandFailed(
                        f"scancel: error: Kill job error on job id {text}: Invalid job id specified",
                        f"scancel: error: {_WHOLE.replace('leave the option out', f'give {found[0]}')}",
                    )
                raise CommandFailed(f"scancel: error: Invalid job id {text}")
            ids.append(int(text))
    return ids


def _check_signal(text: str | None) -> None:
    if text is not None and text.upper() not in _ENDING:
        raise CommandFailed(
            f"scancel: error: --signal={text}: jobs can only be ended here, by TERM and then KILL;"
            " leave the option out"
        )


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
