"""Aurora's calls and the monitoring round with 10,000 active jobs; then what `aurora_daemon` measures."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.gen.aurora.ttypes import TaskQuery
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.provider import Parts
from airavata_mesos_plugin.provider.gangs import GangDesk
from airavata_mesos_plugin.provider.monitoring import Monitor
from airavata_mesos_plugin.schedulers.aurora.codec import METHODS
from airavata_mesos_plugin.schedulers.aurora.conversion import to_thrift
from airavata_mesos_plugin.schedulers.aurora.jobform import parse
from airavata_mesos_plugin.schedulers.aurora.responses import unwrap
from airavata_mesos_plugin.schedulers.aurora.transport import ThriftTransport
from airavata_mesos_plugin.schedulers.base import FixedLeader, Submission
from airavata_mesos_plugin.schedulers.http import build_session
from airavata_mesos_plugin.schedulers.retry import Deadline
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.service.parts import close_parts, make_parts

from . import aurora_daemon
from .aurora_daemon import JOBS, accept, cpu_seconds
from .cluster import document, minicluster
from .measure import BenchmarkFailed, print_table, verdict

CREATES = 500
"""createJob calls of one turn: enough for the kernel's count of CPU time, which moves in steps of 10 ms."""

QUERIES = {"binary": 6, "json": 1}
"""Queries of one turn; those in JSON take seconds."""

TURNS = 4
ROUNDS = 5

CALL_SECONDS = 300.0
MOST_ROUND_SECONDS = 1.0

_ROLE = "benchmark"
_QUERY, _CREATE = METHODS["getTasksWithoutConfigs"], METHODS["createJob"]


@dataclass
class _Spent:
    """Calls of one kind: how many, and the seconds that they took in all."""

    calls: int = 0
    seconds: float = 0.0
    client: float = 0.0
    server: float = 0.0

    def row(self, name: str) -> list[str]:
        each = [f"{value / self.calls * 1e3:.2f}" for value in (self.seconds, self.client, self.server)]
        return [name, str(self.calls), f"{self.calls / self.seconds:.1f}", *each]


@dataclass
class _Way:
    """A protocol, and whether the connection is kept."""

    protocol: str
    kept: bool
    address: str
    session: requests.Session = field(default_factory=build_session)
    query: _Spent = field(default_factory=_Spent)
    create: _Spent = field(default_factory=_Spent)

    def __post_init__(self) -> None:
        if not self.kept:
            self.session.headers["Connection"] = "close"
        self._transport = ThriftTransport(
            FixedLeader([self.address]), self.session, protocol=self.protocol, connect_seconds=30
        )

    @property
    def name(self) -> str:
        return f"{self.protocol}, {'kept alive' if self.kept else 'a fresh connection each'}"

    def call(self, name: str, **arguments: object) -> Any:
        method = METHODS[name]
        deadline = Deadline(SystemClock(), CALL_SECONDS)
        return unwrap(self._transport.call(method, arguments, deadline), method, "the benchmark")

    def check(self) -> None:
        """Raise BenchmarkFailed when the connection is not kept, or not closed, as it should be."""
        before = _open_sockets()
        for _ in range(3):
            self.call("getTierConfigs")
        if _open_sockets() - before != int(self.kept):
            raise BenchmarkFailed(f"{self.name}: {_open_sockets() - before} connections stay open")


def run() -> None:
    """Print the tables. Raises BenchmarkFailed when something does not work or an answer is wrong."""
    with minicluster() as (directory, settings):
        server = int(json.loads((directory / "minicluster.log").read_text().splitlines()[0])["pid"])
        home = Home(directory / "home")
        home.prepare()
        parts = make_parts(settings, home, SystemClock(), lambda: "http://127.0.0.1:9")
        try:
            _create_all(parts, settings, directory)
            _print_calls(settings, server)
            _print_rounds(parts, settings, server)
        finally:
            close_parts(parts)
    aurora_daemon.run()


def _create_all(parts: Parts, settings: ProviderSettings, directory: Path) -> None:
    """10,000 jobs, in the ledger as queued and at the scheduler."""
    with parts.ledger.together():
        records = [accept(parts, settings, directory) for _ in range(JOBS)]
        for record in records:
            parts.ledger.advance(record.id, JobPhase.SUBMITTING, source="provider")
            parts.ledger.advance(record.id, JobPhase.QUEUED, source="aurora")
    scheduler = parts.schedulers[settings.clusters[0].name]
    jobs = [Submission(record.key, document(record.key, "sleep 3600")) for record in records]
    for result in scheduler.submit(jobs):
        if result.error is not None:
            raise BenchmarkFailed(f"{result.key} was not created: {result.error}")


