"""Whatever ends, and at whatever stage of a gang: it goes on, or is lost and says so, and begins once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.realmesos.cluster import RealMesosCluster
from tests.support.held_gangs import (
    BARRIER,
    ENDED,
    GATHERING,
    LAST,
    RUNNING,
    SETTLED,
    HeldGang,
    hold_gang,
    holding_templates,
)
from tests.support.mesos_framework import executor_of
from tests.support.mesos_site import MesosSite, running_mesos_site
from tests.support.processes import marked
from tests.support.waiting import wait_for

AGENTS, CPUS = 5, 6
PATIENT = ("--executor_reregistration_timeout=12secs",)
"""Flags of agents: many executors come back at once to one that is started again."""

Gangs = Mapping[str, HeldGang]


@pytest.fixture(scope="module")
def site(real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MesosSite]:
    directory = tmp_path_factory.mktemp("site")
    mesos = RealMesosCluster(
        tmp_path_factory.mktemp("mesos"),
        real_mesos_build,
        masters=3,
        agents=AGENTS,
        zookeeper=True,
        resources=f"cpus:{CPUS};mem:8192;disk:8192",
        agent_flags=PATIENT,
    )
    with mesos:
        keeper = {"hosts": [mesos.zookeeper_address], "mesos_path": "/mesos", "aurora_path": None}
        own = {"reservation_after_seconds": 1, "refuse_seconds": 1}
        settings = {
            "template_directories": [holding_templates(directory)],
            "clusters": {"zookeeper": keeper, "mesos_masters": [], "mesos": own},
            "queues": {"max_nodes": AGENTS},
        }
        with running_mesos_site(directory, mesos, settings) as running:
            yield running


def end_daemon(site: MesosSite, _: Gangs) -> None:
    site.kill()
    site.start()


def end_leading_master(site: MesosSite, _: Gangs) -> None:
    site.mesos.replicated()
    leader = site.mesos.leader()
    site.mesos.kill_master(leader)
    site.mesos.leader()
    leader.start()


def depose_leading_master(site: MesosSite, _: Gangs) -> None:
    """What ZooKeeper does to one whose session is over: another is elected, and this one ends itself."""
    site.mesos.replicated()
    leader = site.mesos.leader()
    client = KazooClient(site.mesos.zookeeper_address)
    client.start()
    try:
        for node in client.get_children("/mesos"):
            if leader.address.encode() in client.get(f"/mesos/{node}")[0] and node.startswith("json.info"):
                client.delete(f"/mesos/{node}")
    finally:
        client.stop()
        client.close()
    wait_for(leader.running, lambda running: not running, "ended by itself", context=leader.log)
    site.mesos.leader()
    leader.start()


def end_agents(site: MesosSite, _: Gangs) -> None:
    for agent in site.mesos.agents:
        agent.kill()
    for agent in site.mesos.agents:
        agent.start()


def end_first_executors(_: MesosSite, gangs: Gangs) -> None:
    for gang in gangs.values():
        os.kill(executor_of(gang.task(0)), signal.SIGKILL)


def end_last_executors(_: MesosSite, gangs: Gangs) -> None:
    for gang in gangs.values():
        os.kill(executor_of(gang.task(LAST)), signal.SIGKILL)


STRIKES: Mapping[str, Callable[[MesosSite, Gangs], None]] = {
    "daemon": end_daemon,
    "leading master": end_leading_master,
    "election": depose_leading_master,
    "agents": end_agents,
    "first executor": end_first_executors,
    "last executor": end_last_executors,
}
EXECUTORS = {"first executor": 0, "last executor": LAST}
GOES_ON, LOST, AGAIN = "goes on", "lost", "again"
FATES: Mapping[str, Mapping[str, str]] = {
    **{
        victim: dict.fromkeys((BARRIER, SETTLED, RUNNING, ENDED, GATHERING), GOES_ON)
        for victim in STRIKES.keys() - EXECUTORS.keys()
    },
    # With --requeue.
    "first executor": {BARRIER: AGAIN, SETTLED: AGAIN, RUNNING: AGAIN, ENDED: AGAIN},
    "last executor": {BARRIER: AGAIN, SETTLED: LOST, RUNNING: LOST, ENDED: LOST},
}


class Struck:
    """A gang at each stage, at the moment after a victim's end. They are made once for each victim."""

    def __init__(self, site: MesosSite) -> None:
        self._site = site
        self._gangs: dict[str, dict[str, HeldGang]] = {}
        self.hosts: dict[HeldGang, list[str]] = {}
        """On which nodes each was when its executors ended."""

    def gangs(self, victim: str) -> Gangs:
        if victim not in self._gangs:
            self.end()
            self._gangs[victim] = self._strike(victim)
        return self._gangs[victim]

    def end(self) -> None:
        """Let all go on to their end, whatever it is, until nothing of them is left."""
        gangs = [gang for group in self._gangs.values() for gang in group.values()]
        for gang in gangs:
            gang.go_on()
        for gang in gangs:
            self._site.in_phase(gang.job, "completed", "failed", "lost")
        wait_for(self._site.tasks, {}.__eq__, "no task left")
        mark = f"REALMESOS_CLUSTER={self._site.mesos.directory}"
        wait_for(lambda: marked(mark), [].__eq__, "no process left")

    def _strike(self, victim: str) -> dict[str, HeldGang]:
        gangs = {}
        for stage in FATES[victim]:
            cpus = CPUS if stage == GATHERING else 1
            gangs[stage] = hold_gang(self._site, stage, cpus=cpus, requeue=victim == "first executor")
        for gang in gangs.values():
            gang.arrived()
            if victim in EXECUTORS:
                self.hosts[gang] = gang.hosts
        STRIKES[victim](self._site, gangs)
        return gangs


@pytest.fixture(scope="module")
def struck(site: MesosSite) -> Struck:
    return Struck(site)


CASES = [
    pytest.param(victim, stage, FATES[victim][stage], id=f"{victim}-{stage}")
    for victim in STRIKES
    for stage in FATES[victim]
]


@pytest.mark.parametrize(("victim", "stage", "fate"), CASES)
def test_a_victim_at_a_stage(struck: Struck, site: MesosSite, victim: str, stage: str, fate: str) -> None:
    gangs = struck.gangs(victim)
    gang = gangs[stage]
    if stage == GATHERING:  # it needs all that the others have
        for one in gangs.values():
            one.go_on()
    before = stage in (RUNNING, ENDED)  # its script has begun
    if fate == LOST:
        document = site.finished(gang.job, "FAILED")
        assert site.airavata.letters(gang.job.job_id) == "NF"
        assert document["reason"].startswith(f"node {struck.hosts[gang][EXECUTORS[victim]]}: ")
        assert gang.runs == before
        return
    if fate == AGAIN:
        gang.arrived(2)
        told = f"node {struck.hosts[gang][EXECUTORS[victim]]}: "
        assert any(told in event["reason"] for event in gang.show()["events"])
    gang.go_on()
    gang.completed()
    assert gang.runs == 1 + (before and fate == AGAIN)


@pytest.mark.parametrize("victim", STRIKES)
def test_nothing_is_left(struck: Struck, victim: str) -> None:
    struck.gangs(victim)
    struck.end()


@pytest.mark.parametrize("victim", ["daemon", "leading master", "agents"])
def test_a_victim_when_all_tasks_have_ended_and_the_daemon_does_not_know(
    struck: Struck, site: MesosSite, victim: str
) -> None:
    struck.end()
    gang = hold_gang(site, RUNNING)
    gang.arrived()
    site.daemon.signal(signal.SIGSTOP)
    try:
        gang.go_on()
        wait_for(site.tasks, {}.__eq__, "no task left")
        STRIKES[victim](site, {})
    finally:
        if site.daemon.running():
            site.daemon.signal(signal.SIGCONT)
    gang.completed()
    assert gang.runs == 1
