"""Frameworks of the minicluster's master when agents, masters and connections fail."""

from __future__ import annotations

import getpass
import http.client
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.faults import Fault, Kind
from airavata_mesos_plugin.minicluster.probe import Probe, get, job, process, request, thermos
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from tests.realmesos.scheduler import Scheduler, scalars, task
from tests.support.mini_masters import MiniMasters
from tests.support.waiting import wait_for

Json = dict[str, Any]
S = api.ScheduleStatus
AWARE = [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}]
AGENT = AgentSettings(host="127.0.0.1", cpus=4, memory_mb=4096, disk_mb=8192, attributes={"rack": ("r1",)})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ThreadedCluster]]:
    """Starts one cluster with the settings given."""
    running: list[ThreadedCluster] = []

    def begin(**settings: Any) -> ThreadedCluster:
        members = {"work_dir": tmp_path / "cluster", "agents": (AGENT,), "agent_reregistration": 0.1}
        running.append(ThreadedCluster(ClusterSettings(**{**members, **settings})).__enter__())
        return running[-1]

    yield begin
    for cluster in running:
        cluster.__exit__(None, None, None)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Every account may pass through it."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def subscribed() -> Iterator[Callable[..., Scheduler]]:
    made: list[Scheduler] = []

    def subscribe(cluster: ThreadedCluster, **info: Any) -> Scheduler:
        options = {"capabilities": AWARE, "failover_timeout": 600.0, **info}
        made.append(Scheduler(MiniMasters(cluster), **options))
        return made[-1]

    yield subscribe
    for scheduler in made:
        scheduler.close()


def launched(scheduler: Scheduler, name: str, shell: str, **more: Any) -> Json:
    """Launch a task, which then runs; the offer that it went into."""
    offer = scheduler.offer()
    scheduler.launch(offer, task(offer, name, shell, **more))
    comes_to_run(scheduler, name)
    return offer


def comes_to_run(scheduler: Scheduler, name: str) -> None:
    assert [status(scheduler, name)["state"] for _ in range(2)] == ["TASK_STARTING", "TASK_RUNNING"]


def status(scheduler: Scheduler, name: str) -> Json:
    """The next status of a task."""

    def wanted(event: Json) -> bool:
        return bool(event["type"] == "UPDATE" and event["update"]["status"]["task_id"] == {"value": name})

    found: Json = scheduler.wait(wanted)["update"]["status"]
    return found


def test_a_lost_agent(start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]) -> None:
    cluster = start()
    scheduler = subscribed(cluster)
    first = launched(scheduler, "t", "sleep 600")
    left = scheduler.offer()  # what the task has left
    cluster.lose_agent("0")
    assert scheduler.wait(lambda e: e["type"] == "RESCIND")["rescind"] == {"offer_id": left["id"]}
    assert scheduler.wait(lambda e: e["type"] == "FAILURE")["failure"] == {"agent_id": first["agent_id"]}
    seen = status(scheduler, "t")
    assert (seen["state"], seen["reason"]) == ("TASK_UNREACHABLE", "REASON_AGENT_REMOVED")
    assert "uuid" not in seen
    cluster.return_agent("0")
    again = scheduler.offer()
    assert again["agent_id"] != first["agent_id"]
    assert {one["name"]: one for one in again["resources"]}["cpus"]["scalar"] == {"value": 4.0}
    asked = {"tasks": [{"task_id": {"value": "t"}, "agent_id": first["agent_id"]}]}
    scheduler.call("RECONCILE", reconcile=asked)
    assert status(scheduler, "t")["state"] == "TASK_UNREACHABLE"


def test_a_partitioned_agent_keeps_its_tasks_and_their_updates(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler], tmp_path: Path
) -> None:
    cluster = start()
    scheduler = subscribed(cluster)
    go = tmp_path / "go"
    wait = f"until [ -e {go} ]; do sleep 0.05; done"
    offer = scheduler.offer()
    scheduler.launch(offer, task(offer, "ends", wait), task(offer, "stays", "sleep 600"))
    for name in ("ends", "stays"):
        comes_to_run(scheduler, name)
    # The master has to hear of the acknowledgements before it can be cut off from the agent.
    wait_for(lambda: waiting_updates(cluster), lambda count: count == 0, "all acknowledged")
    cluster.partition_agent("0")
    assert {status(scheduler, name)["state"] for name in ("ends", "stays")} == {"TASK_UNREACHABLE"}
    go.touch()
    wait_for(lambda: ended(cluster, "ends"), bool, "ended without a word")
    cluster.return_agent("0")
    for name in ("ends", "stays"):
        back = status(scheduler, name)
        assert (back["state"], back["reason"]) == ("TASK_RUNNING", "REASON_AGENT_REREGISTERED")
        assert "uuid" not in back
    end = status(scheduler, "ends")
    assert (end["state"], end["message"]) == ("TASK_FINISHED", "Command exited with status 0")
    assert end["uuid"]


def waiting_updates(cluster: ThreadedCluster) -> int:
    return cluster.run(lambda mini: len(mini.frameworks.updates))


def executors(cluster: ThreadedCluster) -> int:
    """How many processes of tasks the agent has."""
    return cluster.run(lambda mini: len(mini.agents.slots[0].agent.executors))


def ended(cluster: ThreadedCluster, name: str) -> bool:
    """Whether the agent itself knows that a task is over."""

    def look(mini: Any) -> bool:
        agent = mini.agents.slots[0].agent
        everything = (*agent.executors.values(), *agent.completed.values())
        return any(e.task.launch.task_id == name and e.task.ended for e in everything)

    return cluster.run(look)


def test_an_operator_gives_an_agent_up(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]
) -> None:
    cluster = start()
    scheduler = subscribed(cluster)
    offer = launched(scheduler, "t", "sleep 600")
    body = json.dumps({"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": offer["agent_id"]}})
    headers = {"Content-Type": "application/json"}
    assert request(cluster.master_url, "/api/v1", "POST", body.encode(), headers).status == 200
    assert status(scheduler, "t")["state"] == "TASK_GONE_BY_OPERATOR"
    asked = {"tasks": [{"task_id": {"value": "t"}, "agent_id": offer["agent_id"]}]}
    scheduler.call("RECONCILE", reconcile=asked)
    answer = status(scheduler, "t")
    assert (answer["state"], answer["reason"]) == ("TASK_GONE_BY_OPERATOR", "REASON_RECONCILIATION")
    assert request(cluster.master_url, "/api/v1", "POST", body.encode(), headers).status == 404


def test_who_knows_no_partitions_is_told_of_losses(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]
) -> None:
    cluster = start()
    scheduler = subscribed(cluster, capabilities=[{"type": "MULTI_ROLE"}])
    launched(scheduler, "t", "sleep 600")
    cluster.partition_agent("0")
    assert status(scheduler, "t")["state"] == "TASK_LOST"


def test_another_master_learns_from_the_agents(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler], tmp_path: Path
) -> None:
    cluster = start(masters=2)
    scheduler = subscribed(cluster)
    go = tmp_path / "go"
    offer = launched(scheduler, "t", f"until [ -e {go} ]; do sleep 0.05; done")
    first, second = cluster.master_urls
    assert request(second, "/state?x=1").headers["Location"] == f"//{first.partition('//')[2]}/state?x=1"
    cluster.vacate_master()
    scheduler.wait(lambda event: event["type"] == "CLOSED")
    assert [request(url, "/api/v1/scheduler", "POST").status for url in (first, second)] == [503, 503]
    assert get(first, "/health").status == 200
    cluster.elect_master()
    assert request(first, "/slaves").headers["Location"] == f"//{second.partition('//')[2]}/slaves"
    back = subscribed(cluster, framework_id=scheduler.id)
    asked = {"tasks": [{"task_id": {"value": "t"}, "agent_id": offer["agent_id"]}]}

    def known() -> list[str]:
        frameworks: list[Json] = get(second, "/frameworks").json()["frameworks"]
        return [one["state"] for framework in frameworks for one in framework["tasks"]]

    back.call("RECONCILE", reconcile=asked)  # without an answer where the agent has not come yet
    wait_for(known, lambda states: states == ["TASK_RUNNING"], "the task is known again")
    back.call("RECONCILE", reconcile=asked)
    assert status(back, "t")["state"] == "TASK_RUNNING"
    go.touch()
    assert back.state("t", "TASK_FINISHED")["uuid"]


def test_another_master_while_an_agent_is_cut_off(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]
) -> None:
    cluster = start(partition_aware=True)
    probe = Probe(cluster.scheduler_url)
    stays = api.PartitionPolicy(reschedule=False)
    probe.create(job("aurora", thermos(process("run", "sleep 600")), partitionPolicy=stays))
    probe.wait("aurora", S.RUNNING)
    scheduler = subscribed(cluster)
    offer = launched(scheduler, "t", "sleep 600")
    cluster.partition_agent("0")
    probe.wait("aurora", S.PARTITIONED)
    cluster.fail_over_master()
    back = subscribed(cluster, framework_id=scheduler.id)
    asked = {"tasks": [{"task_id": {"value": "t"}, "agent_id": offer["agent_id"]}]}
    back.call("RECONCILE", reconcile=asked)
    assert status(back, "t")["state"] == "TASK_UNREACHABLE"
    cluster.return_agent("0")
    back.call("RECONCILE", reconcile=asked)
    assert status(back, "t")["state"] == "TASK_RUNNING"
    probe.wait("aurora", S.RUNNING)


def test_a_framework_that_does_not_come_back_is_removed_with_its_tasks(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]
) -> None:
    cluster = start()
    scheduler = subscribed(cluster, failover_timeout=0.0)
    launched(scheduler, "t", "sleep 600")
    scheduler.close()
    wait_for(lambda: executors(cluster), lambda count: count == 0, "the task has been ended")
    frameworks = get(cluster.master_url, "/frameworks").json()
    (gone,) = frameworks["completed_frameworks"]
    assert (gone["id"], [one["state"] for one in gone["completed_tasks"]]) == (scheduler.id, ["TASK_KILLED"])
    free = cluster.run(lambda mini: mini.agents.slots[0].agent.room)
    assert free.free == free.total


