"""Values of options: the forms that SLURM 22.05 reads and writes. Everything here is pure.

A form that SLURM does not read raises ValueError; the caller knows SLURM's text for it.
"""

from __future__ import annotations

import math
import re

from airavata_mesos_plugin.provider.amounts import duration as duration
from airavata_mesos_plugin.provider.amounts import memory as memory
from airavata_mesos_plugin.provider.shaping import LARGEST as LARGEST

UNLIMITED = math.inf
"""A wall time without a limit, in minutes."""


_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", re.ASCII)
_MEMORY = re.compile(r"([0-9]{1,18})(?:([KMGT])B?)?", re.IGNORECASE | re.ASCII)
_NODES = re.compile(r"([0-9]{1,18})(k|m)?(?:-([0-9]{1,18})(k|m)?)?", re.IGNORECASE | re.ASCII)
_MEBIBYTES = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}

MAIL_TYPES = (
    "INVALID_DEPEND",
    "BEGIN",
    "END",
    "FAIL",
    "REQUEUE",
    "STAGE_OUT",
    "TIME_LIMIT",
    "TIME_LIMIT_90",
    "TIME_LIMIT_80",
    "TIME_LIMIT_50",
    "ARRAY_TASKS",
)
_ALL_MAIL = MAIL_TYPES[:6]


def parse_time(text: str) -> float:
    """Minutes of a wall time: ``M``, ``M:S``, ``H:M:S``, ``D-H``, ``D-H:M``, ``D-H:M:S``.

    Seconds round up to a whole minute. 0, -1, INFINITE and UNLIMITED give `UNLIMITED`.
    """
    if text.upper() in ("-1", "INFINITE", "UNLIMITED"):
        return UNLIMITED
    match = _TIME.fullmatch(text)
    if match is None or any(len(part) > 9 for part in match.groups() if part):
        raise ValueError(f"not a time: {text!r}")
    days, first, second, third = (None if part is None else int(part) for part in match.groups())
    if days is not None:
        seconds = days * 86400 + (first or 0) * 3600 + (second or 0) * 60 + (third or 0)
    elif third is not None:
        seconds = (first or 0) * 3600 + (second or 0) * 60 + third
    else:
        seconds = (first or 0) * 60 + (second or 0)
    if seconds == 0:
        return UNLIMITED
    return -(-seconds // 60)


def parse_memory(text: str) -> int:
    """Memory in MB, rounded up: a number with K, M (also without a letter), G or T, then perhaps B."""
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount of memory: {text!r}")
    return math.ceil(int(match[1]) * _MEBIBYTES[(match[2] or "M").upper()])


def parse_count(text: str) -> int:
    """A number from 1 up."""
    if _COUNT.fullmatch(text) is None or not 1 <= int(text) <= LARGEST:
        raise ValueError(f"not a count: {text!r}")
    return int(text)


def parse_nodes(text: str) -> tuple[int, int]:
    """Fewest and most nodes: ``2``, ``1-2``, ``1k`` (1024). The second may be below the first."""
    match = _NODES.fullmatch(text)
    if match is None:
        raise ValueError(f"not a node count: {text!r}")
    fewest = _scaled(match[1], match[2])
    most = _scaled(match[3], match[4]) if match[3] else fewest
    if not (1 <= fewest <= LARGEST and 0 <= most <= LARGEST):
        raise ValueError(f"not a node count: {text!r}")
    return fewest, most


def _scaled(digits: str, letter: str | None) -> int:
    return int(digits) * {"": 1, "k": 1024, "m": 1024**2}[(letter or "").lower()]


def parse_mail_types(text: str) -> tuple[str, ...]:
    """Kinds of mail in SLURM's order; empty for NONE.

    NONE anywhere wins, and a wrong word after a right one is dropped, both as in SLURM 22.05.
    """
    wanted: set[str] = set()
    for index, word in enumerate(text.split(",")):
        kind = word.strip().upper()
        if kind == "NONE":
            return ()
        if kind == "ALL":
            wanted.update(_ALL_MAIL)
        elif kind in MAIL_TYPES:
            wanted.add(kind)
        elif index == 0:
            raise ValueError(f"not a mail type: {word!r}")
    return tuple(kind for kind in MAIL_TYPES if kind in wanted)


def parse_list(text: str) -> list[str]:
    """The words of a comma list; blanks around them do not count, empty ones are left out."""
    return [word for word in (part.strip() for part in text.split(",")) if word]


def elapsed(seconds: float) -> str:
    """A time as sacct shows it: ``00:00:09``, ``1-00:00:00``."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock
