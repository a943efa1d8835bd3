"""Outputs fetched through SFTP against the program sftp doing the same, from one real sshd, to one disk."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.ssh_agents import agents_sshd

from .measure import BenchmarkFailed, Figures, print_table, program, run_process, verdict

LARGE_BYTES = 1_000_000_000
SMALL_FILES = 5000
SMALL_BYTES = 4096
ROUNDS = 5


def run() -> None:
    """Print two tables. Raises BenchmarkFailed when a fetch or sftp fails."""
    sftp = program("sftp")
    with tempfile.TemporaryDirectory(prefix="bench-sftp-") as name:
        directory = Path(name)
        large, small = directory / "large", directory / "small"
        for sandbox in (large, small):
            sandbox.mkdir()
        _random(large / "large.bin", LARGE_BYTES)
        for number in range(SMALL_FILES):
            (small / f"out-{number:04}").write_bytes(os.urandom(SMALL_BYTES))
        with agents_sshd(directory / "sshd") as settings:
            _compare(sftp, settings, large, f"One output of {LARGE_BYTES / 1e9:g} GB through SFTP", 0.9)
            _compare(sftp, settings, small, f"{SMALL_FILES} outputs of {SMALL_BYTES} bytes through SFTP", 0.9)


def _random(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // 1_000_000):
            file.write(os.urandom(1_000_000))


def _compare(sftp: str, settings: Mapping[str, object], sandbox: Path, title: str, goal: float) -> None:
    """Fetch in turn by us and by sftp. The goal is a speed relative to sftp's."""
    ours, theirs = Figures("our fetch"), Figures("sftp, one connection")
    target = sandbox.parent / "target"
    total = sum(path.stat().st_size for path in sandbox.iterdir())
    number = sum(1 for _ in sandbox.iterdir())
    peak = 0.0
    for turn in range(-1, ROUNDS):
        for figures in (ours, theirs):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            os.sync()  # so that nobody pays for what the one before has written
            if figures is ours:
                found = _our_fetch(settings, sandbox, target)
                seconds, cpu = found["seconds"], found["cpu_seconds"]
                peak = max(peak, found["peak_mib"])
            else:
                seconds, cpu = _their_fetch(sftp, settings, sandbox, target)
            _check(sandbox, target, content=turn < 0)
            if turn >= 0:
                figures.seconds.append(seconds)
                figures.cpu_seconds.append(cpu)
    speed = theirs.median / ours.median
    rows = [
        [
            figures.name,
            *figures.milliseconds(0),
            f"{total / figures.median / 1e6:.0f}",
            f"{number / figures.median:.0f}",
            f"{figures.cpu_median / total * 1e9:.2f}",
            f"{speed:.2f}" if figures is ours else "",
            verdict(f">= {goal}", speed >= goal) if figures is ours else "",
        ]
        for figures in (ours, theirs)
    ]
    columns = (
        *("", "median ms", "least", "most", "CPU ms", "MB/s", "files/s", "CPU s/GB"),
        *("our speed to it", "goal"),
    )
    print_table(title, columns, rows)
    print(f"  peak memory of our process: {peak:.0f} MiB {verdict('< 150', peak < 150)}\n")


def _check(sandbox: Path, target: Path, *, content: bool) -> None:
    names = sorted(path.name for path in sandbox.iterdir())
    if sorted(path.name for path in target.iterdir()) != names:
        raise BenchmarkFailed(f"the files in {target} are not those of the sandbox")
    _, different, unreadable = filecmp.cmpfiles(sandbox, target, names, shallow=not content)
    if content and (different or unreadable):
        raise BenchmarkFailed(f"{len(different) + len(unreadable)} files differ from the sandbox's")


def _our_fetch(settings: Mapping[str, object], sandbox: Path, target: Path) -> dict[str, float]:
    """The clock runs inside the child: the daemon, whose part this is, has long been started."""
    order = target.parent / "order"
    order.write_text(json.dumps({"sftp": settings, "sandbox": str(sandbox), "target": str(target)}))
    child = run_process([sys.executable, "-m", f"{__package__}.sftp_child", str(order)], dict(os.environ))
    if child.exit_code != 0:
        raise BenchmarkFailed(f"our fetch: {child.describe()}")
    figures: dict[str, float] = json.loads(child.stdout)
    return figures


def _their_fetch(
    sftp: str, settings: Mapping[str, object], sandbox: Path, target: Path
) -> tuple[float, float]:
    """Seconds and CPU seconds of the whole process and of ssh below it, less those of the log-in."""
    options = {
        "BatchMode": "yes",
        "IdentityFile": settings["key"],
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": settings["known_hosts"],
        "GlobalKnownHostsFile": "/dev/null",
    }
    arguments = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    place = f"{settings['user']}@127.0.0.1"
    argv = [sftp, "-q", "-F", "/dev/null", *arguments, "-P", str(settings["port"])]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(target.parent)}
    nothing = run_process([*argv, f"{place}:{sandbox}/none"], environment)
    child = run_process([*argv, f"{place}:{sandbox}/*", str(target)], environment)
    if child.exit_code != 0:
        raise BenchmarkFailed(f"sftp: {child.describe()}")
    return child.seconds - nothing.seconds, child.cpu_seconds - nothing.cpu_seconds
