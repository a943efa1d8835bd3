"""The daemon with Aurora: submissions end to end, and its memory with 10,000 active jobs."""

from __future__ import annotations

import getpass
import json
import os
import re
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings, embedded_settings
from airavata_mesos_plugin.jobs import JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.provider import Parts
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.service.parts import close_parts, make_parts

from .measure import (
    BenchmarkFailed,
    ProcessRun,
    job_directory,
    print_table,
    run_process,
    verdict,
    wait_until,
)
from .our_daemon import OurDaemon

JOBS = 10_000

SUBMISSIONS = {1: 150, 8: 300, 32: 320}
"""Submitters, and how many jobs they submit together."""

REST_SECONDS = 20.0
MOST_MEGABYTES = 250

SCRIPT = "#!/bin/sh\nexec sleep 3600\n"
_SUBMITTED = re.compile(rb"Submitted batch job (\d+)\n")


def run() -> None:
    """Print two tables. Raises BenchmarkFailed when a job is refused, lost or sent twice."""
    with OurDaemon() as daemon, job_directory() as directory:
        _print_submitters(daemon, directory)
    with job_directory() as directory, OurDaemon(lambda daemon: _accept_all(daemon, directory)) as daemon:
        _print_memory(daemon)


def accept(parts: Parts, settings: ProviderSettings, directory: Path) -> JobRecord:
    """One more job in the ledger, which nobody has sent to a scheduler yet."""
    queue = settings.queue(None)
    request = JobRequest(
        name="benchmark",
        user=getpass.getuser(),
        uid=os.getuid(),
        queue=queue.name,
        working_directory=str(directory),
        resources=Resources(cpus=1, memory_mb=16, disk_mb=64),
        wall_time_seconds=3600,
    )
    return parts.ledger.accept(
        request,
        SCRIPT,
        snapshot=Snapshot(taken_at=time.time()).to_json(),
        cluster=queue.cluster,
        key=lambda job_id, attempt: parts.key(queue.name, job_id, attempt),
        source="sbatch",
    )


def _print_submitters(daemon: OurDaemon, directory: Path) -> None:
    script = directory / "job.sh"
    script.write_text("#!/bin/sh\n#SBATCH -o /dev/null\nexec sleep 3600\n")
    rows = []
    for threads, count in SUBMISSIONS.items():
        begin = time.time()
        seconds, ids = _submit(daemon, script, threads, count)
        wait_until("the scheduler has all jobs", lambda: _pending(daemon.home) == 0, 120, 0.5)
        with closing(_ledger(daemon.home)) as ledger:
            moments = _queued(ledger, min(ids), max(ids))
        if len(moments) != count:
            raise BenchmarkFailed(f"{len(moments)} of {count} submitted jobs came to the scheduler")
        whole = max(moments) - begin
        rows.append([str(threads), str(count), f"{count / seconds:.1f}", f"{count / whole:.1f}"])
    print_table(
        "sbatch, whole processes, until the scheduler has taken the job; submissions per second",
        ("submitters", "jobs", "answered", "with the scheduler"),
        rows,
    )


def _submit(daemon: OurDaemon, script: Path, threads: int, count: int) -> tuple[float, list[int]]:
    """Seconds until the last answer, and the ids, all different."""
    turns = iter(range(count))
    lock = threading.Lock()
    runs: list[ProcessRun] = []

    def work() -> None:
        while True:
            with lock:
                if next(turns, None) is None:
                    return
            run = run_process([daemon.command("sbatch"), str(script)], daemon.environment)
            with lock:
                runs.append(run)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begin
    ids = set()
    for run in runs:
        found = _SUBMITTED.fullmatch(run.stdout)
        if run.exit_code != 0 or found is None:
            raise BenchmarkFailed(f"sbatch gives no job id: {run.describe()}")
        ids.add(int(found[1]))
    if len(ids) != count:
        raise BenchmarkFailed(f"{count} submissions gave {len(ids)} ids")
    return seconds, sorted(ids)


