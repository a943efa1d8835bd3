"""The commands with 10,000 jobs on each side: alone, by several submitters, by many callers at once."""

from __future__ import annotations

import getpass
import os
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from .measure import (
    BenchmarkFailed,
    Contestant,
    Figures,
    ProcessRun,
    alternate,
    job_directory,
    print_table,
    run_process,
    succeeded,
    verdict,
    wait_until,
)
from .our_daemon import OurDaemon
from .ours_filled import fill
from .slurm_peer import SlurmPeer

JOBS = 10_000
"""Held jobs on each side, each one submitted by itself."""

ROUNDS = 60
SLOW_ROUNDS = 25
PAUSE_SECONDS = 0.1

SUBMISSIONS = {1: 200, 8: 400}
"""Submitters and how many jobs they submit together."""
TRIALS = 3

CALLERS = 50
CALLS = 400

JOB_SCRIPT = """#!/bin/sh
#SBATCH -t 1:00:00
#SBATCH -o /dev/null
exec sleep 3600
"""
_SUBMITTED = re.compile(rb"Submitted batch job (\d+)\n")


@dataclass
class _Side:
    """One of the two: how to call it, a script to submit, and its jobs."""

    label: str
    system: OurDaemon | SlurmPeer
    script: str
    ids: Sequence[int]
    doomed: Iterator[int] = field(init=False)  # jobs to cancel, from the middle on
    gone: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.doomed = iter(self.ids[len(self.ids) // 2 + 1 :])

    @property
    def kept(self) -> int:
        """A job that stays. Neither side may profit from an end of its list, so it is one of the middle."""
        return self.ids[len(self.ids) // 2]

    def contestant(self, argv: Sequence[str], check: Callable[[ProcessRun], None]) -> Contestant:
        command, *arguments = argv
        return Contestant(
            f"{command} {self.label}",
            [self.system.command(command), *arguments],
            self.system.environment,
            check,
        )

    def submission(self, *options: str) -> Contestant:
        """One sbatch. ``-H`` holds the job."""

        def check(run: ProcessRun) -> None:
            if run.exit_code != 0 or not _SUBMITTED.fullmatch(run.stdout):
                raise BenchmarkFailed(f"sbatch of {self.label} gives no job id: {run.describe()}")

        return self.contestant(["sbatch", *options, self.script], check)

    def look(self) -> Contestant:
        """One squeue for one job."""

        def check(run: ProcessRun) -> None:
            lines = run.stdout.decode().splitlines()
            words = lines[1].split() if len(lines) == 2 else []
            if run.exit_code != 0 or words[:1] != [str(self.kept)] or words[4:5] != ["PD"]:
                raise BenchmarkFailed(f"squeue of {self.label} does not show {self.kept}: {run.describe()}")

        return self.contestant(["squeue", "-j", str(self.kept)], check)

    def listing(self) -> Contestant:
        """One squeue for all jobs of the user."""

        def check(run: ProcessRun) -> None:
            count = run.stdout.count(b"\n") - 1
            if run.exit_code != 0 or not JOBS * 0.95 < count < JOBS * 1.3:
                raise BenchmarkFailed(f"squeue -u of {self.label} shows {count} jobs: {run.stderr[:300]!r}")

        return self.contestant(["squeue", "-u", getpass.getuser()], check)

    def accounting(self) -> Contestant:
        """One sacct for one job."""

        def check(run: ProcessRun) -> None:
            words = run.stdout.split()
            if run.exit_code != 0 or str(self.kept).encode() not in words or b"PENDING" not in words:
                raise BenchmarkFailed(f"sacct of {self.label} does not know {self.kept}: {run.describe()}")

        return self.contestant(["sacct", "-j", str(self.kept)], check)

    def cancel(self) -> Contestant:
        """One scancel of a job that was not cancelled before."""

        def more() -> list[str]:
            self.gone.append(next(self.doomed))
            return [str(self.gone[-1])]

        return replace(self.contestant(["scancel"], succeeded), more=more)

    def check_cancelled(self) -> None:
        """Raise BenchmarkFailed when a job that was cancelled still waits after some seconds."""
        wait_until(f"{self.label}: cancelled jobs are gone", lambda: not self._waiting() & set(self.gone), 30)
        if self.kept not in self._waiting():
            raise BenchmarkFailed(f"{self.label}: job {self.kept} is gone too")

    def _waiting(self) -> set[int]:
        argv = [self.system.command("squeue"), "-h", "-t", "PD", "-o", "%i"]
        run = run_process(argv, self.system.environment)
        succeeded(run)
        return {int(word) for word in run.stdout.split()}


def run() -> None:
    """Print the tables. Raises BenchmarkFailed when a side does not work or answers something wrong."""
    with job_directory() as directory:
        script = directory / "job.sh"
        script.write_text(JOB_SCRIPT)
        before = OurDaemon(lambda daemon: fill(daemon.home, daemon.environment, script, JOBS))
        with SlurmPeer() as slurm, before as daemon:
            theirs = _Side("SLURM", slurm, str(script), _fill_slurm(slurm, script))
            ours = _Side("ours", daemon, str(script), range(1, JOBS + 1))
            slurm.wait_for_accounting(max(theirs.ids), 300)
            sides = (ours, theirs)
            _print_processes(slurm.version, sides)
            _print_callers(sides)
            _print_submitters(sides)


def _print_processes(version: str, sides: Sequence[_Side]) -> None:
    looks = alternate([side.look() for side in sides], ROUNDS)
    listings = alternate([side.listing() for side in sides], SLOW_ROUNDS)
    accounts = alternate([side.accounting() for side in sides], SLOW_ROUNDS)
    cancels = alternate([_after_pause(side.cancel()) for side in sides], ROUNDS)
    cancels_busy = alternate([_named(side.cancel()) for side in sides], ROUNDS)
    for side in sides:
        side.check_cancelled()
    held = alternate([_after_pause(side.submission("-H")) for side in sides], ROUNDS)
    held_busy = alternate([_named(side.submission("-H")) for side in sides], ROUNDS)
    free = alternate([_after_pause(side.submission()) for side in sides], ROUNDS)
    free_busy = alternate([_named(side.submission()) for side in sides], ROUNDS)
    twice, faster = ("<= 2.0", 2.0), ("< 1.0", 1.0)
    print_table(
        f"Whole processes, {JOBS} held jobs on each side; peer: {version}",
        ("", "median ms", "least", "most", "CPU ms", "ratio", "goal", "ratio of the least"),
        [
            *_rows("squeue -j", looks, *twice),
            *_rows("squeue -u", listings, *faster),
            *_rows("sacct -j", accounts, *faster),
            *_rows("scancel", cancels, *twice),
            *_rows("scancel, one after the other", cancels_busy, *twice),
            *_rows("sbatch -H", held, *twice),
            *_rows("sbatch -H, one after the other", held_busy, *twice),
            *_rows("sbatch", free, *twice),
            *_rows("sbatch, one after the other", free_busy, *twice),
        ],
    )


def _after_pause(contestant: Contestant) -> Contestant:
    return replace(contestant, prepare=lambda: time.sleep(PAUSE_SECONDS))


def _named(contestant: Contestant) -> Contestant:
    return replace(contestant, name=f"{contestant.name}, one after the other")


def _rows(name: str, pair: Sequence[Figures], goal: str, most: float) -> list[list[str]]:
    ours, theirs = pair
    ratio = ours.median / theirs.median
    met = ratio <= most if "=" in goal else ratio < most
    least = min(ours.seconds) / min(theirs.seconds)  # says more on a machine that others use too
    return [
        [f"{name}: ours", *ours.milliseconds(), f"{ratio:.2f}", verdict(goal, met), f"{least:.2f}"],
        [f"{name}: SLURM", *theirs.milliseconds(), "", "", ""],
    ]


def _fill_slurm(slurm: SlurmPeer, script: Path) -> list[int]:
    """Ids in ascending order. Four submitters keep two cores busy."""
    with ThreadPoolExecutor(4) as pool:
        return sorted(pool.map(lambda _: slurm.submit(script, "-H"), range(JOBS)))


def _at_once(contestant: Contestant, threads: int, count: int) -> tuple[float, list[ProcessRun]]:
    """Run a command ``count`` times from so many threads; seconds of the whole, and the runs, all checked."""
    begin = threading.Barrier(threads + 1)
    turns = iter(range(count))
    lock = threading.Lock()
    runs: list[ProcessRun] = []

    def work() -> None:
        begin.wait()
        while True:
            with lock:
                if next(turns, None) is None:
                    return
            run = run_process(contestant.argv, contestant.environment)
            with lock:
                runs.append(run)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    begin.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    for run in runs:
        contestant.check(run)
    return seconds, runs


def _print_submitters(sides: Sequence[_Side]) -> None:
    rows = []
    for threads, count in SUBMISSIONS.items():
        rates: dict[str, list[float]] = {side.label: [] for side in sides}
        for _ in range(TRIALS):
            for side in sides:
                seconds, _ = _at_once(side.submission("-H"), threads, count)
                rates[side.label].append(count / seconds)
                time.sleep(PAUSE_SECONDS)
        for label, found in rates.items():
            rows.append(
                [f"{threads}, {label}", *(f"{rate:.0f}" for rate in (statistics.median(found), *found))]
            )
    trials = [f"trial {number + 1}" for number in range(TRIALS)]
    print_table("Submitters at once (sbatch -H), submissions per second", ("", "median", *trials), rows)


def _print_callers(sides: Sequence[_Side]) -> None:
    rows = []
    for name, make, count in (
        ("squeue -j", _Side.look, CALLS),
        ("squeue -u", _Side.listing, CALLERS * 2),
    ):
        for side in sides:
            seconds, runs = _at_once(make(side), CALLERS, count)
            taken = sorted(run.seconds for run in runs)
            rows.append(
                [
                    f"{name}, {side.label}",
                    f"{statistics.median(taken) * 1e3:.0f}",
                    f"{taken[int(len(taken) * 0.95)] * 1e3:.0f}",
                    f"{taken[-1] * 1e3:.0f}",
                    f"{len(runs) / seconds:.0f}",
                    f"{len(runs)} of {count}",
                ]
            )
    print_table(
        f"{CALLERS} callers at once on {os.cpu_count()} CPUs",
        ("", "median ms", "p95", "most", "answers per second", "answered"),
        rows,
    )
