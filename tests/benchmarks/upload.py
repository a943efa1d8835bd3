"""A tree of inputs into a sandbox: our daemon and the stage-in command against tar through ssh.

Both end on the same disk; the server of the peer is Debian's sshd on loopback.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airavata_mesos_plugin.sandbox.tickets import Tickets
from airavata_mesos_plugin.templating import JobContext, TemplateLibrary
from tests.contract.ssh_host import SshHost, ssh_host
from tests.integration.inputs.road import Hole, Road

from .measure import (
    BenchmarkFailed,
    Figures,
    ProcessRun,
    print_table,
    program,
    run_process,
    succeeded,
    verdict,
)
from .our_daemon import OurDaemon

FILES = 20_000
DIRECTORIES = 200
TOTAL_BYTES = 1_000_000_000
ROUNDS = 3
BREAK = 0.9
GOAL_MEMORY_MIB = 150

_LATER = 4e9


def run() -> None:
    """Print two tables. Raises BenchmarkFailed when a transfer fails."""
    with TemporaryDirectory(prefix="bench-upload-") as name, OurDaemon() as daemon:
        directory = Path(name)
        source = directory / "inputs"
        _make_tree(source)
        with ssh_host(directory / "ssh") as host:
            _compare(directory, source, daemon, host)
        _break_off(directory, daemon)


def _make_tree(source: Path) -> None:
    block = os.urandom(TOTAL_BYTES // FILES)
    for number in range(FILES):
        path = source / f"d{number % DIRECTORIES:03}" / f"input-{number:05}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") + block[4:])


def _compare(directory: Path, source: Path, daemon: OurDaemon, host: SshHost) -> None:
    before = _memory_mib(daemon)
    command = _stage_in(daemon, _submit(directory, source, daemon))
    ours, theirs = Figures("stage-in over HTTP, with digest"), Figures("tar | ssh tar")
    daemon_cpu = []
    target = directory / "target"
    for turn in range(-1, ROUNDS):
        for figures in (ours, theirs):
            _empty(target)
            os.sync()  # so that nobody pays for what the one before has written
            cpu = _cpu_seconds(daemon)
            done = _bash(command if figures is ours else _tar_through_ssh(source, target, host), target)
            if figures is ours:
                shutil.rmtree(target / ".airavata-mesos")
            _check(source, target, content=turn < 0)
            if turn >= 0:
                figures.seconds.append(done.seconds)
                figures.cpu_seconds.append(done.cpu_seconds)
                if figures is ours:
                    daemon_cpu.append(_cpu_seconds(daemon) - cpu)
    speed = theirs.median / ours.median
    rows = []
    for figures in (ours, theirs):
        mine = figures is ours
        rows.append(
            [
                figures.name,
                *figures.milliseconds(0),
                f"{sorted(daemon_cpu)[len(daemon_cpu) // 2] * 1e3:.0f}" if mine else "",
                f"{TOTAL_BYTES / figures.median / 1e6:.0f}",
                f"{FILES / figures.median:.0f}",
                f"{speed:.2f}" if mine else "",
            ]
        )
    print_table(
        f"{FILES} inputs of {TOTAL_BYTES / 1e9:g} GB in all, into a sandbox",
        (
            "",
            "median ms",
            "least",
            "most",
            "client CPU ms",
            "daemon CPU ms",
            "MB/s",
            "files/s",
            "speed ratio",
        ),
        rows,
    )
    peak = _memory_mib(daemon)
    print(
        f"  peak memory of the daemon: {peak:.0f} MiB, of it before the submission {before:.0f} MiB;"
        f" goal {verdict(f'< {GOAL_MEMORY_MIB} MiB', peak < GOAL_MEMORY_MIB)}\n"
    )


def _break_off(directory: Path, daemon: OurDaemon) -> None:
    """A connection that breaks when nine tenths have come: what is left then, beside the whole."""
    source, target = directory / "large", directory / "target"
    source.mkdir()
    with (source / "input").open("wb") as file:
        for _ in range(10):
            file.write(os.urandom(TOTAL_BYTES // 10))
    job_id = _submit(directory, source, daemon)
    rest, whole = Figures(f"the rest, after a break at {BREAK:.0%}"), Figures("everything, without a break")
    for turn in range(-1, ROUNDS):
        for figures in (rest, whole):
            _empty(target)
            os.sync()
            with closing(Road(_base_url(daemon))) as road:
                if figures is rest:
                    road.holes.append(Hole(cut_at=int(BREAK * TOTAL_BYTES)))
                begin = time.monotonic()
                _bash(_stage_in(daemon, job_id, road.url), target)
                seconds = time.monotonic() - (road.cuts[0] if figures is rest else begin)
                if len(road.requests) != (2 if figures is rest else 1):
                    raise BenchmarkFailed(f"the inputs were asked for {len(road.requests)} times")
            shutil.rmtree(target / ".airavata-mesos")
            _check(source, target, content=turn < 0)
            if turn >= 0:
                figures.seconds.append(seconds)
    print_table(
        f"One input of {TOTAL_BYTES / 1e9:g} GB through a relay",
        ("", "median ms", "least", "most", "ratio"),
        [
            [rest.name, *_milliseconds(rest), f"{rest.median / whole.median:.2f}"],
            [whole.name, *_milliseconds(whole), ""],
        ],
    )


def _milliseconds(figures: Figures) -> list[str]:
    values = (figures.median, min(figures.seconds), max(figures.seconds))
    return [f"{value * 1e3:.0f}" for value in values]


def _submit(directory: Path, source: Path, daemon: OurDaemon) -> int:
    """A job that is held: it is in the ledger with its inputs, and nobody but us fetches them."""
    script = directory / "job.slurm"
    script.write_text("#!/bin/sh\n#SBATCH --hold\ntrue\n")
    before = Path.cwd()
    os.chdir(source)
    try:
        return daemon.submit(script)
    finally:
        os.chdir(before)


def _base_url(daemon: OurDaemon) -> str:
    return f"http://127.0.0.1:{daemon.home.staging_port.read_text().strip()}"


def _stage_in(daemon: OurDaemon, job_id: int, base_url: str = "") -> str:
    """The command as it stands in the job configuration, with an address that is as good as the job's own."""
    ticket = Tickets.open(daemon.home.secret).issue(job_id, 1, _LATER)
    url = f"{base_url or _base_url(daemon)}/inputs/{ticket}"
    context = JobContext(
        cluster="c",
        role="airavata",
        environment="prod",
        name="n",
        tier="preemptible",
        priority=0,
        max_task_failures=1,
        constraints={},
        metadata={},
        cpus=1,
        ram_bytes=1 << 30,
        disk_bytes=1 << 30,
        gpus=0,
        finalization_wait=30,
        inputs_url=url,
    )
    task: Any = TemplateLibrary().render_job("aurora", "serial", context)["task"]
    return str(task["processes"][0]["cmdline"])


