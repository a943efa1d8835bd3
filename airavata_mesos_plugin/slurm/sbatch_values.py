"""The values of sbatch's options: each is checked by itself, in the order in which it was given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo

from airavata_mesos_plugin.jobs import array_indexes, array_text
from airavata_mesos_plugin.provider import dependencies
from airavata_mesos_plugin.provider.dependencies import Dependency
from airavata_mesos_plugin.slurm import times, values
from airavata_mesos_plugin.slurm.environment import collect
from airavata_mesos_plugin.slurm.options import Given, Parsed
from airavata_mesos_plugin.slurm.session import CommandFailed
from airavata_mesos_plugin.slurm.table import visible

SUBMISSION_FAILED = "sbatch: error: Batch job submission failed: "
LARGEST_INDEX = 1000
"""Of an array; SLURM's default ``MaxArraySize`` of 1001 means the same."""

_GPU = re.compile(r"gpu(?::[A-Za-z][^:,=()]*)?(?:[:=]([0-9]{1,9}))?", re.ASCII)
_GPUS = re.compile(r"(?:[A-Za-z][^:,]*:)?([0-9]{1,9})", re.ASCII)
_ARRAY = re.compile(r"\[?([0-9,:\-]+)\]?(?:%([0-9]{1,9}))?\]?", re.ASCII)


@dataclass
class Chosen:
    """The options with their values; the last one given of each kind counts."""

    options: Parsed
    now: float
    zone: tzinfo | None
    texts: dict[str, str] = field(default_factory=dict)
    nodes: int | None = None
    minutes: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    mail_types: tuple[str, ...] = ()
    array: str = ""
    array_limit: int = 0
    dependency: Dependency = field(default_factory=Dependency)
    begin_at: float | None = None
    hold: bool = False
    requeue: bool | None = None
    append: bool = False
    export: str | None = None
    gpus: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def evaluate(options: Parsed, now: float, zone: tzinfo | None) -> Chosen:
    """Check every value, so that the first wrong one is the one that is named, as in SLURM.

    Raises CommandFailed.
    """
    chosen = Chosen(options, now, zone)
    for given in options.options:
        if given.option.refused:
            raise CommandFailed(*given.option.refused, exit_code=given.option.refusal_exit)
        value = utf8(given.value or "", f"--{given.option.long} ({given.source})")
        _EVALUATORS.get(given.option.name, _text)(chosen, given, value)
    if len(chosen.memory) > 1:
        raise CommandFailed("sbatch: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.")
    return chosen


