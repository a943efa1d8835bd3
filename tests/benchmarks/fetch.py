"""Outputs fetched from the minicluster's agent against curl doing the same, from and to the same disk."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import SandboxAddress, Submission

from .cluster import document, minicluster
from .measure import BenchmarkFailed, Figures, print_table, program, run_process, verdict, wait_until

LARGE_BYTES = 1_000_000_000
SMALL_FILES = 5000
SMALL_BYTES = 4096
ROUNDS = 5

_DISK_MB = 4096


@dataclass(frozen=True)
class _Outputs:
    """The sandbox of a job that has ended: its address, and where it lies on this host."""

    address: SandboxAddress
    path: Path
    names: tuple[str, ...]

    def check(self, directory: Path, *, content: bool) -> None:
        """Raise BenchmarkFailed unless ``directory`` holds these files and nothing else."""
        there = {entry.name: entry.stat().st_size for entry in os.scandir(directory)}
        wanted = {name: (self.path / name).stat().st_size for name in self.names}
        if there != wanted:
            raise BenchmarkFailed(f"{len(there)} files in {directory} are not the {len(wanted)} of the job")
        if content:
            _, different, unreadable = filecmp.cmpfiles(self.path, directory, self.names, shallow=False)
            if different or unreadable:
                raise BenchmarkFailed(f"{len(different) + len(unreadable)} files differ from the job's")


def run() -> None:
    """Print two tables. Raises BenchmarkFailed when a job, a fetch or curl fails."""
    curl = program("curl")
    with minicluster() as (directory, settings):
        scheduler = AuroraScheduler(settings.clusters[0], SystemClock())
        try:
            sandboxes = directory / "cluster"
            names = ("large.bin",)
            large = _produce(scheduler, sandboxes, f"head -c {LARGE_BYTES} /dev/urandom > large.bin", names)
            small = _produce(
                scheduler,
                sandboxes,
                f"head -c {SMALL_FILES * SMALL_BYTES} /dev/urandom | split -b {SMALL_BYTES} -a 4 -d - out-",
                tuple(f"out-{number:04}" for number in range(SMALL_FILES)),
            )
            _compare(curl, directory, large, f"One output of {LARGE_BYTES / 1e9:g} GB", 0.9)
            _compare(curl, directory, small, f"{SMALL_FILES} outputs of {SMALL_BYTES} bytes", 1.0)
        finally:
            scheduler.close()


def _produce(scheduler: AuroraScheduler, sandboxes: Path, command: str, names: Sequence[str]) -> _Outputs:
    """Run a job whose sandbox then holds the files ``names``."""
    key = JobKey("airavata", "prod", f"benchmark-{time.time_ns()}")
    (result,) = scheduler.submit([Submission(key, document(key, command, _DISK_MB))])
    if result.error is not None:
        raise BenchmarkFailed(f"the job that writes outputs was not created: {result.error}")

    def ended() -> bool:
        task = scheduler.poll([key]).get(key)
        if task is not None and task.phase.final and task.native_state != "FINISHED":
            raise BenchmarkFailed(f"the job that writes outputs ended as {task.native_state}: {task.message}")
        return task is not None and task.native_state == "FINISHED"

    wait_until("the job that writes outputs has ended", ended, 120)
    address = scheduler.sandboxes([scheduler.poll([key])[key]])[key]
    found = [path.parent for path in sandboxes.rglob(names[0]) if "latest" not in path.parts]
    if len(found) != 1:
        raise BenchmarkFailed(f"{names[0]} was found {len(found)} times below {sandboxes}")
    return _Outputs(address, found[0], tuple(names))


def _compare(curl: str, directory: Path, outputs: _Outputs, title: str, goal: float) -> None:
    """Fetch in turn by us and by curl. The goal is a speed relative to curl's."""
    ours, theirs = Figures("our fetch"), Figures("curl, one process, kept-alive")
    config = _curl_config(directory, outputs)
    peaks: list[tuple[float, float]] = []
    total = sum((outputs.path / name).stat().st_size for name in outputs.names)
    for turn in range(-1, ROUNDS):
        for figures in (ours, theirs):
            target = _empty(directory / "target")
            os.sync()  # so that nobody pays for what the one before has written
            if figures is ours:
                seconds, cpu, peak = _our_fetch(outputs, target)
                peaks.append(peak)
            else:
                seconds, cpu = _curl_fetch(curl, config, target)
            outputs.check(target, content=turn < 0)
            if turn >= 0:
                figures.seconds.append(seconds)
                figures.cpu_seconds.append(cpu)
    shutil.rmtree(directory / "target")
    speed = theirs.median / ours.median
    word = f">= {goal}" if goal < 1 else f"> {goal:g}"
    rows = []
    for figures in (ours, theirs):
        mine = figures is ours
        rows.append(
            [
                figures.name,
                *figures.milliseconds(0),
                f"{total / figures.median / 1e6:.0f}",
                f"{len(outputs.names) / figures.median:.0f}",
                f"{figures.cpu_median / total * 1e9:.2f}",
                f"{speed:.2f}" if mine else "",
                verdict(word, speed >= goal if goal < 1 else speed > goal) if mine else "",
            ]
        )
    columns = (
        "",
        "median ms",
        "least",
        "most",
        "CPU ms",
        "MB/s",
        "files/s",
        "CPU s/GB",
        "speed ratio",
        "goal",
    )
    print_table(title, columns, rows)
    print(
        f"  peak memory of our process: {max(peak for _, peak in peaks):.0f} MiB,"
        f" of it before the fetch {max(before for before, _ in peaks):.0f} MiB\n"
    )


def _our_fetch(outputs: _Outputs, target: Path) -> tuple[float, float, tuple[float, float]]:
    """Seconds, CPU seconds, and the peak of memory in MiB before and after.

    The clock runs inside the child: the daemon, whose part this is, has long been started.
    """
    module = f"{__package__}.fetch_child"
    child = run_process(
        [sys.executable, "-m", module, outputs.address.agent_url, outputs.address.path, str(target)],
        dict(os.environ),
    )
    if child.exit_code != 0:
        raise BenchmarkFailed(f"our fetch: {child.describe()}")
    figures = json.loads(child.stdout)
    return figures["seconds"], figures["cpu_seconds"], (figures["peak_mib_before"], figures["peak_mib"])


def _curl_fetch(curl: str, config: Path, target: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of the whole process, whose start takes some 10 ms."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(target)}
    child = run_process([curl, "-q", "-s", "-S", "--fail", "--config", str(config)], environment)
    if child.exit_code != 0:
        raise BenchmarkFailed(f"curl: {child.describe()}")
    return child.seconds, child.cpu_seconds


def _curl_config(directory: Path, outputs: _Outputs) -> Path:
    path = directory / "curl.conf"
    lines = []
    for name in outputs.names:
        virtual = quote(f"{outputs.address.path}/{name}", safe="/")
        lines.append(f'url = "{outputs.address.agent_url}/files/download?path={virtual}"')
        lines.append(f'output = "{directory / "target" / name}"')
    path.write_text("\n".join(lines) + "\n")
    return path


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory
