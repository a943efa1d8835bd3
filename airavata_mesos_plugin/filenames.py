"""Names of the files that a job writes its output to.

The patterns are those of SLURM 22.05: ``%j`` and its kin, a width as in ``%6j`` for numbers, ``%%``, and
a backslash anywhere, which switches all replacements off and vanishes. Unknown letters stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.sandbox_names import RESERVED

NULL_DEVICE = "/dev/null"
NOT_AN_ARRAY = 4294967294
"""What SLURM 22.05 puts for ``%a`` outside of job arrays."""

_MAX_WIDTH = 10
_FIELD = re.compile(r"%(\d*)([%AaJjNnstux])")

_NUMBERS: dict[str, Callable[[JobRecord], int]] = {
    "A": lambda record: record.id if record.array_id is None else record.array_id,
    "a": lambda record: NOT_AN_ARRAY if record.array_index is None else record.array_index,
    "J": lambda record: record.id,
    "j": lambda record: record.id,
    "n": lambda _: 0,
    "t": lambda _: 0,
}
_TEXTS: dict[str, Callable[[JobRecord], str]] = {
    "%": lambda _: "%",
    "s": lambda _: "batch",
    "u": lambda record: record.request.user,
    "x": lambda record: record.request.name,
}


def parts(pattern: str, record: JobRecord) -> tuple[str, ...]:
    """The file name, cut at each ``%N``: the host is not known before the job runs."""
    if "\\" in pattern:
        return (re.sub(r"\\(.?)", r"\1", pattern, flags=re.DOTALL),)
    pieces = [""]
    position = 0
    for field in _FIELD.finditer(pattern):
        pieces[-1] += pattern[position : field.start()]
        position = field.end()
        width, letter = field.groups()
        if letter == "N":
            pieces.append("")
        elif letter in _NUMBERS:
            digits = min(int(width or 0), _MAX_WIDTH)
            pieces[-1] += str(_NUMBERS[letter](record)).zfill(digits)
        else:
            pieces[-1] += _TEXTS[letter](record)
    pieces[-1] += pattern[position:]
    return tuple(pieces)


def expand(pattern: str, record: JobRecord, unknown: str = "") -> str:
    """The file name with everything replaced; ``unknown`` stands for a host that is not known yet."""
    return (record.short_host or unknown).join(parts(pattern, record))


def confined_parts(pattern: str, record: JobRecord, option: str) -> tuple[str, ...]:
    """`parts` of a name that stays inside the working directory, or is ``/dev/null``.

    The name is looked at after the replacements, since a job's name may hold slashes. ``option`` is what
    the user wrote the pattern with, for the message. Raises InvalidRequest.
    """
    pieces = parts(pattern, record)
    # No host name is empty or holds a slash or only dots, so any such name stands for all of them.
    name = "host".join(pieces)
    if name == NULL_DEVICE:
        return pieces
    steps = [step for step in name.split("/") if step not in ("", ".")]
    trouble = ""
    if "\0" in name:
        trouble = "holds a NUL character"
    elif name.startswith("/"):
        trouble = "is not below the working directory"
    elif ".." in steps:
        trouble = "climbs out of the working directory"
    elif not steps or name.endswith("/"):
        trouble = "is not the name of a file"
    elif steps[0] in RESERVED:
        trouble = f"lies in {steps[0]}, which is reserved"
    if trouble:
        raise InvalidRequest(
            f"job {record.id}: the output file {name!r} of {option} {trouble}",
            advice=f"give {option} a name inside the working directory",
        )
    return pieces
