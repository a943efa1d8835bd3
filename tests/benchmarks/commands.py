"""squeue, sbatch and sacct as whole processes against the same commands of real SLURM."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .measure import (
    BenchmarkFailed,
    Contestant,
    Figures,
    ProcessRun,
    alternate,
    first_line,
    job_directory,
    print_table,
    succeeded,
    verdict,
)
from .our_daemon import OurDaemon
from .slurm_peer import SlurmPeer

WAITING = 1000
"""Jobs that wait on each side; as many as the host has CPUs run besides."""

ROUNDS = 60
SACCT_ROUNDS = 30
PAUSE_SECONDS = 0.25

JOB_SCRIPT = """#!/bin/sh
#SBATCH -t 1:00:00
#SBATCH -o /dev/null
exec sleep 3600
"""
_SACCT = ("sacct", "-X", "-n", "-P", "-o", "State,Submit", "--duplicates", "-j")


@dataclass(frozen=True)
class _Side:
    """One of the two: how to call it, a script to submit and a job of it that waits."""

    label: str
    system: OurDaemon | SlurmPeer
    script: str
    job_id: str

    def contestant(self, argv: Sequence[str], check: Callable[[ProcessRun], None]) -> Contestant:
        command, *arguments = argv
        return Contestant(
            f"{command} {self.label}",
            [self.system.command(command), *arguments],
            self.system.environment,
            check,
        )


def run() -> None:
    """Print the table. Raises BenchmarkFailed when a side does not work or answers something wrong."""
    with SlurmPeer() as slurm, OurDaemon() as daemon, job_directory() as directory:
        script = directory / "job.sh"
        script.write_text(JOB_SCRIPT)
        ours, theirs = _fill("ours", daemon, script), _fill("SLURM", slurm, script)
        daemon.wait_until_settled()
        slurm.wait_for_accounting(int(theirs.job_id))
        sides = (ours, theirs)
        bare = [
            _bare("python3 -I -S -c pass", [_python3(), "-I", "-S"]),
            _bare("our commands' interpreter", _launcher_interpreter(daemon)),
        ]
        squeue = alternate([*[_squeue(side) for side in sides], *bare], ROUNDS)
        sacct = alternate([_sacct(side) for side in sides], SACCT_ROUNDS)
        # Last, since each run adds a job.
        busy = alternate([_sbatch(side) for side in sides], ROUNDS)
        alone = alternate([_sbatch(side, pause=True) for side in sides], ROUNDS)
        print_table(
            f"Whole processes, {WAITING} waiting jobs on each side; peer: {slurm.version}",
            ("", "median ms", "least", "most", "CPU ms", "ratio", "goal", "ratio of the least"),
            [
                *_rows(squeue[:2], "<= 2.0", lambda ratio: ratio <= 2.0),
                *_rows(alone, "<= 2.0", lambda ratio: ratio <= 2.0),
                *_rows(busy, "<= 2.0", lambda ratio: ratio <= 2.0),
                *_rows(sacct, "< 1.0", lambda ratio: ratio < 1.0),
                *[[figures.name, *figures.milliseconds(), "", "", ""] for figures in squeue[2:]],
            ],
        )


def _fill(label: str, system: OurDaemon | SlurmPeer, script: Path) -> _Side:
    ids = [system.submit(script) for _ in range(WAITING + (os.cpu_count() or 1))]
    # One from the middle: neither side may profit from an end of its list.
    return _Side(label, system, str(script), str(ids[len(ids) // 2]))


def _squeue(side: _Side) -> Contestant:
    def check(run: ProcessRun) -> None:
        lines = run.stdout.decode().splitlines()
        words = lines[1].split() if len(lines) == 2 else []
        if run.exit_code != 0 or words[:1] != [side.job_id] or words[4:5] != ["PD"]:
            raise BenchmarkFailed(f"squeue of {side.label} does not show job {side.job_id}: {run.describe()}")

    return side.contestant(["squeue", "-j", side.job_id], check)


def _sacct(side: _Side) -> Contestant:
    def check(run: ProcessRun) -> None:
        pattern = rb"PENDING\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\n"
        if run.exit_code != 0 or not re.fullmatch(pattern, run.stdout):
            raise BenchmarkFailed(f"sacct of {side.label} does not know job {side.job_id}: {run.describe()}")

    return side.contestant([*_SACCT, side.job_id], check)


def _sbatch(side: _Side, *, pause: bool = False) -> Contestant:
    """With ``pause`` each comes after what the one before has set going, without it in the midst of that."""

    def check(run: ProcessRun) -> None:
        if run.exit_code != 0 or not re.fullmatch(rb"Submitted batch job \d+\n", run.stdout):
            raise BenchmarkFailed(f"sbatch of {side.label} gives no job id: {run.describe()}")

    contestant = side.contestant(["sbatch", side.script], check)
    if pause:
        return replace(contestant, prepare=lambda: time.sleep(PAUSE_SECONDS))
    return replace(contestant, name=f"{contestant.name}, one after the other")


def _bare(name: str, interpreter: Sequence[str]) -> Contestant:
    return Contestant(name, [*interpreter, "-c", "pass"], dict(os.environ), succeeded)


def _python3() -> str:
    """Whatever a shell would take for python3 outside of any virtual environment."""
    own = f"{os.environ.get('VIRTUAL_ENV', '')}/bin"
    path = ":".join(entry for entry in os.environ.get("PATH", os.defpath).split(":") if entry != own)
    found = shutil.which("python3", path=path)
    if found is None:
        raise BenchmarkFailed("there is no python3 in PATH")
    return found


def _launcher_interpreter(daemon: OurDaemon) -> list[str]:
    line = first_line(daemon.directory / "bin" / "squeue")
    if not line.startswith("#!"):
        raise BenchmarkFailed(f"our squeue names no interpreter: {line!r}")
    return line.removeprefix("#!").split()


def _rows(pair: Sequence[Figures], goal: str, met: Callable[[float], bool]) -> list[list[str]]:
    ours, theirs = pair
    ratio = ours.median / theirs.median
    least = min(ours.seconds) / min(theirs.seconds)  # says more on a machine that others use too
    return [
        [ours.name, *ours.milliseconds(), f"{ratio:.2f}", verdict(goal, met(ratio)), f"{least:.2f}"],
        [theirs.name, *theirs.milliseconds(), "", "", ""],
    ]
