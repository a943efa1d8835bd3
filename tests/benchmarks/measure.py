"""Whole processes timed side by side, and the figures of it in a table."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

_WIDTH = 200  # a table is as wide as it must be; this only keeps cells from being cut


class BenchmarkFailed(Exception):
    """Something does not work: a wrong answer, a missing peer. Slowness is never a failure."""


@dataclass(frozen=True)
class ProcessRun:
    """One process from its start to its end. ``cpu_seconds``: user plus system time, its children's too."""

    seconds: float
    cpu_seconds: float
    exit_code: int
    stdout: bytes
    stderr: bytes

    def describe(self) -> str:
        """Exit code and output, for a message."""
        return f"exit code {self.exit_code}, stdout {self.stdout[:300]!r}, stderr {self.stderr[:300]!r}"


@dataclass(frozen=True)
class Contestant:
    """A command that is timed. ``check`` raises BenchmarkFailed on a wrong answer."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    check: Callable[[ProcessRun], None]
    prepare: Callable[[], None] = lambda: None  # before each run, not timed
    more: Callable[[], Sequence[str]] = tuple  # arguments that are others in each run


@dataclass
class Figures:
    """Measured seconds of one contestant, one entry per run."""

    name: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu_seconds)

    def milliseconds(self, digits: int = 2) -> list[str]:
        """Median, least, most and CPU time, for a row of a table."""
        values = [self.median, min(self.seconds), max(self.seconds), self.cpu_median]
        return [f"{value * 1e3:.{digits}f}" for value in values]


def program(name: str) -> str:
    """The absolute path of a program, also of those for administrators. Raises BenchmarkFailed."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise BenchmarkFailed(f"{name} is not installed; run: make bench-packages")
    return found


def run_process(argv: Sequence[str], environment: Mapping[str, str]) -> ProcessRun:
    """Run a program without a shell and without stdin, and time it from before its start to after its end.

    The output goes to files in memory, so that no reader has to be scheduled while the clock runs.
    """
    out = os.memfd_create("stdout", os.MFD_CLOEXEC)
    err = os.memfd_create("stderr", os.MFD_CLOEXEC)
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ]
        begin = time.perf_counter()
        pid = os.posix_spawn(argv[0], list(argv), environment, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - begin
        return ProcessRun(
            seconds,
            usage.ru_utime + usage.ru_stime,
            os.waitstatus_to_exitcode(status),
            os.pread(out, os.fstat(out).st_size, 0),
            os.pread(err, os.fstat(err).st_size, 0),
        )
    finally:
        os.close(out)
        os.close(err)


def alternate(contestants: Sequence[Contestant], rounds: int, warmups: int = 3) -> list[Figures]:
    """Run all contestants in turn, ``rounds`` times, after ``warmups`` turns that do not count.

    Each answer is checked, those of the warm-ups too.
    """
    figures = [Figures(contestant.name) for contestant in contestants]
    for turn in range(-warmups, rounds):
        for contestant, figure in zip(contestants, figures, strict=True):
            contestant.prepare()
            run = run_process([*contestant.argv, *contestant.more()], contestant.environment)
            contestant.check(run)
            if turn >= 0:
                figure.seconds.append(run.seconds)
                figure.cpu_seconds.append(run.cpu_seconds)
    return figures


@contextmanager
def job_directory() -> Iterator[Path]:
    """A new directory, which all jobs are submitted from."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bench-jobs-") as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def succeeded(run: ProcessRun) -> None:
    """The check of a command whose output does not matter."""
    if run.exit_code != 0:
        raise BenchmarkFailed(run.describe())


def wait_until(what: str, look: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    """Look again and again. Raises BenchmarkFailed when it has not come true after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{what}: not after {seconds:.0f} s")
        time.sleep(pause)


def verdict(goal: str, met: bool) -> str:
    """A goal and whether it was met, for a cell of a table."""
    return f"{goal} {'met' if met else 'MISSED'}"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Text on the left in the first column, figures on the right in the others."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, width=_WIDTH).print(table)


def first_line(path: Path) -> str:
    """The first line of a text file."""
    with path.open(encoding="utf-8") as file:
        return file.readline().rstrip("\n")