def _tar_through_ssh(source: Path, target: Path, host: SshHost) -> str:
    known = source.parent / "known_hosts"
    known.write_text(host.known_hosts)
    options = ["-F", "/dev/null", "-i", str(host.identity), "-p", str(host.port), "-o", "BatchMode=yes"]
    ssh = [program("ssh"), *options, "-o", f"UserKnownHostsFile={known}", f"{host.user}@127.0.0.1"]
    remote = f"tar --extract --file=- --directory={shlex.quote(str(target))}"
    return (
        f"set -o pipefail; tar --create --file=- --directory={shlex.quote(str(source))} ."
        f" | {shlex.join(ssh)} {shlex.quote(remote)}"
    )


def _bash(command: str, directory: Path) -> ProcessRun:
    run = run_process(
        [program("bash"), "-c", f"cd {shlex.quote(str(directory))} || exit\n{command}"], os.environ
    )
    succeeded(run)
    return run


def _check(source: Path, target: Path, *, content: bool) -> None:
    """Raise BenchmarkFailed unless the target holds what the source does and nothing else."""
    wanted, there = _sizes(source), _sizes(target)
    if wanted != there:
        raise BenchmarkFailed(f"{len(there)} files in {target} are not the {len(wanted)} inputs")
    if content and any((source / name).read_bytes() != (target / name).read_bytes() for name in wanted):
        raise BenchmarkFailed("a file in the sandbox differs from the input")


def _sizes(directory: Path) -> dict[str, int]:
    return {str(p.relative_to(directory)): p.stat().st_size for p in directory.rglob("*") if p.is_file()}


def _empty(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()


def _pid(daemon: OurDaemon) -> int:
    for line in (daemon.directory / "daemon.log").read_text().splitlines():
        if '"socket"' in line:
            return int(json.loads(line)["pid"])
    raise BenchmarkFailed("the daemon did not tell its process id")


def _memory_mib(daemon: OurDaemon) -> float:
    """Most memory of the daemon so far."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{_pid(daemon)}/status").read_text(), re.MULTILINE)
    if found is None:
        raise BenchmarkFailed("the kernel does not tell the memory of the daemon")
    return int(found[1]) / 1024


def _cpu_seconds(daemon: OurDaemon) -> float:
    fields = Path(f"/proc/{_pid(daemon)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
