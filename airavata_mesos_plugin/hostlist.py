"""Lists of hosts, and of numbers for each host, in SLURM's short forms (SLURM 22.05). No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})")


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
