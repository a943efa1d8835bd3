"""sbatch: from a script with its options to an accepted job."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    LedgerError,
    QuotaExceeded,
    Refused,
    UnsatisfiableRequest,
)
from airavata_mesos_plugin.sandbox.user_files import PathRights
from airavata_mesos_plugin.slurm import paths, request, script, values
from airavata_mesos_plugin.slurm.directives import UnmatchedQuote, scan
from airavata_mesos_plugin.slurm.options import Given, Parsed, parse
from airavata_mesos_plugin.slurm.sbatch_options import SBATCH_OPTIONS, USAGE
from airavata_mesos_plugin.slurm.session import (
    VERSION_TEXT,
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
)
from airavata_mesos_plugin.slurm.table import visible

log = logging.getLogger(__name__)

_MEMORY = frozenset({"mem", "mem-per-cpu"})
_LONGEST_NAME = 255  # bytes of one component of a path, Linux


def run(invocation: Invocation, provider: JobProvider, _clock: Clock) -> Result:
    """Submit the job. Raises CommandFailed and OptionError."""
    typed = parse(invocation.argv, SBATCH_OPTIONS, stop_at_word=True)
    if typed.has("version"):
        return Result(VERSION_TEXT)
    if typed.has("help") or typed.has("usage"):
        return Result(USAGE)
    source = _source(invocation, typed, provider.settings.max_script_bytes)
    options, warnings = _all_options(invocation, typed, source)
    chosen = _evaluate(options)
    return _submit(invocation, provider, source, chosen, warnings)


@dataclass(frozen=True)
class _Source:
    text: str
    arguments: tuple[str, ...]
    name: str  # as typed: it appears in messages
    path: str  # "" for standard input and --wrap
    job_name: str
    wrapped: bool = False


def _source(invocation: Invocation, typed: Parsed, limit: int) -> _Source:
    wrap = typed.last("wrap")
    words = tuple(_utf8(word, "the command line") for word in typed.words)
    if wrap is not None:
        if words:
            raise CommandFailed("sbatch: error: Script arguments not permitted with --wrap option")
        text = script.WRAPPED.format(_utf8(wrap.value or "", "--wrap"))
        return _Source(script.check(text.encode(), limit), (), "wrap", "", "wrap", wrapped=True)
    name = words[0] if words else None
    content, path = script.fetch(invocation, name)
    text = script.check(content, limit)
    if name is None:
        return _Source(text, (), "stdin", "", "sbatch")
    return _Source(text, words[1:], name, path, PurePosixPath(name).name)


def _all_options(invocation: Invocation, typed: Parsed, source: _Source) -> tuple[Parsed, list[str]]:
    """Directives, environment and command line in the order of their strength, weakest first."""
    warnings: list[str] = []
    head: tuple[Given, ...] = ()
    if not source.wrapped:
        try:
            found = scan(source.text)
        except UnmatchedQuote as error:
            raise CommandFailed(
                f"sbatch: fatal: {source.name}: line {error.line}: Unmatched"
                f" `{error.quote}` in [ {error.rest}]"
            ) from error
        parsed = parse(
            [word.text for word in found.words],
            SBATCH_OPTIONS,
            stop_at_word=True,
            sources=[f"line {word.line} of the script" for word in found.words],
        )
        if parsed.words:
            raise CommandFailed(
                f"sbatch: error: Invalid directive found in batch script: {parsed.words[0]}", exit_code=255
            )
        head = parsed.options
        if found.foreign and not (typed.has("ignore-pbs") or parsed.has("ignore-pbs")):
            lines = ", ".join(str(line) for line in found.foreign)
            warnings.append(
                f"sbatch: Warning: #PBS and #BSUB lines are not read (line {lines} of the script);"
                " write them as #SBATCH lines"
            )
    memory_given = any(given.option.name in _MEMORY for given in (*head, *typed.options))
    environment = tuple(
        Given(option, invocation.environ[option.environment], option.environment)
        for option in SBATCH_OPTIONS
        if option.environment
        and invocation.environ.get(option.environment)
        and not (memory_given and option.name in _MEMORY)
    )
    options = Parsed((*head, *environment, *typed.options), ())
    warned: set[str] = set()
    for given in options.options:
        if given.option.ignored and given.option.name not in warned:
            warned.add(given.option.name)
            warnings.append(f"sbatch: Warning: --{given.option.long} is ignored: {given.option.ignored}")
    return options, warnings


@dataclass
class _Chosen:
    """The options with their values; the last one given of each kind counts."""

    options: Parsed
    texts: dict[str, str] = field(default_factory=dict)
    nodes: int | None = None
    minutes: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    mail_types: tuple[str, ...] = ()


def _evaluate(options: Parsed) -> _Chosen:
    """Check every value in its order, so that the first wrong one is the one that is named, as in SLURM."""
    chosen = _Chosen(options)
    for given in options.options:
        if given.option.refused:
            raise CommandFailed(*given.option.refused, exit_code=given.option.refusal_exit)
        value = _utf8(given.value or "", f"--{given.option.long} ({given.source})")
        _EVALUATORS.get(given.option.name, _text)(chosen, given, value)
    if len(chosen.memory) > 1:
        raise CommandFailed("sbatch: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.")
    return chosen


def _invalid(given: Given) -> CommandFailed:
    return CommandFailed(f"sbatch: error: Invalid --{given.option.long} specification", exit_code=255)


def _text(chosen: _Chosen, given: Given, value: str) -> None:
    chosen.texts[given.option.name] = value


def _time(chosen: _Chosen, given: Given, value: str) -> None:
    try:
        chosen.minutes = values.parse_time(value)
    except ValueError as error:
        raise _invalid(given) from error


def _memory(chosen: _Chosen, given: Given, value: str) -> None:
    try:
        chosen.memory[given.option.name] = values.parse_memory(value)
    except ValueError as error:
        raise _invalid(given) from error


def _count(chosen: _Chosen, given: Given, value: str) -> None:
    try:
        chosen.counts[given.option.name] = values.parse_count(value)
    except ValueError as error:
        raise CommandFailed(
            f'sbatch: error: Invalid numeric value "{value}" for --{given.option.long}.'
        ) from error


def _nodes(chosen: _Chosen, _given: Given, value: str) -> None:
    try:
        fewest, most = values.parse_nodes(value)
    except ValueError as error:
        raise CommandFailed(f'sbatch: error: "{value}" is not a valid node count', exit_code=255) from error
    if most < fewest:
        raise CommandFailed(
            f"sbatch: error: Maximum node count {most} is less than minimum node count {fewest}",
            exit_code=255,
        )
    chosen.nodes = fewest


def _mail_type(chosen: _Chosen, given: Given, value: str) -> None:
    try:
        chosen.mail_types = values.parse_mail_types(value)
    except ValueError as error:
        raise _invalid(given) from error


def _open_mode(_chosen: _Chosen, given: Given, value: str) -> None:
    if value not in ("a", "append", "t", "truncate"):
        raise _invalid(given)
    if value.startswith("a"):
        raise CommandFailed(
            "sbatch: error: --open-mode=append: outputs come back as whole files here;"
            " use another name with -o"
        )


def _exclusive(_chosen: _Chosen, given: Given, value: str) -> None:
    if value not in ("", "user", "mcs"):
        raise _invalid(given)


def _export(_chosen: _Chosen, given: Given, value: str) -> None:
    # ALL is SLURM's default; jobs here never see the submitter's environment, whatever is said.
    if value.upper() not in ("", "NONE", "NIL", "ALL"):
        raise CommandFailed(
            f"sbatch: error: --export={value} ({given.source}): variables are not carried over here;"
            " set them in the script"
        )


def _input(_chosen: _Chosen, given: Given, value: str) -> None:
    if value != paths.NULL_DEVICE:
        raise CommandFailed(
            f"sbatch: error: --input={value} ({given.source}): standard input of a job is always"
            f" {paths.NULL_DEVICE}; redirect it inside the script"
        )


_EVALUATORS: dict[str, Callable[[_Chosen, Given, str], None]] = {
    "time": _time,
    "mem": _memory,
    "mem-per-cpu": _memory,
    "ntasks": _count,
    "cpus-per-task": _count,
    "ntasks-per-node": _count,
    "nodes": _nodes,
    "mail-type": _mail_type,
    "open-mode": _open_mode,
    "exclusive": _exclusive,
    "export": _export,
    "input": _input,
}


def _submit(
    invocation: Invocation, provider: JobProvider, source: _Source, chosen: _Chosen, warnings: Sequence[str]
) -> Result:
    settings = provider.settings
    cluster = chosen.texts.get("clusters")
    if cluster is not None and cluster != settings.name:
        raise CommandFailed(
            f"sbatch: error: No cluster '{cluster}' known by database.",
            f"sbatch: error: '{cluster}' can't be reached now, or it is an invalid entry for --cluster."
            f"  The cluster here is called '{settings.name}'.",
        )
    origin = _origin(invocation, source, chosen)
    job_name = chosen.texts.get("job-name", source.job_name)
    rights = invocation.rights
    stdout = _output("output", origin, chosen, job_name, rights) or "slurm-%j.out"
    stderr = _output("error", origin, chosen, job_name, rights)
    wishes = request.Wishes(
        fewest_nodes=chosen.nodes,
        tasks=chosen.counts.get("ntasks"),
        cpus_per_task=chosen.counts.get("cpus-per-task"),
        tasks_per_node=chosen.counts.get("ntasks-per-node"),
        memory_mb=chosen.memory.get("mem"),
        memory_mb_per_cpu=chosen.memory.get("mem-per-cpu"),
        minutes=chosen.minutes,
    )
    built, more_warnings = request.build(
        origin,
        chosen.texts,
        wishes,
        settings=settings,
        nodes_of={name: provider.nodes(name) for name in {queue.cluster for queue in settings.queues}},
        arguments=source.arguments,
        default_name=source.job_name,
        stdout=stdout,
        stderr=None if stderr == stdout else stderr,
        mail_types=chosen.mail_types,
    )
    try:
        record = provider.submit(built, source.text)
    except AiravataMesosError as error:
        raise _refusal(error) from error
    text = "".join(f"{line}\n" for line in (*warnings, *more_warnings))
    if chosen.options.has("parsable"):
        return Result(f"{record.id};{cluster}\n" if cluster else f"{record.id}\n", text)
    if chosen.options.has("quiet"):
        return Result("", text)
    suffix = f" on cluster {cluster}" if cluster else ""
    return Result(f"Submitted batch job {record.id}{suffix}\n", text)


def _origin(invocation: Invocation, source: _Source, chosen: _Chosen) -> request.Origin:
    cwd = _utf8(invocation.cwd, "the name of the current directory")
    wanted = chosen.texts.get("chdir")
    if not cwd and not (wanted or "").startswith("/"):
        raise CommandFailed(
            "sbatch: error: the current directory does not exist any more; change to one that does,"
            " or name one with --chdir"
        )
    spelled = cwd if wanted is None else os.path.join(cwd, wanted)  # noqa: PTH118 - a spelling, kept as it is
    try:
        physical = paths.working_directory(spelled, invocation.rights)
    except paths.PathRefused as error:
        raise CommandFailed(f"sbatch: error: {error}") from error
    beside = os.path.dirname(os.path.join(cwd, source.path)) if source.path else ""  # noqa: PTH118, PTH120
    pwd = invocation.environ.get("PWD", "")
    candidates = [text for text in (spelled, pwd, beside) if _is_utf8(text)]
    return request.Origin(
        user=invocation.user,
        uid=invocation.uid,
        host=invocation.host,
        directory=physical,
        aliases=paths.spellings(physical, candidates, invocation.rights),
    )


def _output(
    name: str, origin: request.Origin, chosen: _Chosen, job_name: str, rights: PathRights
) -> str | None:
    given = chosen.options.last(name)
    if given is None:
        return None
    text = chosen.texts[name]
    try:
        clean = paths.output_name(text, origin.directory, origin.aliases, rights)
        # Names of jobs and users go where the patterns stand, and a job's name may hold "/" and "..".
        filled = clean.replace("%x", job_name).replace("%u", origin.user)
        if clean != paths.NULL_DEVICE:
            paths.output_name(filled, origin.directory, (), rights)
            if any(len(os.fsencode(part)) > _LONGEST_NAME for part in filled.split("/")):
                raise paths.PathRefused(f"has a part longer than {_LONGEST_NAME} bytes; shorten it")
    except paths.PathRefused as error:
        raise CommandFailed(f"sbatch: error: --{name}={text} ({given.source}) {error}") from error
    return clean


def _refusal(error: AiravataMesosError) -> CommandFailed:
    """SLURM's nearest words for why a job was not taken, then ours."""
    if isinstance(error, UnsatisfiableRequest):
        text = "Requested node configuration is not available"
    elif isinstance(error, QuotaExceeded):
        text = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    elif isinstance(error, Refused):
        text = "Access/permission denied"
    elif isinstance(error, LedgerError):
        log.error("a job could not be recorded: %s", error)
        text = "I/O error writing script/environment to file"
    else:
        return CommandFailed(f"{request.FAILED}{error}")
    return CommandFailed(f"{request.FAILED}{text}", f"sbatch: error: {error}")


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _utf8(text: str, what: str) -> str:
    if not _is_utf8(text):
        raise CommandFailed(f"sbatch: error: {what} is not UTF-8 text: {visible(text)}; use another name")
    return text
