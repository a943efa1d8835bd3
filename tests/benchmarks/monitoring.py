"""One monitoring round over 1,000 active jobs: its calls, its time, and the decoding of the answer."""

from __future__ import annotations

import getpass
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRequest, Resources
from airavata_mesos_plugin.provider import Parts
from airavata_mesos_plugin.provider.gangs import GangDesk
from airavata_mesos_plugin.provider.monitoring import Monitor
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.schedulers.aurora import codec
from airavata_mesos_plugin.schedulers.aurora.client import keys_query
from airavata_mesos_plugin.schedulers.aurora.codec import BINARY, JSON, METHODS, WireProtocol
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Submission
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.service.parts import close_parts, make_parts

from .cluster import document, minicluster
from .measure import BenchmarkFailed, Figures, print_table, verdict

JOBS = 1000
ROUNDS = 15

_STATUS_CALL = "getTasksWithoutConfigs"


def run() -> None:
    """Print two tables. Raises BenchmarkFailed when an answer is wrong or the accelerator is missing."""
    with minicluster() as (directory, settings):
        home = Home(directory / "home")
        home.prepare()
        # Nothing is staged: the jobs are created without the provider's template.
        parts = make_parts(settings, home, SystemClock(), lambda: "http://127.0.0.1:9")
        try:
            cluster = settings.clusters[0].name
            scheduler = parts.schedulers[cluster]
            if not isinstance(scheduler, AuroraScheduler):
                raise BenchmarkFailed(f"the embedded cluster is of kind {scheduler.kind}")
            keys = _submit(parts, settings, directory)
            _rounds(parts, scheduler, cluster, keys)
            _decoding(settings, keys)
        finally:
            close_parts(parts)


def _submit(parts: Parts, settings: ProviderSettings, directory: Path) -> list[JobKey]:
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
    keys = []
    for _ in range(JOBS):
        record = parts.ledger.accept(
            request,
            "#!/bin/sh\n",
            snapshot=Snapshot(taken_at=time.time()).to_json(),
            cluster=queue.cluster,
            key=lambda job_id, attempt: parts.key(queue.name, job_id, attempt),
            source="sbatch",
        )
        parts.ledger.advance(record.id, JobPhase.SUBMITTING, source="provider")
        parts.ledger.advance(record.id, JobPhase.QUEUED, source="aurora")
        keys.append(record.key)
    scheduler = parts.schedulers[queue.cluster]
    for result in scheduler.submit([Submission(key, document(key, "sleep 3600")) for key in keys]):
        if result.error is not None:
            raise BenchmarkFailed(f"{result.key} was not created: {result.error}")
    return keys


def _rounds(parts: Parts, scheduler: AuroraScheduler, cluster: str, keys: Sequence[JobKey]) -> None:
    """Time whole rounds and the poll in them, one after the other."""
    monitor = Monitor(parts, GangDesk(parts))
    first = _timed_round(monitor, parts, cluster)
    whole, poll = Figures("Monitor.round, nothing new"), Figures("of it AuroraScheduler.poll")
    calls: Counter[str] = Counter()
    for turn in range(-2, ROUNDS):
        before = scheduler.client.calls.copy()
        seconds = _timed_round(monitor, parts, cluster)
        calls = scheduler.client.calls - before
        begin = time.perf_counter()
        found = scheduler.poll(keys)
        if len(found) != JOBS:
            raise BenchmarkFailed(f"the poll found {len(found)} of {JOBS} jobs")
        if turn >= 0:
            whole.seconds.append(seconds)
            poll.seconds.append(time.perf_counter() - begin)
    print_table(
        f"One monitoring round over {JOBS} active jobs",
        ("", "median ms", "least", "most"),
        [
            ["the first round (every job's news is written)", f"{first * 1e3:.1f}", "", ""],
            *[[item.name, *_milliseconds(item)] for item in (whole, poll)],
        ],
    )
    print_table(
        "Calls of one round; one cluster, one role",
        ("", "calls", "goal"),
        [
            [name, str(count), verdict("1", count == 1) if name == _STATUS_CALL else "only while jobs wait"]
            for name, count in calls.items()
        ],
    )


def _timed_round(monitor: Monitor, parts: Parts, cluster: str) -> float:
    begin = time.perf_counter()
    monitor.round(cluster)
    seconds = time.perf_counter() - begin
    if parts.views[cluster].trouble:
        raise BenchmarkFailed(f"the round failed: {parts.views[cluster].trouble}")
    return seconds


def _decoding(settings: ProviderSettings, keys: Sequence[JobKey]) -> None:
    """Decode one recorded answer in both protocols in turn."""
    _require_accelerator()
    binary, json = Figures("binary, C accelerator"), Figures("JSON")
    bodies = {figures.name: _record(settings, keys, p) for figures, p in ((binary, BINARY), (json, JSON))}
    states = []
    for turn in range(-2, ROUNDS):
        for figures in (binary, json):
            begin = time.perf_counter()
            response = codec.decode(bodies[figures.name], METHODS[_STATUS_CALL])
            seconds = time.perf_counter() - begin
            states.append(_states(response))
            if turn >= 0:
                figures.seconds.append(seconds)
    if len(states[0]) != JOBS or any(other != states[0] for other in states):
        raise BenchmarkFailed("the two protocols do not say the same of the jobs")
    ratio = binary.median / json.median
    print_table(
        f"Decoding the answer of {_STATUS_CALL} for {JOBS} jobs",
        ("", "bytes", "median ms", "least", "most", "ratio"),
        [
            [binary.name, f"{len(bodies[binary.name]):,}", *_milliseconds(binary), f"{ratio:.3f}"],
            [json.name, f"{len(bodies[json.name]):,}", *_milliseconds(json), ""],
        ],
    )


def _require_accelerator() -> None:
    try:
        from thrift.protocol import fastbinary  # noqa: F401 - only to see whether it can be loaded
    except ImportError as error:
        raise BenchmarkFailed(f"thrift was installed without its C accelerator: {error}") from error


def _record(settings: ProviderSettings, keys: Sequence[JobKey], protocol: WireProtocol) -> bytes:
    method = METHODS[_STATUS_CALL]
    with closing(requests.Session()) as session:
        answer = session.post(
            f"{settings.clusters[0].schedulers[0]}/api",
            data=codec.encode(protocol, method, {"query": keys_query(keys)}),
            headers={"Content-Type": protocol.content_type, "Accept": protocol.accept},
            timeout=60,
        )
    if answer.status_code != 200 or codec.spoken(answer.content) is not protocol:
        raise BenchmarkFailed(f"no {protocol.name} answer from the minicluster: HTTP {answer.status_code}")
    return answer.content


def _states(response: Any) -> dict[str, int]:
    return {task.assignedTask.taskId: task.status for task in response.result.scheduleStatusResult.tasks}


def _milliseconds(figures: Figures) -> list[str]:
    seconds = figures.seconds
    return [f"{value * 1e3:.1f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]
