"""Several schedulers and a real ZooKeeper: who leads, who sends on, and what happens to tasks meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

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
from tests.support.zookeeper import ZooKeeperServer, ensemble

S = api.ScheduleStatus
T = TypeVar("T")
SLEEP = thermos(process("main", "exec sleep 1000"))
GET_TIERS = b'[1,"getTierConfigs",1,1,{}]'


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ZooKeeperServer]]:
    with ensemble(tmp_path_factory.mktemp("zookeeper")) as running:
        yield running


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    return f"/{request.node.name.replace('[', '-').replace(']', '')}/scheduler"


def settings(servers: list[ZooKeeperServer], work_dir: Path, path: str, **more: Any) -> ClusterSettings:
    members: dict[str, Any] = {"schedulers": 2, "control": True, **more}
    return ClusterSettings(
        work_dir,
        zookeeper=servers[0].address,
        serverset_path=path,
        stop_grace=0.3,
        agents=(AgentSettings(cpus=4, memory_mb=4096),),
        **members,
    )


def leader(cluster: ThreadedCluster, other_than: int | None = None) -> int:
    """The number of the leader, once one other than the given one has announced itself."""

    def look() -> list[int]:
        number = cluster.leading()
        ready = number is not None and number != other_than
        return [number] if ready and number is not None else []

    return until(look)[0]


def of_leader(cluster: ThreadedCluster, ask: Callable[[Probe], T]) -> T:
    """What the leader answers, whoever that is by then."""

    def look() -> list[T]:
        number = cluster.leading()
        try:
            return [] if number is None else [ask(Probe(cluster.scheduler_urls[number]))]
        except (RuntimeError, OSError, http.client.HTTPException):
            return []

    return until(look)[0]


def end_sessions(server: ZooKeeperServer, path: str, nodes: list[str]) -> None:
    """Remove what belongs to sessions of which nobody will hear again; the server would, after a while."""
    client = KazooClient(server.address)
    client.start()
    try:
        for node in nodes:
            with suppress(NoNodeError):
                client.delete(f"{path}/{node}")
    finally:
        client.stop()
        client.close()


def nodes(server: ZooKeeperServer, path: str) -> list[str]:
    """What schedulers have published."""
    client = KazooClient(server.address)
    client.start()
    try:
        return list(client.get_children(path))
    finally:
        client.stop()
        client.close()


def tiers(url: str, **headers: str) -> Reply:
    sent = {"Content-Type": JSON, "Accept": JSON, **headers}
    return request(url, "/api?x=1", "POST", GET_TIERS, sent)


def test_one_leads_and_the_other_sends_on(servers: list[ZooKeeperServer], tmp_path: Path, path: str) -> None:
    with ThreadedCluster(settings(servers, tmp_path, path)) as cluster:
        number = leader(cluster)
        url, other = cluster.scheduler_urls[number], cluster.scheduler_urls[1 - number]
        answer = until(lambda: [a] if (a := tiers(other)).status == 307 else [])[0]
        assert (answer.headers["Location"], answer.body) == (f"{url}/api?x=1", b"")
        assert tiers(url).status == 200
        bypassed = tiers(other, **{"Bypass-Leader-Redirect": "true"}).json()
        assert bypassed[4]["0"]["rec"]["1"]["i32"] == api.ResponseCode.ERROR_TRANSIENT
        assert get(other, "/pendingtasks").status == 307
        assert get(other, "/vars").status == 200
        assert [get(each, "/leaderhealth").status for each in (url, other)] == [200, 503]
        client = KazooClient(servers[0].address)
        client.start()
        try:
            children = client.get_children(path)
            (member,) = [child for child in children if child.startswith("member_")]
            assert len([child for child in children if not child.startswith("member_")]) == 2
            data, stat = client.get(f"{path}/{member}")
        finally:
            client.stop()
            client.close()
        port = int(url.rsplit(":", 1)[1])
        place = {"host": "127.0.0.1", "port": port}
        assert json.loads(data) == {
            "serviceEndpoint": place, "additionalEndpoints": {"http": place}, "status": "ALIVE",
        }  # fmt: skip
        assert stat.ephemeralOwner != 0
        assert len(member) == len("member_") + 10


@pytest.mark.parametrize("how", ["resign", "expire", "duration"])
def test_a_change_of_leader_leaves_tasks_alone(
    servers: list[ZooKeeperServer], tmp_path: Path, path: str, how: str
) -> None:
    duration = 2.0 if how == "duration" else 3600.0
    with ThreadedCluster(settings(servers, tmp_path, path, max_leading_duration=duration)) as cluster:
        first = leader(cluster)
        quick = thermos(process("main", "until [ -e go ]; do sleep 0.02; done"))
        for wanted in (job("runs", SLEEP), job("waits", SLEEP, cpus=100), job("ends", quick)):
            of_leader(cluster, lambda probe, wanted=wanted: probe.create(wanted))  # type: ignore[misc]

        def seen(*names: str) -> dict[str, list[Any]]:
            return {
                name: of_leader(cluster, lambda probe: probe.wait(name, S.RUNNING, S.PENDING))  # noqa: B023
                for name in names
            }

        of_leader(cluster, lambda probe: probe.wait("runs", S.RUNNING))
        of_leader(cluster, lambda probe: probe.wait("ends", S.RUNNING))
        before = seen("runs", "waits", "ends")
        if how == "resign":
            cluster.resign(first)
        elif how == "expire":
            cluster.expire_session(first)
        second = leader(cluster, other_than=first)

        def announced() -> bool:
            (framework,) = get(cluster.master_url, "/frameworks").json()["frameworks"]
            return bool(framework["webui_url"] == cluster.scheduler_urls[second])

        until(announced)
        assert seen("runs", "waits") == {name: before[name] for name in ("runs", "waits")}
        (directory,) = tmp_path.glob(
            f"slaves/*/frameworks/*/executors/thermos-{before['ends'][0].assignedTask.taskId}/runs/latest"
        )
        (directory / "sandbox" / "go").touch()
        (ended,) = of_leader(cluster, lambda probe: probe.wait("ends"))
        assert events(ended)[-1] == ("FINISHED", "Task finished.")


def test_nothing_is_lost_or_done_twice_while_leaders_change(
    servers: list[ZooKeeperServer], tmp_path: Path, path: str
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    names = [f"j{number}" for number in range(60)]
    with ThreadedCluster(settings(servers, tmp_path / "mini", path, schedulers=3)) as cluster:

        def submitted(name: str) -> bool:
            """Whether some scheduler says that the job is there."""
            made = job(name, thermos(process("main", f"echo run >> {marks / name}")), cpus=0.05)
            for url in cluster.scheduler_urls:
                try:
                    answer = Probe(url).call("createJob", made)
                except (RuntimeError, OSError, http.client.HTTPException):
                    continue  # not the leader, or its answer was lost
                texts = [detail.message or "" for detail in answer.details]
                if answer.responseCode == api.ResponseCode.OK or any("already exists" in t for t in texts):
                    return True
            return False

        for number, name in enumerate(names):
            if number % 20 == 10:
                cluster.resign(leader(cluster))
            if number % 7 == 3:
                cluster.add_fault(Fault(Kind.DROP_BEFORE, "createJob"))
            until(lambda name=name: submitted(name))  # type: ignore[misc]
        probe = Probe(cluster.scheduler_urls[leader(cluster)])
        tasks = {name: probe.wait(name) for name in names}
    assert {name: [task.status for task in found] for name, found in tasks.items()} == {
        name: [S.FINISHED] for name in names
    }
    assert {name: (marks / name).read_text() for name in names} == dict.fromkeys(names, "run\n")


def test_what_ends_while_nobody_leads_is_known_to_the_next(
    servers: list[ZooKeeperServer], tmp_path: Path, path: str
) -> None:
    with ThreadedCluster(settings(servers, tmp_path, path, schedulers=1)) as cluster:
        leader(cluster)
        probe = Probe(cluster.scheduler_url)
        go = tmp_path / "go"
        probe.create(job("j", thermos(process("main", f"until [ -e {go} ]; do sleep 0.02; done"))))
        probe.wait("j", S.RUNNING)
        published = nodes(servers[0], path)
        servers[0].stop()
        try:
            until(lambda: cluster.leading() is None)
            assert tiers(cluster.scheduler_url).status == 503
            go.touch()
            until(lambda: cluster.run(lambda c: not c.agents.slots[0].agent.executors))
        finally:
            servers[0].start()
            servers[0].wait()
        end_sessions(servers[0], path, published)
        leader(cluster)
        (task,) = probe.wait("j")
        assert events(task)[-1] == ("FINISHED", "Task finished.")


def test_without_ensemble_nobody_leads(tmp_path: Path) -> None:
    plain = ClusterSettings(tmp_path, zookeeper="127.0.0.1:1", zk_connection_timeout=0.2, stop_grace=0.3)
    with ThreadedCluster(plain) as cluster:
        assert tiers(cluster.scheduler_url).status == 503
        assert get(cluster.scheduler_url, "/leaderhealth").status == 502


def test_control_calls_change_the_leader(servers: list[ZooKeeperServer], tmp_path: Path, path: str) -> None:
    with ThreadedCluster(settings(servers, tmp_path, path)) as cluster:
        first = leader(cluster)
        url = cluster.scheduler_urls[1 - first]

        def order(**members: object) -> Reply:
            return request(url, "/minicluster/schedulers", "POST", json.dumps(members).encode())

        assert order(scheduler=first, do="resign").status == 200
        leader(cluster, other_than=first)
        listed = until(
            lambda: [s for s in get(url, "/minicluster/schedulers").json()["schedulers"] if s["leads"]]
        )
        assert [entry["url"] for entry in listed] == [url]
        assert order(scheduler=2, do="resign").status == 400
        assert order(scheduler=0, do="dance").status == 400


def test_several_schedulers_need_an_ensemble(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ZooKeeper"):
        ThreadedCluster(ClusterSettings(tmp_path, schedulers=2)).__enter__()


def test_processes_that_share_a_state_take_turns(
    servers: list[ZooKeeperServer], tmp_path: Path, path: str
) -> None:
    def begin(name: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        command = [
            sys.executable, "-m", "airavata_mesos_plugin.minicluster", "--exit-with-parent",
            "--work-dir", str(tmp_path / name), "--state-dir", str(tmp_path / "state"),
            "--zookeeper", servers[0].address, "--serverset-path", path, "--cpus", "4",
        ]  # fmt: skip
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert started.stdout is not None
        return started, json.loads(started.stdout.readline())

    first, one = begin("one")
    second: subprocess.Popen[bytes] | None = None
    try:
        until(lambda: get(one["scheduler"], "/leaderhealth").status == 200)
        published = nodes(servers[0], path)
        second, other = begin("other")
        answer = until(lambda: [a] if (a := tiers(other["scheduler"])).status == 307 else [])[0]
        assert answer.headers["Location"].startswith(one["scheduler"])
        probe = Probe(one["scheduler"])
        probe.create(job("runs", SLEEP))
        probe.create(job("waits", SLEEP, cpus=100))
        probe.wait("runs", S.RUNNING)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        end_sessions(servers[0], path, published)
        until(lambda: get(other["scheduler"], "/leaderhealth").status == 200)
        probe = Probe(other["scheduler"])
        assert [task.status for task in probe.tasks("waits")] == [S.PENDING]
        tasks = probe.wait("runs", S.LOST, S.RUNNING)
        assert [task.status for task in tasks] == [S.LOST, S.RUNNING]
    finally:
        for started in (first, second):
            if started is not None:
                if started.poll() is None:
                    started.terminate()
                started.wait(60)
                if started.stdout is not None:
                    started.stdout.close()
