"""Faults over real connections, and agents that are lost, cut off, slow and back again."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.faults import Fault, Kind
from airavata_mesos_plugin.minicluster.probe import (
    JSON,
    Probe,
    Reply,
    events,
    get,
    job,
    process,
    request,
    thermos,
    until,
)
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster

S = api.ScheduleStatus
SLEEP = thermos(process("main", "exec sleep 1000"))
GET_TIERS = b'[1,"getTierConfigs",1,1,{}]'


def settings(work_dir: Path, **more: Any) -> ClusterSettings:
    agents = tuple(
        AgentSettings(host=host, cpus=2, memory_mb=1024, ports=(first, first + 99))
        for host, first in (("127.0.0.1", 31000), ("localhost", 31100))
    )
    return ClusterSettings(
        work_dir=work_dir, agents=agents, control=True, stop_grace=0.3, flapping_threshold=0.0, **more
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ThreadedCluster]:
    with ThreadedCluster(settings(tmp_path, partition_aware=True)) as running:
        yield running


@pytest.fixture
def probe(cluster: ThreadedCluster) -> Probe:
    return Probe(cluster.scheduler_url)


def tiers(cluster: ThreadedCluster) -> Reply:
    return request(cluster.scheduler_url, "/api", "POST", GET_TIERS, {"Content-Type": JSON, "Accept": JSON})


def order(cluster: ThreadedCluster, path: str, value: object) -> Reply:
    return request(cluster.scheduler_url, f"/minicluster/{path}", "POST", json.dumps(value).encode())


@pytest.mark.parametrize(("kind", "made"), [(Kind.DROP_BEFORE, 0), (Kind.DROP_AFTER, 1), (Kind.TORN, 1)])
def test_an_answer_is_lost_before_or_after_the_work(
    cluster: ThreadedCluster, probe: Probe, kind: Kind, made: int
) -> None:
    cluster.add_fault(Fault(kind, "createJob"))
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        probe.create(job("j", SLEEP))
    assert len(probe.tasks("j")) == made


def test_a_torn_answer_promises_more_than_it_sends(cluster: ThreadedCluster) -> None:
    cluster.add_fault(Fault(Kind.TORN))
    with pytest.raises(http.client.IncompleteRead) as caught:
        tiers(cluster)
    assert 0 < len(caught.value.partial) <= (caught.value.expected or 0) + 1
    assert tiers(cluster).status == 200


@pytest.mark.parametrize("status", [500, 503, 401])
def test_http_errors(cluster: ThreadedCluster, status: int) -> None:
    cluster.add_fault(Fault(Kind.STATUS, status=status))
    answer = tiers(cluster)
    assert answer.status == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert tiers(cluster).status == 200


def test_a_wrong_leader_keeps_the_path(cluster: ThreadedCluster) -> None:
    cluster.add_fault(Fault(Kind.WRONG_LEADER, location="http://127.0.0.1:9"))
    answer = tiers(cluster)
    assert (answer.status, answer.headers["Location"], answer.body) == (307, "http://127.0.0.1:9/api", b"")


def test_storage_that_is_not_ready(cluster: ThreadedCluster, probe: Probe) -> None:
    cluster.add_fault(Fault(Kind.NOT_READY, "createJob"))
    answer = probe.call("createJob", job("j", SLEEP))
    assert answer.responseCode == api.ResponseCode.ERROR_TRANSIENT
    assert [detail.message for detail in answer.details] == ["Storage is not READY"]
    assert probe.tasks("j") == []


def test_a_delay_holds_up_one_call_only(cluster: ThreadedCluster, probe: Probe) -> None:
    cluster.add_fault(Fault(Kind.DELAY, "createJob", delay=0.2))
    probe.create(job("j", SLEEP))
    assert cluster.run(lambda running: running.faults.met) == 1
    assert len(probe.tasks("j")) == 1


def test_control_calls(cluster: ThreadedCluster) -> None:
    added = order(cluster, "faults", [{"kind": "status", "status": 503, "count": 2}, {"kind": "delay"}])
    assert [fault["kind"] for fault in added.json()["faults"]] == ["status", "delay"]
    assert tiers(cluster).status == 503
    assert get(cluster.scheduler_url, "/minicluster/faults").json()["met"] == 1
    assert request(cluster.scheduler_url, "/minicluster/faults", "DELETE").json()["faults"] == []
    assert tiers(cluster).status == 200
    assert order(cluster, "clock", {"offset": -3600}).json()["offset"] == -3600
    listed = order(cluster, "agents", {"agent": "1", "do": "slow", "seconds": 0.5}).json()["agents"]
    assert [(agent["host"], agent["seconds"]) for agent in listed] == [("127.0.0.1", 0), ("localhost", 0.5)]


@pytest.mark.parametrize(
    ("path", "value", "status"),
    [
        ("faults", {"kind": "explode"}, 400),
        ("faults", [{"kind": "torn"}, 7], 400),
        ("agents", {"agent": "nobody", "do": "lose"}, 404),
        ("agents", {"agent": "0", "do": "dance"}, 400),
        ("agents", {"agent": "0", "do": "slow", "seconds": -1}, 400),
        ("clock", {"offset": "soon"}, 400),
        ("clock", 7, 400),
    ],
)
def test_bad_control_calls_change_nothing(
    cluster: ThreadedCluster, path: str, value: object, status: int
) -> None:
    answer = order(cluster, path, value)
    assert (answer.status, bool(answer.text.strip())) == (status, True)
    assert get(cluster.scheduler_url, "/minicluster/faults").json()["faults"] == []


def test_control_calls_are_off_by_default(tmp_path: Path) -> None:
    with ThreadedCluster(ClusterSettings(tmp_path)) as cluster:
        for path in ("faults", "agents", "clock"):
            assert order(cluster, path, {}).status == 404


def test_the_clock_can_be_wrong(cluster: ThreadedCluster, probe: Probe) -> None:
    cluster.set_clock_offset(86400)
    probe.create(job("late", SLEEP))
    cluster.set_clock_offset(0)
    probe.create(job("now", SLEEP))
    (late,), (now,) = probe.tasks("late"), probe.tasks("now")
    assert 86_000_000 < late.taskEvents[0].timestamp - now.taskEvents[0].timestamp < 86_401_000


def test_a_lost_agent_takes_its_tasks_along_and_comes_back_as_another(
    cluster: ThreadedCluster, probe: Probe
) -> None:
    probe.create(job("j", SLEEP, cpus=1.5))
    (first,) = probe.wait("j", S.RUNNING)
    assert first.assignedTask.slaveHost == "127.0.0.1"
    url = cluster.agent_urls[0]
    cluster.lose_agent("127.0.0.1")
    tasks = probe.wait("j", S.LOST, S.RUNNING)
    assert [t.status for t in tasks] == [S.LOST, S.RUNNING]
    assert events(tasks[0])[-1] == ("LOST", "Agent removed: health check timed out")
    assert tasks[1].ancestorId == tasks[0].assignedTask.taskId
    assert tasks[1].assignedTask.slaveHost == "localhost"
    with pytest.raises(ConnectionError):
        get(url, "/state")
    agents = get(cluster.master_url, "/slaves").json()["slaves"]
    assert [agent["hostname"] for agent in agents] == ["localhost"]
    cluster.return_agent("127.0.0.1")
    assert get(url, "/state").json()["id"] != tasks[0].assignedTask.slaveId
    probe.create(job("k", SLEEP, cpus=1.5))
    (again,) = probe.wait("k", S.RUNNING)
    assert again.assignedTask.slaveHost == "127.0.0.1"


def test_a_partitioned_agent_keeps_its_tasks(cluster: ThreadedCluster, probe: Probe) -> None:
    policy = api.PartitionPolicy(reschedule=False)
    probe.create(job("stays", SLEEP, partitionPolicy=policy))
    quick = thermos(process("main", "until [ -e go ]; do sleep 0.02; done"))
    probe.create(job("ends", quick, partitionPolicy=policy))
    (stays,) = probe.wait("stays", S.RUNNING)
    (ends,) = probe.wait("ends", S.RUNNING)
    cluster.partition_agent("127.0.0.1")
    probe.wait("stays", S.PARTITIONED)
    seen = get(cluster.master_url, "/state").json()
    assert [agent["hostname"] for agent in seen["slaves"]] == ["localhost"]
    assert (seen["unreachable_slaves"], seen["activated_slaves"]) == (1, 1)
    (framework,) = seen["frameworks"]
    assert {t["id"]: t["state"] for t in framework["unreachable_tasks"]} == {
        task.assignedTask.taskId: "TASK_UNREACHABLE" for task in (stays, ends)
    }
    assert framework["tasks"] == []
    (directory,) = cluster.run(
        lambda running: [
            executor.directory
            for executor in running.agents.slots[0].agent.executors.values()
            if executor.task.launch.task_id == ends.assignedTask.taskId
        ]
    )
    (directory / "sandbox" / "go").touch()
    until(lambda: cluster.run(lambda running: len(running.agents.slots[0].agent.executors) == 1))
    assert [task.status for task in probe.tasks("ends")] == [S.PARTITIONED]
    cluster.return_agent("127.0.0.1")
    (stays,) = probe.wait("stays", S.RUNNING)
    assert [name for name, _ in events(stays)][-3:] == ["RUNNING", "PARTITIONED", "RUNNING"]
    assert stays.timesPartitioned == 1
    (framework,) = get(cluster.master_url, "/state").json()["frameworks"]
    assert framework["unreachable_tasks"] == []
    assert [task["id"] for task in framework["tasks"]] == [stays.assignedTask.taskId]
    (ends,) = probe.wait("ends")
    assert (ends.status, events(ends)[-1][1]) == (S.FINISHED, "Task finished.")


def test_what_was_replaced_meanwhile_is_killed_when_its_agent_returns(
    cluster: ThreadedCluster, probe: Probe
) -> None:
    probe.create(job("j", SLEEP))
    (first,) = probe.wait("j", S.RUNNING)
    cluster.partition_agent("127.0.0.1")
    tasks = probe.wait("j", S.LOST, S.RUNNING)
    assert [name for name, _ in events(tasks[0])][-2:] == ["PARTITIONED", "LOST"]
    running = cluster.run(lambda c: list(c.agents.slots[0].agent.executors))
    assert [task_id for _, task_id in running] == [first.assignedTask.taskId]
    cluster.return_agent("127.0.0.1")
    until(lambda: cluster.run(lambda c: not c.agents.slots[0].agent.executors))
    assert [task.status for task in probe.tasks("j")] == [S.LOST, S.RUNNING]


def test_a_kill_that_was_lost_is_sent_again(tmp_path: Path) -> None:
    policy = api.PartitionPolicy(reschedule=False)
    with ThreadedCluster(settings(tmp_path, kill_retry_first=0.05)) as cluster:
        probe = Probe(cluster.scheduler_url)
        probe.create(job("j", SLEEP, partitionPolicy=policy))
        probe.wait("j", S.RUNNING)

        def cut(value: bool) -> None:
            cluster.run(lambda c: setattr(c.agents.slots[0].link, "cut", value))

        cut(True)
        probe.kill("j")
        assert [task.status for task in probe.tasks("j")] == [S.KILLING]
        cut(False)
        (task,) = probe.wait("j")
        assert task.status == S.KILLED


def test_a_slow_agent_is_slow_in_both_directions_and_keeps_the_order(
    cluster: ThreadedCluster, probe: Probe
) -> None:
    cluster.slow_agent("127.0.0.1", 0.1)
    probe.create(job("j", thermos(process("main", "true"))))
    (task,) = probe.wait("j")
    assert [name for name, _ in events(task)] == ["PENDING", "ASSIGNED", "STARTING", "RUNNING", "FINISHED"]
    times = [event.timestamp for event in task.taskEvents]
    assert times[2] - times[1] >= 200


def test_a_drained_agent_is_left_by_its_tasks(cluster: ThreadedCluster, probe: Probe) -> None:
    probe.create(job("j", SLEEP))
    probe.wait("j", S.RUNNING)
    assert order(cluster, "agents", {"agent": "127.0.0.1", "do": "drain"}).status == 200
    tasks = probe.wait("j", S.KILLED, S.RUNNING)
    assert ("DRAINING", "Draining machine for maintenance.") in events(tasks[0])
    assert [task.assignedTask.slaveHost for task in tasks] == ["127.0.0.1", "localhost"]
    assert get(cluster.scheduler_url, "/maintenance").json() == {
        "SCHEDULED": [], "DRAINING": {}, "DRAINED": ["127.0.0.1"],
    }  # fmt: skip
    cluster.drain_agent("localhost")
    until(lambda: len(get(cluster.scheduler_url, "/maintenance").json()["DRAINED"]) == 2)
    (waits,) = [task for task in probe.tasks("j") if task.status == S.PENDING]
    assert waits.ancestorId == tasks[1].assignedTask.taskId


def test_the_example_of_the_documentation_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "minicluster.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example.replace("/tmp/mini", str(tmp_path / "mini")), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
