"""Outputs fetched from the minicluster's agent against curl and wget doing the same, on the same disk."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
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
SMALL_FILES = 10_000
SMALL_BYTES = 4096
ROUNDS = 5

_DISK_MB = 4096
_WGET = ("-q", "-P")
_CURL = ("-q", "-s", "-S", "--fail", "--config")


@dataclass(frozen=True)
class _Outputs:
    """The sandbox of a job that has ended: its address, and where it lies on this host."""

    address: SandboxAddress
    path: Path
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum((self.path / name).stat().st_size for name in self.names)

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
    """Print the tables. Raises BenchmarkFailed when a job, a fetch or a peer fails."""
    curl, wget = program("curl"), program("wget")
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
            config = _curl_config(directory, large)
            peers = {"curl, one process": [curl, *_CURL, str(config)]}
            whole = _compare(directory, large, f"One output of {LARGE_BYTES / 1e9:g} GB", 0.95, peers)
            config = _curl_config(directory, small)
            peers = {
                "curl, one after the other": [curl, *_CURL, str(config)],
                "curl --parallel": [curl, "--parallel", "--parallel-max", "8", *_CURL, str(config)],
                "wget": [wget, *_WGET, str(directory / "target"), "-i", str(_wget_list(directory, small))],
            }
            many = _compare(directory, small, f"{SMALL_FILES} outputs of {SMALL_BYTES} bytes", 1.0, peers)
            _resume(directory, [(large, whole, 0.9), (large, whole, 0.99), (small, many, 0.9)])
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


def _compare(
    directory: Path, outputs: _Outputs, title: str, goal: float, peers: Mapping[str, Sequence[str]]
) -> float:
    """Fetch in turn by us and by the peers; returns our seconds. The goal is a speed relative to theirs."""
    ours = Figures("our fetch")
    theirs = {name: Figures(name) for name in peers}
    peaks: list[tuple[float, float]] = []
    for turn in range(-1, ROUNDS):
        for figures in (ours, *theirs.values()):
            target = _empty(directory / "target")
            os.sync()  # so that nobody pays for what the one before has written
            if figures is ours:
                seconds, cpu, peak = _our_fetch(outputs, target)
                peaks.append(peak)
            else:
                seconds, cpu = _peer_fetch(peers[figures.name], target)
                if figures.name == "wget":
                    _named_by_wget(outputs, target)
            outputs.check(target, content=turn < 0)
            if turn >= 0:
                figures.seconds.append(seconds)
                figures.cpu_seconds.append(cpu)
    shutil.rmtree(directory / "target")
    word = f">= {goal}" if goal < 1 else f"> {goal:g}"
    rows = []
    total = outputs.size
    for figures in (ours, *theirs.values()):
        speed = figures.median / ours.median
        mine = figures is ours
        rows.append(
            [
                figures.name,
                *figures.milliseconds(0),
                f"{total / figures.median / 1e6:.0f}",
                f"{len(outputs.names) / figures.median:.0f}",
                f"{figures.cpu_median / total * 1e9:.2f}",
                "" if mine else f"{speed:.2f}",
                "" if mine else verdict(word, speed >= goal if goal < 1 else speed > goal),
            ]
        )
    columns = (
        *("", "median ms", "least", "most", "CPU ms", "MB/s", "files/s", "CPU s/GB"),
        *("our speed to it", "goal"),
    )
    print_table(title, columns, rows)
    highest = max(after for _, after in peaks)
    print(
        f"  peak memory of our process: {highest:.0f} MiB {verdict('< 150', highest < 150)},"
        f" of it before the fetch {max(before for before, _ in peaks):.0f} MiB\n"
    )
    return ours.median


def _resume(directory: Path, cases: Sequence[tuple[_Outputs, float, float]]) -> None:
    """How long a fetch takes that goes on after another one was broken off."""
    rows = []
    for outputs, whole, part in cases:
        figures = Figures("")
        brought = 0
        for _ in range(ROUNDS):
            target = _empty(directory / "target")
            child = _child(outputs, target, str(int(outputs.size * part)))
            outputs.check(target, content=True)
            figures.seconds.append(float(child["seconds"]))
            figures.cpu_seconds.append(float(child["cpu_seconds"]))
            brought = int(child["bytes"])
        rows.append(
            [
                f"{len(outputs.names)} outputs, after {part:.0%}",
                *figures.milliseconds(0),
                f"{brought / 1e6:.1f}",
                f"{figures.median / whole:.2f}",
            ]
        )
    shutil.rmtree(directory / "target")
    columns = ("", "median ms", "least", "most", "CPU ms", "MB fetched", "time to that of a whole fetch")
    print_table("A fetch that goes on after a break", columns, rows)


def _our_fetch(outputs: _Outputs, target: Path) -> tuple[float, float, tuple[float, float]]:
    """Seconds, CPU seconds, and the peak of memory in MiB before and after."""
    figures = _child(outputs, target)
    return figures["seconds"], figures["cpu_seconds"], (figures["peak_mib_before"], figures["peak_mib"])


def _child(outputs: _Outputs, target: Path, *more: str) -> dict[str, float]:
    """The clock runs inside the child: the daemon, whose part this is, has long been started."""
    module = f"{__package__}.fetch_child"
    address = outputs.address
    child = run_process(
        [sys.executable, "-m", module, address.agent_url, address.path, str(target), *more],
        dict(os.environ),
    )
    if child.exit_code != 0:
        raise BenchmarkFailed(f"our fetch: {child.describe()}")
    figures: dict[str, float] = json.loads(child.stdout)
    return figures


def _peer_fetch(argv: Sequence[str], target: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of the whole process, whose start takes some 10 ms."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(target)}
    child = run_process(argv, environment)
    if child.exit_code != 0:
        raise BenchmarkFailed(f"{argv[0]}: {child.describe()}")
    return child.seconds, child.cpu_seconds


def _url(outputs: _Outputs, name: str) -> str:
    virtual = quote(f"{outputs.address.path}/{name}", safe="/")
    return f"{outputs.address.agent_url}/files/download?path={virtual}"


def _wget_list(directory: Path, outputs: _Outputs) -> Path:
    """There is nothing that wget -r could follow: an agent's listings are JSON."""
    path = directory / "wget.list"
    path.write_text("".join(_url(outputs, name) + "\n" for name in outputs.names))
    return path


def _named_by_wget(outputs: _Outputs, target: Path) -> None:
    """Give the files their names; wget takes those of the addresses."""
    for name in outputs.names:
        made = "download?" + _url(outputs, name).partition("?")[2].replace("/", "%2F")
        (target / made).rename(target / name)


def _curl_config(directory: Path, outputs: _Outputs) -> Path:
    path = directory / "curl.conf"
    lines = []
    for name in outputs.names:
        lines.append(f'url = "{_url(outputs, name)}"')
        lines.append(f'output = "{directory / "target" / name}"')
    path.write_text("\n".join(lines) + "\n")
    return path


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory
