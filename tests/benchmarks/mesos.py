"""The framework on real Mesos, beside a minimal scheduler on pymesos' own connection.

1,000 tasks of one second on five agents, in the same run. Then the framework alone: what 5,000 known tasks
cost, and how long it takes after the election of another master to know of every task again.
"""

from __future__ import annotations

import getpass
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.base import Submission
from tests.realmesos.build import build
from tests.realmesos.cluster import RealMesosCluster
from tests.support.mesos_framework import Gateway, document, gateway

from .measure import BenchmarkFailed, print_table, verdict, wait_until
from .pymesos_peer import Peer

TASKS = 1000
AGENTS = 5
CPUS = 0.4  # of one task; each agent runs 20 at once
KNOWN = 5000
RESOURCES = "cpus:8;mem:8192;disk:8192;ports:[31000-31999]"
COMMAND = "sleep 1"
LONGEST_SECONDS = 1200.0


@contextmanager
def _cluster(**options: Any) -> Iterator[tuple[RealMesosCluster, Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-mesos-") as name,
        RealMesosCluster(Path(name) / "mesos", build(), resources=RESOURCES, **options) as cluster,
    ):
        yield cluster, Path(name)


def run() -> None:
    """Raises BenchmarkFailed when a task is lost or ends otherwise than it should."""
    with _cluster(agents=AGENTS) as (cluster, directory):
        ours = _timed(lambda: _ours(cluster, directory))
        peer = _timed(lambda: _peer(cluster))
    print_table(
        f"{TASKS} tasks of 1 s on {AGENTS} agents",
        ["", "seconds", "tasks/s", "CPU s"],
        [_row("this framework", ours), _row("minimal scheduler on pymesos", peer)],
    )
    print(verdict("goal: no slower, within a tenth:", ours[0] <= peer[0] * 1.1), "\n")
    _known()
    _failover()


def _timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of this process' CPU."""
    cpu, begin = time.process_time(), time.monotonic()
    action()
    return time.monotonic() - begin, time.process_time() - cpu


def _row(name: str, figures: tuple[float, float]) -> list[str]:
    seconds, cpu = figures
    return [name, f"{seconds:.1f}", f"{TASKS / seconds:.1f}", f"{cpu:.2f}"]


def _ours(cluster: RealMesosCluster, directory: Path) -> None:
    with gateway(directory, cluster) as own:
        keys = [JobKey("www", "prod", f"task-{number}") for number in range(TASKS)]
        _submit(own, keys, COMMAND)
        wait_until("all tasks over", lambda: _over(own, keys) == len(keys), LONGEST_SECONDS, pause=1.0)
        states = {seen.native_state for seen in own.scheduler.poll(keys).values()}
        if states != {"TASK_FINISHED"}:
            raise BenchmarkFailed(f"tasks ended as {states}")


def _submit(own: Gateway, keys: list[JobKey], command: str, cpus: float = CPUS) -> None:
    own.scheduler.submit([Submission(key, document(key, command, cpus=cpus)) for key in keys])


def _over(own: Gateway, keys: list[JobKey]) -> int:
    return sum(seen.phase.final for seen in own.scheduler.poll(keys).values())


def _peer(cluster: RealMesosCluster) -> None:
    peer = Peer(cluster.masters[0].address, getpass.getuser(), TASKS, CPUS, COMMAND)
    if not peer.run(LONGEST_SECONDS):
        raise BenchmarkFailed("the scheduler on pymesos did not come to an end")


def _known() -> None:
    """What waiting and known tasks cost the process; no more agents than one are needed for that."""
    with _cluster(agents=1) as (cluster, directory), gateway(directory, cluster) as own:
        own.ended(own.submit("true"))
        before = _resident()
        keys = [JobKey("www", "prod", f"waits-{number}") for number in range(KNOWN)]
        submitting, _ = _timed(lambda: _submit(own, keys, "true", cpus=1000))
        after = _resident()
        idle = threading.Event()
        _, cpu = _timed(lambda: idle.wait(10))
        poll, _ = _timed(lambda: own.scheduler.poll(keys))
    print_table(
        f"{KNOWN} known tasks",
        ["", ""],
        [
            ["submitting them", f"{submitting:.2f} s"],
            ["memory", f"{after - before:.0f} MiB"],
            ["CPU while nothing happens", f"{cpu * 10:.1f} %"],
            ["asking for all of them", f"{poll * 1e3:.0f} ms"],
        ],
    )


def _failover() -> None:
    """From the election of a master until every task has been heard of from it."""
    with _cluster(masters=3, agents=2, zookeeper=True) as (cluster, directory):
        cluster.replicated()
        keeper = {"hosts": [cluster.zookeeper_address], "mesos_path": "/mesos", "aurora_path": None}
        with gateway(directory, cluster, {"mesos_masters": [], "zookeeper": keeper}) as own:
            keys = [own.submit("sleep 600", cpus=0.1) for _ in range(40)]
            for key in keys:
                own.running(key)
            cluster.leader().kill()
            wait_until("noticed", lambda: not own.scheduler.check()[-1].ok, 60)
            cluster.leader()  # waits for the next one; how long that takes is ZooKeeper's doing
            begin = time.monotonic()
            wait_until("subscribed", lambda: own.scheduler.check()[-1].ok, 120)
            subscribed = time.monotonic() - begin
            wait_until("everything known", lambda: own.scheduler.unanswered() == 0, 120)
            known = time.monotonic() - begin
    print(f"after an election: subscribed in {subscribed:.1f} s, all 40 tasks known in {known:.1f} s\n")


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
