"""sbatch: from a script with its options to an accepted job."""

from __future__ import annotations

import logging
import os
import pwd
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    LedgerError,
    QuotaExceeded,
    Refused,
    UnsatisfiableRequest,
)
from airavata_mesos_plugin.jobs import JobRequest
from airavata_mesos_plugin.provider.dependencies import Dependency
from airavata_mesos_plugin.provider.shaping import Wishes
from airavata_mesos_plugin.sandbox.user_files import PathRights
from airavata_mesos_plugin.slurm import (
    environment,
    forecast,
    foreign,
    paths,
    placement,
    request,
    script,
    selecting,
    view,
)
from airavata_mesos_plugin.slurm.directives import ForeignLine, UnmatchedQuote, scan
from airavata_mesos_plugin.slurm.options import Given, Parsed, parse
from airavata_mesos_plugin.slurm.sbatch_options import SBATCH_OPTIONS, USAGE
from airavata_mesos_plugin.slurm.sbatch_values import Chosen, evaluate, utf8
from airavata_mesos_plugin.slurm.session import (
    Again,
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
    about,
)
from airavata_mesos_plugin.slurm.table import visible

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""Between two looks of ``sbatch --wait`` at its job."""

_MEMORY = frozenset({"mem", "mem-per-cpu"})
_LONGEST_NAME = 255  # bytes of one component of a path, Linux
_WAITING = "--wait-for-job="  # how sbatch --wait asks again; no option of SLURM's begins like this


def run(invocation: Invocation, provider: JobProvider, clock: Clock) -> Result:
    """Submit the job. Raises CommandFailed and OptionError."""
    if len(invocation.argv) == 1 and invocation.argv[0].startswith(_WAITING):
        return _waited(invocation.argv[0].removeprefix(_WAITING), provider)
    typed = parse(invocation.argv, SBATCH_OPTIONS, stop_at_word=True)
    if (told := about(typed, USAGE)) is not None:
        return told
    source = _source(invocation, typed, provider.settings.max_script_bytes)
    options, warnings = _all_options(invocation, typed, source)
    chosen = evaluate(options, clock.now(), view.zone(invocation.environ))
    warnings += chosen.warnings
    if not options.has("test-only"):
        return _submit(invocation, provider, source, chosen, warnings)
    try:
        built, more = _build(invocation, provider, source, chosen)
    except CommandFailed as failed:
        text = failed.result.stderr.replace(request.FAILED, "allocation failure: ")
        return Result("", text, failed.result.exit_code)
    lines = [*warnings, *more, forecast.line(built, provider, clock.now(), chosen.zone)]
    return Result("", "".join(f"{line}\n" for line in lines))


def _waited(text: str, provider: JobProvider) -> Result:
    """What ``sbatch --wait`` does after a pause: the exit code of the job, or another pause."""
    job_ids = frozenset({int(text)}) if re.fullmatch("[0-9]{1,10}", text, re.ASCII) else frozenset()
    jobs = selecting.family(provider, job_ids)
    if not jobs:
        raise CommandFailed(f"sbatch: error: no job {text} to wait for")
    if not all(job.phase.final for job in jobs):
        return Result(then=Again(WAIT_SECONDS, (f"{_WAITING}{text}",)))
    # As with SLURM the highest exit code of an array counts, and a job that a signal ended has its number.
    return Result(exit_code=max(view.exit_of(job) for job in jobs))


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
    words = tuple(utf8(word, "the command line") for word in typed.words)
    if wrap is not None:
        if words:
            raise CommandFailed("sbatch: error: Script arguments not permitted with --wrap option")
        text = script.WRAPPED.format(utf8(wrap.value or "", "--wrap"))
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
        if not (typed.has("ignore-pbs") or parsed.has("ignore-pbs")):
            head += _foreign(found.foreign)
    # A memory directive simply beats memory in the environment; two others of the kind would be an error.
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


def _foreign(lines: Sequence[ForeignLine]) -> tuple[Given, ...]:
    """The options that lines for other schedulers stand for."""
    options: list[Given] = []
    for line in lines:
        try:
            words = foreign.translate(line.system, line.words)
        except foreign.ForeignError as error:
            raise CommandFailed(*error.lines) from error
        sources = [f"line {line.line} of the script"] * len(words)
        options += parse(words, SBATCH_OPTIONS, stop_at_word=True, sources=sources).options
    return tuple(options)


def _submit(
    invocation: Invocation, provider: JobProvider, source: _Source, chosen: Chosen, warnings: Sequence[str]
) -> Result:
    built, more_warnings = _build(invocation, provider, source, chosen)
    variables = environment.collect(_submitters(invocation), chosen.export)
    try:
        record = provider.submit(built, source.text, environment=variables)
    except AiravataMesosError as error:
        raise _refusal(error) from error
    text = "".join(f"{line}\n" for line in (*warnings, *more_warnings))
    then = Again(WAIT_SECONDS, (f"{_WAITING}{record.id}",)) if chosen.options.has("wait") else None
    cluster = chosen.texts.get("clusters")
    if chosen.options.has("parsable"):
        return Result(f"{record.id};{cluster}\n" if cluster else f"{record.id}\n", text, then=then)
    if chosen.options.has("quiet"):
        return Result("", text, then=then)
    suffix = f" on cluster {cluster}" if cluster else ""
    return Result(f"Submitted batch job {record.id}{suffix}\n", text, then=then)


def _submitters(invocation: Invocation) -> dict[str, str]:
    """The variables of whoever typed the command, without the one that its launcher adds."""
    return {name: value for name, value in invocation.environ.items() if name != "SLURM_UMASK"}


def _build(
    invocation: Invocation, provider: JobProvider, source: _Source, chosen: Chosen
) -> tuple[JobRequest, tuple[str, ...]]:
    """The complete request and the warnings that go with it. Raises CommandFailed."""
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
    usual = "slurm-%A_%a.out" if chosen.array else "slurm-%j.out"
    stdout = _output("output", origin, chosen, job_name, rights) or usual
    stderr = _output("error", origin, chosen, job_name, rights)
    wishes = Wishes(
        fewest_nodes=chosen.nodes,
        tasks=chosen.counts.get("ntasks"),
        cpus_per_task=chosen.counts.get("cpus-per-task"),
        tasks_per_node=chosen.counts.get("ntasks-per-node"),
        memory_mb=chosen.memory.get("mem"),
        memory_mb_per_cpu=chosen.memory.get("mem-per-cpu"),
        seconds=None if chosen.minutes is None else chosen.minutes * 60,
        gpus=chosen.gpus,
    )
    built, warnings = request.build(
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
    queue = settings.queue(built.queue)
    places = placement.constraints(
        chosen.texts, queue.constraints, provider.nodes(queue.cluster), built.nodes
    )
    dependency, unknown = _known(chosen.dependency, provider)
    command = os.path.normpath(os.path.join(invocation.cwd, source.path)) if source.path else ""  # noqa: PTH118
    changes = {
        "stdin": _output("input", origin, chosen, job_name, rights) or paths.NULL_DEVICE,
        "submit_line": visible(shlex.join(["sbatch", *invocation.argv])),
        "command": command if is_utf8(command) else "",
        "gid": _group(invocation.uid),
        "umask": _umask(invocation.environ.get("SLURM_UMASK", "")),
        "append_output": chosen.append,
        "export": chosen.export,
        "hold": chosen.hold,
        "begin_at": chosen.begin_at,
        "dependency": str(dependency),
        "requeue": chosen.requeue,
        "constraints": places,
        "array": chosen.array,
        "array_limit": chosen.array_limit,
    }
    return built.model_copy(update=changes), (*warnings, *unknown)


def _known(dependency: Dependency, provider: JobProvider) -> tuple[Dependency, list[str]]:
    """The dependency without the jobs that nobody knows: for SLURM they count as done."""
    wanted = frozenset(c.job_id for c in dependency.conditions if c.job_id)
    known = {job.id for job in selecting.family(provider, wanted)}
    unknown = sorted(wanted - known)
    if not unknown:
        return dependency, []
    warnings = [
        f"sbatch: Warning: --dependency: there is no job {number}; it counts as fulfilled"
        for number in unknown
    ]
    if dependency.any_of:
        return Dependency(), warnings
    left = tuple(c for c in dependency.conditions if not c.job_id or c.job_id in known)
    return replace(dependency, conditions=left), warnings


def _group(uid: int) -> int | None:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return None


def _umask(text: str) -> int | None:
    return int(text, 8) if re.fullmatch("[0-7]{1,4}", text) else None


def _origin(invocation: Invocation, source: _Source, chosen: Chosen) -> request.Origin:
    cwd = utf8(invocation.cwd, "the name of the current directory")
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
    shell = invocation.environ.get("PWD", "")
    candidates = [text for text in (spelled, shell, beside) if is_utf8(text)]
    return request.Origin(
        user=invocation.user,
        uid=invocation.uid,
        host=invocation.host,
        directory=physical,
        aliases=paths.spellings(physical, candidates, invocation.rights),
    )


def _output(
    name: str, origin: request.Origin, chosen: Chosen, job_name: str, rights: PathRights
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


def is_utf8(text: str) -> bool:
    """True for a text that can be written."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