def test_a_connection_that_ends_is_noticed_without_a_heartbeat(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]
) -> None:
    cluster = start(heartbeat_interval=3600.0)
    scheduler = subscribed(cluster)
    scheduler.close()

    def connected() -> list[bool]:
        frameworks = get(cluster.master_url, "/frameworks").json()["frameworks"]
        return [one["connected"] for one in frameworks if one["id"] == scheduler.id]

    wait_for(connected, [False].__eq__, "noticed")


def test_teardown_by_an_operator(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]
) -> None:
    cluster = start()
    scheduler = subscribed(cluster)
    launched(scheduler, "t", "sleep 600")

    def teardown() -> int:
        return request(cluster.master_url, "/teardown", "POST", f"frameworkId={scheduler.id}".encode()).status

    assert teardown() == 200
    scheduler.wait(lambda event: event["type"] == "CLOSED")
    wait_for(lambda: executors(cluster), lambda count: count == 0, "the task has been ended")
    assert teardown() == 400


def test_aurora_and_frameworks_share_the_agents(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler], tmp_path: Path
) -> None:
    cluster = start()
    probe = Probe(cluster.scheduler_url)
    go = tmp_path / "go"
    wait = f"until [ -e {go} ]; do sleep 0.05; done"
    probe.create(job("aurora", thermos(process("run", wait, min_duration=0)), cpus=1.0))
    probe.wait("aurora", S.RUNNING)
    scheduler = subscribed(cluster)
    offer = scheduler.offer()
    amounts = {one["name"]: one for one in offer["resources"]}
    assert amounts["cpus"]["scalar"] == {"value": 3.0}
    scheduler.call("SUPPRESS")  # what is left, and what it gives back, is for Aurora
    three = scalars(cpus=3, mem=32)
    scheduler.launch(offer, {**task(offer, "t", wait), "resources": three})
    scheduler.state("t", "TASK_RUNNING")
    probe.create(job("waits", thermos(process("run", "true", min_duration=0)), cpus=0.5))
    wait_for(lambda: reasons(probe, "waits"), lambda told: "Insufficient: CPU" in told, "no room")
    go.touch()
    probe.wait("waits", S.FINISHED)


def reasons(probe: Probe, name: str) -> list[str]:
    query = api.TaskQuery(jobKeys={api.JobKey(role="www", environment="devel", name=name)})
    found = probe.call("getPendingReason", query).result.getPendingReasonResult.reasons
    return [part for one in found for part in one.reason.split(",")]


def test_what_a_command_finds(
    start: Callable[..., ThreadedCluster],
    subscribed: Callable[..., Scheduler],
    tmp_path: Path,
    open_directory: Path,
) -> None:
    cluster = start(switch_user=True, work_dir=open_directory)
    (tmp_path / "program").write_text("#!/bin/sh\necho it runs\n")
    scheduler = subscribed(cluster)
    offer = scheduler.offer()
    assert {one["name"]: one["text"]["value"] for one in offer["attributes"]}["rack"] == "r1"
    command = {
        "shell": False,
        "value": "/bin/sh",
        "arguments": ["named", "-c", 'echo "$0 $GIVEN"; id -un; pwd; ./tool; echo err >&2'],
        "environment": {"variables": [{"name": "GIVEN", "value": "by hand"}]},
        "user": "nobody",
        "uris": [{"value": str(tmp_path / "program"), "output_file": "tool", "executable": True}],
    }
    scheduler.launch(offer, task(offer, "t", "", command=command))
    scheduler.state("t", "TASK_FINISHED")
    url = f"http://127.0.0.1:{offer['url']['address']['port']}"
    base = f"/frameworks/{scheduler.id}/executors/t/runs/latest"
    out = get(url, "/files/download", path=f"{base}/stdout").text.splitlines()
    account = "nobody" if os.geteuid() == 0 else getpass.getuser()
    assert [out[0], out[1], out[3]] == ["named by hand", account, "it runs"]
    assert Path(out[2]).name.count("-") == 4
    assert "err" in get(url, "/files/download", path=f"{base}/stderr").text.splitlines()


def test_lost_events_and_answers(
    start: Callable[..., ThreadedCluster], subscribed: Callable[..., Scheduler]
) -> None:
    cluster = start(status_retry_first=0.2)
    scheduler = subscribed(cluster)
    offer = scheduler.offer()
    cluster.add_fault(Fault(Kind.LOSE_EVENT, "UPDATE"))
    cluster.add_fault(Fault(Kind.DROP_AFTER, "ACCEPT"))
    with pytest.raises((OSError, http.client.HTTPException)):
        scheduler.launch(offer, task(offer, "t", "true"))
    # It was launched; the first update was lost, and came again.
    assert [scheduler.state("t", f"TASK_{name}")["state"] for name in ("STARTING", "RUNNING", "FINISHED")]
    assert cluster.run(lambda mini: mini.faults.met) == 2