def _print_calls(settings: ProviderSettings, server: int) -> None:
    address = settings.clusters[0].schedulers[0]
    role = settings.queue(None).role
    ways = [_Way(protocol, kept, address) for protocol in ("binary", "json") for kept in (True, False)]
    for way in ways:
        way.check()
    numbers = itertools.count()
    for way in ways:
        _query(way, server, role)
        way.query = _Spent()  # the first one finds nothing prepared on either side
    for turn in range(TURNS):
        for way in _in_order(ways, turn):
            for _ in range(QUERIES[way.protocol]):
                _query(way, server, role)
    idle = cpu_seconds(server)
    time.sleep(3.0)
    idle = (cpu_seconds(server) - idle) / 3.0
    for turn in range(TURNS):
        for way in _in_order(ways, turn):
            _create(way, server, [next(numbers) for _ in range(CREATES)])
    # The acknowledged ones are there, each once.
    found = ways[0].call(_QUERY.name, query=TaskQuery(role=_ROLE)).tasks
    names = {task.assignedTask.task.job.name for task in found}
    created = TURNS * CREATES * len(ways)
    if len(found) != created or len(names) != created:
        raise BenchmarkFailed(
            f"{created} jobs were created; there are {len(found)} tasks of {len(names)} jobs"
        )
    for way in ways:
        way.session.close()
    columns = ("", "calls", "per second", "ms", "client CPU ms", "server CPU ms")
    print_table(
        f"{_QUERY.name} of one role with {JOBS:,} tasks", columns, [way.query.row(way.name) for way in ways]
    )
    print_table(
        f"{_CREATE.name} beside {JOBS:,} active tasks; left alone, the server takes"
        f" {idle * 1e3:.0f} ms of CPU per second",
        columns,
        [way.create.row(way.name) for way in ways],
    )


def _in_order(ways: Sequence[_Way], turn: int) -> Sequence[_Way]:
    """Forwards and backwards in turn, so that none profits from its place."""
    return ways if turn % 2 == 0 else ways[::-1]


def _query(way: _Way, server: int, role: str) -> None:
    query = TaskQuery(role=role)
    found = _spend(way.query, server, 1, lambda: way.call(_QUERY.name, query=query).tasks)
    if len({task.assignedTask.taskId for task in found}) != JOBS or len(found) != JOBS:
        raise BenchmarkFailed(f"{way.name}: the query found {len(found)} of {JOBS} tasks")


def _create(way: _Way, server: int, numbers: Sequence[int]) -> None:
    keys = [JobKey(_ROLE, "prod", f"job-{number}") for number in numbers]
    jobs = [to_thrift(parse(document(key, "sleep 3600")), key, user=_ROLE) for key in keys]

    def create() -> None:
        for job in jobs:
            way.call(_CREATE.name, description=job)

    _spend(way.create, server, len(jobs), create)


def _spend(spent: _Spent, server: int, calls: int, work: Callable[[], Any]) -> Any:
    """The result of ``work``; what it took is added up."""
    there, here, begin = cpu_seconds(server), time.process_time(), time.perf_counter()
    result = work()
    spent.seconds += time.perf_counter() - begin
    spent.client += time.process_time() - here
    spent.server += cpu_seconds(server) - there
    spent.calls += calls
    return result


def _print_rounds(parts: Parts, settings: ProviderSettings, server: int) -> None:
    cluster = settings.clusters[0].name
    monitor = Monitor(parts, GangDesk(parts))
    rows = []
    first, later = _Spent(), []
    for turn in range(ROUNDS + 2):
        spent = _Spent() if turn else first
        _spend(spent, server, 1, lambda: monitor.round(cluster))
        if parts.views[cluster].trouble:
            raise BenchmarkFailed(f"the round failed: {parts.views[cluster].trouble}")
        if turn > 1:
            later.append(spent)
    told = [record for record in parts.ledger.active(cluster) if record.task_id]
    if len(told) != JOBS:
        raise BenchmarkFailed(f"after the rounds the ledger knows the tasks of {len(told)} of {JOBS} jobs")
    median = statistics.median(spent.client for spent in later)
    for name, chosen in (("the first: every job's news is written", [first]), ("nothing new", later)):
        figures = [
            [spent.seconds for spent in chosen],
            [spent.client for spent in chosen],
            [spent.server for spent in chosen],
        ]
        rows.append([name, *(f"{statistics.median(values):.2f}" for values in figures)])
        rows[-1].append(
            verdict(f"< {MOST_ROUND_SECONDS:.0f} s", median < MOST_ROUND_SECONDS) if len(rows) > 1 else ""
        )
    print_table(
        f"Monitor.round over {JOBS:,} active jobs, median of {ROUNDS}",
        ("", "s", "CPU s", "server CPU s", "goal of the CPU"),
        rows,
    )


def _open_sockets() -> int:
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except OSError:  # the listing's own descriptor
            continue
    return count
