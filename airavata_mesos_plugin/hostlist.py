"""Lists of hosts, and of numbers for each host, in SLURM's short forms (SLURM 22.05). No I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})", re.ASCII | re.DOTALL)
_HOSTS = re.compile(r"(?:[^\s,\[]|\[[^\]]*\]?)+")
_BRACKETS = re.compile(r"([^\[\]]*)\[([0-9,\-]+)\]([^\[\]]*)", re.ASCII)
MOST_HOSTS = 10_000
_SPAN = re.compile(r"[0-9]+(-[0-9]*)?")


def short(names: Iterable[str]) -> str:
    """Node names in SLURM's short form: ``node[1-2,5],other``. Numbers with leading zeros keep them."""
    split = [(name, _NUMBERED.fullmatch(name)) for name in sorted(set(names))]
    padded = {(match[1], len(match[2])) for _, match in split if match and match[2].startswith("0")}
    groups: dict[tuple[str, int], list[int]] = {}
    parts: list[tuple[str, int] | str] = []
    for name, match in split:
        if match is None:
            parts.append(name)
            continue
        width = len(match[2])
        key = (match[1], width if (match[1], width) in padded else 0)
        if key not in groups:
            groups[key] = []
            parts.append(key)
        groups[key].append(int(match[2]))
    return ",".join(part if isinstance(part, str) else _ranges(part, groups[part]) for part in parts)


def without_domain(name: str) -> str:
    """The name of a host up to its first full stop; an address is left as it is."""
    first, dot, _ = name.partition(".")
    if not dot:
        return name
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return first
    return name


def expand(text: str) -> list[str]:
    """The names of ``node[1-3,7],other``; what is no such list stands for itself."""
    names: list[str] = []
    for part in _HOSTS.findall(text):
        match = _BRACKETS.fullmatch(part)
        if match is None:
            names.append(part)
            continue
        for span in match[2].split(","):
            first, _, last = span.partition("-")
            if _SPAN.fullmatch(span) is None or len(first + last) > 18:
                names.append(f"{match[1]}[{span}]{match[3]}")
                continue
            start, stop = int(first), int(last or first)
            stop = min(stop, start + MOST_HOSTS - len(names))
            names += [f"{match[1]}{number:0{len(first)}}{match[3]}" for number in range(start, stop + 1)]
    return names


def in_order(names: Sequence[str]) -> str:
    """Names in the order given: ``node[1-2],other,node5``. Only neighbours in the list share brackets."""
    parts: list[str] = []
    position = 0
    while position < len(names):
        run = _run(names, position)
        if len(run) == 1:
            parts.append(names[position])
        else:
            match = _NUMBERED.fullmatch(run[0])
            assert match is not None
            last = _NUMBERED.fullmatch(run[-1])
            assert last is not None
            parts.append(f"{match[1]}[{match[2]}-{last[2]}]")
        position += len(run)
    return ",".join(parts)


def _run(names: Sequence[str], start: int) -> list[str]:
    """The names from ``start`` on that count upwards by one."""
    run = [names[start]]
    for name in names[start + 1 :]:
        before, now = _NUMBERED.fullmatch(run[-1]), _NUMBERED.fullmatch(name)
        if before is None or now is None or before[1] != now[1]:
            break
        if f"{int(before[2]) + 1:0{len(before[2])}}" != now[2]:
            break
        run.append(name)
    return run


def repeated(numbers: Iterable[int]) -> str:
    """One number for each node: ``2(x3),1``."""
    parts = []
    for number, group in groupby(numbers):
        times = len(list(group))
        parts.append(str(number) if times == 1 else f"{number}(x{times})")
    return ",".join(parts)


def _ranges(key: tuple[str, int], numbers: list[int]) -> str:
    prefix, width = key
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(numbers) == 1:
        return f"{prefix}{numbers[0]:0{width}}"
    parts = [
        f"{run[0]:0{width}}" if len(run) == 1 else f"{run[0]:0{width}}-{run[-1]:0{width}}" for run in runs
    ]
    return f"{prefix}[{','.join(parts)}]"