def _accept_all(daemon: OurDaemon, directory: Path) -> None:
    settings = embedded_settings()
    daemon.home.prepare()
    parts = make_parts(settings, daemon.home, SystemClock(), lambda: "http://127.0.0.1:9")
    try:
        with parts.ledger.together():
            for _ in range(JOBS):
                accept(parts, settings, directory)
    finally:
        close_parts(parts)


def _print_memory(daemon: OurDaemon) -> None:
    pid = int(json.loads((daemon.directory / "daemon.log").read_text().splitlines()[0])["pid"])
    wait_until("the scheduler has all jobs", lambda: _pending(daemon.home) == 0, 600, 1.0)
    with closing(_ledger(daemon.home)) as ledger:
        moments = _queued(ledger, 1, JOBS)
    wait_until("the daemon knows every task", lambda: _pending(daemon.home, "task_id = ''") == 0, 300, 1.0)
    if len(moments) != JOBS:
        raise BenchmarkFailed(f"{len(moments)} of {JOBS} accepted jobs came to the scheduler")
    begin, before = time.perf_counter(), cpu_seconds(pid)
    time.sleep(REST_SECONDS)
    share = (cpu_seconds(pid) - before) / (time.perf_counter() - begin)
    rows = [_memory_row("at rest: monitoring only", pid)]
    for _ in range(3):
        listing = run_process([daemon.command("squeue"), "-h"], daemon.environment)
        shown = listing.stdout.count(b"\n")
        if listing.exit_code != 0 or shown != JOBS:
            raise BenchmarkFailed(f"squeue shows {shown} of {JOBS} jobs: {listing.stderr[:300]!r}")
    rows.append(_memory_row("after squeue of all jobs, three times", pid))
    print_table(
        f"The daemon with {JOBS:,} active jobs; at rest it takes {share:.2f} s of CPU per second, with"
        f" {embedded_settings().clusters[0].poll_interval_seconds} s between two rounds;"
        f" it sent {JOBS / (max(moments) - min(moments)):.0f} jobs per second to the scheduler",
        ("", "VmRSS MB", "VmHWM MB", "goal"),
        rows,
    )


def _memory_row(name: str, pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/status").read_text()
    found = {word: int(value) * 1024 / 1e6 for word, value in re.findall(r"(Vm\w+):\s+(\d+) kB", text)}
    highest = found["VmHWM"]
    goal = verdict(f"< {MOST_MEGABYTES}", highest < MOST_MEGABYTES)
    return [name, f"{found['VmRSS']:.0f}", f"{highest:.0f}", goal]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, without its children."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _ledger(home: Home) -> sqlite3.Connection:
    return sqlite3.connect(f"{home.ledger.as_uri()}?mode=ro", uri=True, timeout=30)


def _pending(home: Home, condition: str = "phase IN ('accepted', 'submitting')") -> int:
    """How many jobs meet the condition; raises BenchmarkFailed when a job is over already."""
    with closing(_ledger(home)) as ledger:
        over = ledger.execute(
            "SELECT id, reason FROM jobs WHERE outcome IS NOT NULL OR ended_at > 0"
        ).fetchone()
        if over is not None:
            raise BenchmarkFailed(f"job {over[0]} ended: {over[1]}")
        return int(ledger.execute(f"SELECT count(*) FROM jobs WHERE {condition}").fetchone()[0])


def _queued(ledger: sqlite3.Connection, first: int, last: int) -> list[float]:
    """When the scheduler has taken each of these jobs; one that it took twice is there twice."""
    return [
        float(row[0])
        for row in ledger.execute(
            "SELECT time FROM events WHERE phase = ? AND source = 'aurora' AND job_id BETWEEN ? AND ?"
            " AND native_state = ''",
            (JobPhase.QUEUED.value, first, last),
        )
    ]
