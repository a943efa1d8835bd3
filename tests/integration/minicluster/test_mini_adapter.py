"""The adapter for Mesos on a minicluster whose parts fail."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.discovery import find_leaders
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.minicluster.faults import Fault, Kind
from airavata_mesos_plugin.minicluster.probe import get
from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.minicluster.settings import ClusterSettings as MiniSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from airavata_mesos_plugin.schedulers.base import Submission, TaskObservation
from airavata_mesos_plugin.schedulers.mesos.scheduler import MesosScheduler
from airavata_mesos_plugin.store import Ledger
from tests.support.waiting import wait_for
from tests.support.zookeeper import ensemble

AGENT = AgentSettings(host="127.0.0.1", cpus=4, memory_mb=4096, disk_mb=8192)


class Road:
    """A cluster, the adapter on it, and jobs that wait for a file."""

    def __init__(self, directory: Path, cluster: ThreadedCluster, settings: ClusterSettings) -> None:
        self.directory = directory
        self.cluster = cluster
        self._settings = settings
        self._begin("ledger.sqlite")

    def _begin(self, ledger: str) -> None:
        clock = SystemClock()
        self._ledger = Ledger(self.directory / ledger, clock)
        masters = find_leaders(self._settings, clock)[1]
        self.scheduler = MesosScheduler(self._settings, clock, self._ledger.notes("c"), leader=masters)

    def close(self) -> None:
        self.scheduler.close()
        self._ledger.close()

    def begin_again(self, ledger: str) -> None:
        """Another adapter, and what is in that ledger."""
        self.close()
        self._begin(ledger)

    def submit(self, name: str) -> JobKey:
        """A job that ends well when `go` says so."""
        key = JobKey("www", "prod", name)
        wait = f"echo run >>{self._runs(name)}; until [ -e {self._go(name)} ]; do sleep 0.05; done"
        document = {
            "role": key.role,
            "environment": key.environment,
            "name": key.name,
            "tasks": [
                {
                    "user": getpass.getuser(),
                    "arguments": ["/bin/sh", "-c", wait],
                    "resources": {"cpus": 1, "mem": 32, "disk": 32},
                }
            ],
        }
        (result,) = self.scheduler.submit([Submission(key, document)])
        assert result.error is None
        return key

    def _go(self, name: str) -> Path:
        return self.directory / f"{name}.go"

    def _runs(self, name: str) -> Path:
        return self.directory / f"{name}.runs"

    def go(self, key: JobKey) -> None:
        self._go(key.name).touch()

    def comes_to(self, key: JobKey, *phases: JobPhase) -> TaskObservation:
        found = wait_for(
            lambda: self.scheduler.poll([key]).get(key),
            lambda seen: seen is not None and seen.phase in phases,
            f"in {phases}",
        )
        assert found is not None
        return found

    def runs_to_its_end(self, key: JobKey) -> None:
        """And did so once."""
        self.comes_to(key, JobPhase.RUNNING, JobPhase.COMPLETED)
        self.go(key)
        seen = self.comes_to(key, JobPhase.COMPLETED, JobPhase.FAILED, JobPhase.LOST)
        assert seen.phase is JobPhase.COMPLETED, seen
        assert self._runs(key.name).read_text() == "run\n"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Road]]:
    made: list[Road] = []

    def road(own: dict[str, Any] | None = None, zookeeper: str = "", **settings: Any) -> Road:
        members = {"agents": (AGENT,), "agent_reregistration": 0.1, "zookeeper": zookeeper, **settings}
        cluster = ThreadedCluster(MiniSettings(tmp_path / "cluster", **members)).__enter__()
        where: dict[str, Any] = {"mesos_masters": cluster.master_urls}
        if zookeeper:
            keeper = {"hosts": [zookeeper], "mesos_path": settings["mesos_path"], "aurora_path": None}
            where = {"zookeeper": keeper}
        checked = {"name": "c", "kind": "mesos", "mesos": own or {}, "call_timeout_seconds": 60, **where}
        made.append(Road(tmp_path, cluster, ClusterSettings.model_validate(checked)))
        return made[-1]

    yield road
    for one in made:
        one.close()
        one.cluster.__exit__(None, None, None)


def test_another_master_leads_while_a_job_runs(make: Callable[..., Road]) -> None:
    road = make(masters=2)
    key = road.submit("runs")
    road.comes_to(key, JobPhase.RUNNING)
    road.cluster.fail_over_master()
    waits = road.submit("waits")
    road.runs_to_its_end(key)
    road.runs_to_its_end(waits)


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ensemble(tmp_path_factory.mktemp("zookeeper")) as servers:
        yield servers[0].address


def test_the_leader_is_found_in_zookeeper(make: Callable[..., Road], zookeeper: str) -> None:
    road = make(masters=2, zookeeper=zookeeper, mesos_path="/found", zk_session_timeout=60.0)
    key = road.submit("runs")
    road.comes_to(key, JobPhase.RUNNING)
    before = road.scheduler.framework_id
    road.cluster.fail_over_master()
    wait_for(lambda: registered(road.cluster.master_urls[1]), lambda ids: before in ids, "with the other")
    road.runs_to_its_end(key)


def test_masters_are_announced_in_the_order_in_which_they_lead(
    make: Callable[..., Road], zookeeper: str
) -> None:
    road = make(masters=2, zookeeper=zookeeper, mesos_path="/again", zk_session_timeout=60.0)
    client = KazooClient(zookeeper)
    client.start(timeout=60)
    try:

        def announced() -> list[tuple[str, str]]:
            try:
                names = sorted(client.get_children("/again"))
                return [(name, json.loads(client.get(f"/again/{name}")[0])["pid"]) for name in names]
            except NoNodeError:  # gone in between
                return []

        before = announced()
        assert [pid.partition("@")[2] for _, pid in before] == [
            url.removeprefix("http://") for url in road.cluster.master_urls
        ]
        road.cluster.expire_masters()
        after = wait_for(announced, lambda now: len(now) == 2 and now != before, "announced again")
        assert [pid for _, pid in after] == [pid for _, pid in before]
        road.cluster.fail_over_master()
        assert [pid for _, pid in announced()] == [pid for _, pid in reversed(before)]
    finally:
        client.stop()
        client.close()


def registered(master_url: str) -> list[str]:
    """The frameworks that are connected to a master."""
    answer = get(master_url, "/frameworks")
    found = answer.json()["frameworks"] if answer.status == 200 else []
    return [one["id"] for one in found if one["connected"]]


def test_a_framework_is_taken_over_when_the_ledger_is_lost(make: Callable[..., Road]) -> None:
    road = make()
    key = road.submit("runs")
    road.comes_to(key, JobPhase.RUNNING)
    before = road.scheduler.framework_id
    road.begin_again("another.sqlite")
    wait_for(lambda: registered(road.cluster.master_url), lambda ids: before not in ids, "gone")
    assert [known.key for known in road.scheduler.known_jobs("www")] == [key]
    road.scheduler.take_over([key], [])
    road.begin_again("another.sqlite")  # the daemon, after the command that took over
    road.runs_to_its_end(key)
    assert road.scheduler.framework_id == before


def test_an_agent_is_cut_off_and_comes_back(make: Callable[..., Road]) -> None:
    road = make()
    key = road.submit("runs")
    road.comes_to(key, JobPhase.RUNNING)
    road.cluster.partition_agent("0")
    wait_for(lambda: road.scheduler.poll([key])[key].native_state, "TASK_UNREACHABLE".__eq__, "out of reach")
    road.go(key)
    assert road.scheduler.poll([key])[key].phase is JobPhase.RUNNING
    road.cluster.return_agent("0")
    road.runs_to_its_end(key)


def test_an_agent_that_does_not_come_back(make: Callable[..., Road]) -> None:
    road = make(own={"unreachable_seconds": 1})
    key = road.submit("runs")
    road.comes_to(key, JobPhase.RUNNING)
    road.cluster.lose_agent("0")
    assert "cannot be reached" in road.comes_to(key, JobPhase.LOST).message


def test_an_agent_that_an_operator_gives_up(make: Callable[..., Road]) -> None:
    road = make()
    key = road.submit("runs")
    road.comes_to(key, JobPhase.RUNNING)
    road.cluster.mark_agent_gone("0")
    assert road.comes_to(key, JobPhase.LOST).native_state == "TASK_GONE_BY_OPERATOR"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.STATUS, "SUBSCRIBE", status=503),
        Fault(Kind.DROP_BEFORE, "SUBSCRIBE"),
        Fault(Kind.DROP_AFTER, "SUBSCRIBE"),
        Fault(Kind.TORN, "SUBSCRIBE"),
        Fault(Kind.DROP_BEFORE, "ACCEPT"),
        Fault(Kind.DROP_AFTER, "ACCEPT"),
        Fault(Kind.STATUS, "ACCEPT", status=500),
        Fault(Kind.DROP_AFTER, "ACKNOWLEDGE"),
        Fault(Kind.LOSE_EVENT, "UPDATE"),
        Fault(Kind.LOSE_EVENT, "UPDATE", skip=2),
    ],
    ids=lambda fault: f"{fault.kind.value}-{fault.method}-{fault.skip}",
)
def test_a_job_runs_once_whatever_is_lost_on_the_way(make: Callable[..., Road], fault: Fault) -> None:
    road = make(status_retry_first=0.2)
    road.cluster.add_fault(fault)
    key = road.submit("runs")
    road.runs_to_its_end(key)
    assert road.cluster.run(lambda mini: mini.faults.met) == 1
