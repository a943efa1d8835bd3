"""Whether Thermos can plan the processes of a task (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol


class PlannedProcess(Protocol):
    """What planning looks at."""

    @property
    def name(self) -> str: ...

    @property
    def final(self) -> bool: ...

    @property
    def daemon(self) -> bool: ...

    @property
    def ephemeral(self) -> bool: ...


def check_plan(processes: Sequence[PlannedProcess], orders: Sequence[Sequence[str]]) -> None:
    """Raise ValueError when names repeat or the orders cannot be kept.

    Regular and final processes are planned apart, so one order may not name both. Thermos ignores an order
    that names unknown processes only; here it is refused, for it can only be a mistake.
    """
    by_name = {process.name: process for process in processes}
    if len(by_name) < len(processes):
        names = [process.name for process in processes]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two processes are called {doubled!r}")
    followers: dict[str, set[str]] = {name: set() for name in by_name}
    for order in orders:
        unknown = [name for name in order if name not in by_name]
        if unknown:
            raise ValueError(f"an order names the unknown process {unknown[0]!r}")
        if len({by_name[name].final for name in order}) > 1:
            raise ValueError(f"the order {' < '.join(order)} mixes regular and final processes")
        for before, after in pairwise(order):
            followers[before].add(after)
    _check_kinds(by_name, followers)
    _check_cycles(followers)


def _check_kinds(by_name: dict[str, PlannedProcess], followers: dict[str, set[str]]) -> None:
    for before, later in followers.items():
        for after in sorted(later):
            if by_name[before].daemon:
                raise ValueError(f"process {after!r} would wait for the daemon {before!r}, which never ends")
            if by_name[before].ephemeral and not by_name[after].ephemeral:
                raise ValueError(
                    f"process {after!r} would wait for {before!r}, which is ephemeral: the task may end first"
                )


def _check_cycles(followers: dict[str, set[str]]) -> None:
    waiting = dict.fromkeys(followers, 0)
    for later in followers.values():
        for name in later:
            waiting[name] += 1
    ready = [name for name, count in waiting.items() if count == 0]
    while ready:
        done = ready.pop()
        del waiting[done]
        for name in followers[done]:
            waiting[name] -= 1
            if waiting[name] == 0:
                ready.append(name)
    if waiting:
        raise ValueError(f"the orders go round in a circle: {', '.join(sorted(waiting))}")