def utf8(text: str, what: str) -> str:
    """``text``, if it can be written. Raises CommandFailed."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CommandFailed(
            f"sbatch: error: {what} is not UTF-8 text: {visible(text)}; use another name"
        ) from error
    return text


def _invalid(given: Given, *before: str) -> CommandFailed:
    return CommandFailed(
        *before, f"sbatch: error: Invalid --{given.option.long} specification", exit_code=255
    )


def _text(chosen: Chosen, given: Given, value: str) -> None:
    chosen.texts[given.option.name] = value


def _time(chosen: Chosen, given: Given, value: str) -> None:
    try:
        chosen.minutes = values.parse_time(value)
    except ValueError as error:
        raise _invalid(given) from error


def _memory(chosen: Chosen, given: Given, value: str) -> None:
    try:
        chosen.memory[given.option.name] = values.parse_memory(value)
    except ValueError as error:
        raise _invalid(given) from error


def _count(chosen: Chosen, given: Given, value: str) -> None:
    try:
        chosen.counts[given.option.name] = values.parse_count(value)
    except ValueError as error:
        raise CommandFailed(
            f'sbatch: error: Invalid numeric value "{value}" for --{given.option.long}.'
        ) from error


def _nodes(chosen: Chosen, _given: Given, value: str) -> None:
    if value.endswith("-") and value[:-1].isdigit():  # SLURM takes what is not there for -1
        raise CommandFailed(
            f"sbatch: error: Maximum node count -1 is less than minimum node count {value[:-1]}",
            exit_code=255,
        )
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


def _mail_type(chosen: Chosen, given: Given, value: str) -> None:
    try:
        chosen.mail_types = values.parse_mail_types(value)
    except ValueError as error:
        raise _invalid(given) from error


def _open_mode(chosen: Chosen, given: Given, value: str) -> None:
    if value not in ("a", "append", "t", "truncate"):
        raise _invalid(given)
    chosen.append = value.startswith("a")


def _exclusive(_chosen: Chosen, given: Given, value: str) -> None:
    if value not in ("", "user", "mcs"):
        raise _invalid(given)


def _export(chosen: Chosen, given: Given, value: str) -> None:
    try:
        collect({}, value)
    except ValueError as error:
        raise _invalid(given, f"sbatch: error: --export={value} ({given.source}): {error}") from error
    chosen.export = value


def _array(chosen: Chosen, _given: Given, value: str) -> None:
    text = value.replace(" ", "")
    if not text:
        chosen.array, chosen.array_limit = "", 0
        return
    match = _ARRAY.fullmatch(text)
    try:
        if match is None or text.count("[") != text.count("]"):
            raise ValueError(value)
        indexes = array_indexes(match[1])
        if indexes[-1] > LARGEST_INDEX:
            raise ValueError(value)
    except ValueError as error:
        raise CommandFailed(f"{SUBMISSION_FAILED}Invalid job array specification") from error
    chosen.array, chosen.array_limit = array_text(indexes), int(match[2] or 0)


def _dependency(chosen: Chosen, _given: Given, value: str) -> None:
    if value.startswith("expand:"):
        raise CommandFailed(f"{SUBMISSION_FAILED}Requested operation not supported on this system")
    try:
        chosen.dependency = dependencies.parse(value)
    except ValueError as error:
        raise CommandFailed(f"{SUBMISSION_FAILED}Job dependency problem") from error


def _begin(chosen: Chosen, given: Given, value: str) -> None:
    try:
        chosen.begin_at = times.parse(value, chosen.now, chosen.zone)
    except times.BadTime as error:
        raise _invalid(given, str(error)) from error


def _hold(chosen: Chosen, _given: Given, _value: str) -> None:
    chosen.hold = True


def _requeue(chosen: Chosen, given: Given, _value: str) -> None:
    chosen.requeue = given.option.name == "requeue"


def _gres(chosen: Chosen, _given: Given, value: str) -> None:
    if value.lower() == "none":
        chosen.gpus.pop("gres", None)
        return
    if not value:
        raise CommandFailed(
            f"{SUBMISSION_FAILED}Invalid Trackable RESource (TRES) specification",
        )
    number = 0
    for entry in value.split(","):
        match = _GPU.fullmatch(entry.removeprefix("gres:").removeprefix("gres/"))
        if match is None:
            raise CommandFailed(
                "sbatch: error: Invalid generic resource (gres) specification",
                f"sbatch: error: --gres={visible(value)}: only gpu and gpu:NUMBER are known here",
            )
        number += 1 if match[1] is None else int(match[1])
    chosen.gpus["gres"] = number


def _gpus(chosen: Chosen, given: Given, value: str) -> None:
    match = _GPUS.fullmatch(value)
    if match is None:
        # SLURM 22.05 takes any word for the kind of one GPU; there are no kinds here.
        raise _invalid(given)
    chosen.gpus[given.option.name] = int(match[1])


def _nice(_chosen: Chosen, _given: Given, value: str) -> None:
    if value.startswith("-"):
        raise CommandFailed(f"{SUBMISSION_FAILED}Invalid --nice value")


def _hopeless(chosen: Chosen, given: Given, value: str) -> None:
    if value.lower() not in ("yes", "no"):
        raise _invalid(given)
    if value.lower() == "no":
        chosen.warnings.append(
            "sbatch: Warning: --kill-on-invalid-dep=no is ignored: a job that can never start is ended here"
        )


_EVALUATORS: dict[str, Callable[[Chosen, Given, str], None]] = {
    "array": _array,
    "begin": _begin,
    "cpus-per-task": _count,
    "dependency": _dependency,
    "exclusive": _exclusive,
    "export": _export,
    "gpus": _gpus,
    "gpus-per-node": _gpus,
    "gpus-per-task": _gpus,
    "gres": _gres,
    "hold": _hold,
    "kill-on-invalid-dep": _hopeless,
    "mail-type": _mail_type,
    "mem": _memory,
    "mem-per-cpu": _memory,
    "nice": _nice,
    "no-requeue": _requeue,
    "nodes": _nodes,
    "ntasks": _count,
    "ntasks-per-node": _count,
    "open-mode": _open_mode,
    "requeue": _requeue,
    "time": _time,
}
