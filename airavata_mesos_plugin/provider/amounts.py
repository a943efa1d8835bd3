"""Amounts as people read them, in the forms of SLURM 22.05."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time as squeue shows it: ``0:09``, ``1:02:03``, ``1-00:00:00``."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"


def memory(megabytes: int) -> str:
    """An amount as squeue shows it: ``500M``, ``1G``."""
    for letter, size in (("T", 1024**2), ("G", 1024)):
        if megabytes >= size and megabytes % size == 0:
            return f"{megabytes // size}{letter}"
    return f"{megabytes}M"
