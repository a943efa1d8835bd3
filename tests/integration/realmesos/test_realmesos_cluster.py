"""The real master and agents of tests/realmesos do what other tests lean on."""

from __future__ import annotations

import base64
import json
import os
import signal
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.realmesos.access import make_tls, token
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.scheduler import ENDED, Refused, Scheduler, scalars, task
from tests.realmesos.server import Server
from tests.support.real_mesos import RealMesosFactory
from tests.support.waiting import wait_for

ADDRESSES = ("127.0.1.1", "127.0.1.2", "127.0.2.1", "127.0.2.2", "127.0.2.3")


def status_of(cluster: RealMesosCluster, server: Server, path: str, **options: Any) -> int:
    response = requests.get(cluster.url(server) + path, timeout=30, **options)
    return response.status_code


def read(cluster: RealMesosCluster, agent: Server, path: str) -> str:
    answer = cluster.get(agent, f"/files/read?offset=0&length=65536&path={path}")
    return str(answer["data"])


def of(cluster: RealMesosCluster, offer: dict[str, Any]) -> Server:
    """The agent that an offer is of."""
    return next(agent for agent in cluster.agents if agent.ip == offer["hostname"])


def test_a_command_and_its_sandbox(real_mesos: RealMesosCluster) -> None:
    with Scheduler(real_mesos) as scheduler:
        offer = scheduler.offer()
        variables = [{"name": "FOO", "value": "bar"}]
        command = {"environment": {"variables": variables}}
        scheduler.launch(offer, task(offer, "t", "echo hello $FOO; echo err >&2; exit 3", command=command))
        status = scheduler.state("t", *ENDED)
        assert (status["state"], status["message"]) == ("TASK_FAILED", "Command exited with status 3")
        agent = of(real_mesos, offer)
        box = real_mesos.sandbox(agent, scheduler.id, "t")
        assert read(real_mesos, agent, box + "/stdout") == "hello bar\n"
        assert "err\n" in read(real_mesos, agent, box + "/stderr")
        names = {entry["path"] for entry in real_mesos.get(agent, f"/files/browse?path={box}")}
        assert names == {box + "/stdout", box + "/stderr"}


def test_uris_are_fetched_and_cached(real_mesos: RealMesosCluster, tmp_path: Path) -> None:
    script = tmp_path / "f.sh"
    script.write_text("#!/bin/sh\necho fetched\n")
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        archive.add(script, "inner/g.sh")
    uris = [
        {"value": f"file://{script}", "executable": True},
        {"value": str(tmp_path / "x.tgz"), "cache": True},
    ]
    with Scheduler(real_mesos) as scheduler:
        for name in ("first", "second"):
            offer = scheduler.offer()
            line = "./f.sh && cat inner/g.sh"
            scheduler.launch(offer, task(offer, name, line, command={"uris": uris}))
            assert scheduler.state(name, *ENDED)["state"] == "TASK_FINISHED"
            box = real_mesos.sandbox(of(real_mesos, offer), scheduler.id, name)
            assert read(real_mesos, of(real_mesos, offer), box + "/stdout").startswith("fetched\n#!/bin/sh")
        offer = scheduler.offer()
        scheduler.launch(offer, task(offer, "bad", "true", command={"uris": [{"value": "/none"}]}))
        assert scheduler.state("bad", *ENDED)["state"] == "TASK_FAILED"


def test_tasks_are_killed_and_their_health_checked(real_mesos: RealMesosCluster, tmp_path: Path) -> None:
    sick = tmp_path / "sick"
    capabilities = [{"type": "MULTI_ROLE"}, {"type": "TASK_KILLING_STATE"}]
    check = {
        "type": "COMMAND",
        "command": {"value": f"test ! -e {sick}"},
        "delay_seconds": 0,
        "interval_seconds": 0.2,
        "grace_period_seconds": 0,
        "consecutive_failures": 2,
    }
    with Scheduler(real_mesos, capabilities=capabilities) as scheduler:
        offer = scheduler.offer()
        stubborn = "trap '' TERM; while :; do sleep 1; done"
        grace = {"grace_period": {"nanoseconds": 10**9}}
        scheduler.launch(
            offer,
            task(offer, "k", stubborn, kill_policy=grace),
            task(offer, "h", "sleep 100", health_check=check),
        )
        scheduler.state("k", "TASK_RUNNING")
        scheduler.wait(lambda e: e["type"] == "UPDATE" and e["update"]["status"].get("healthy") is True)
        sick.touch()
        status = scheduler.state("h", *ENDED)
        assert (status["state"], status["healthy"]) == ("TASK_KILLED", False)
        scheduler.call("KILL", kill={"task_id": {"value": "k"}})
        scheduler.state("k", "TASK_KILLING")
        assert scheduler.state("k", *ENDED)["message"].endswith("Killed")
        scheduler.call("RECONCILE", reconcile={"tasks": [{"task_id": {"value": "ghost"}}]})
        assert scheduler.state("ghost", "TASK_LOST")["reason"] == "REASON_RECONCILIATION"


def test_a_task_group_and_a_session_in_it(real_mesos: RealMesosCluster) -> None:
    with Scheduler(real_mesos) as scheduler:
        offer = scheduler.offer()
        executor = {
            "type": "DEFAULT",
            "executor_id": {"value": "pod"},
            "framework_id": {"value": scheduler.id},
            "resources": scalars(cpus=0.1, mem=32, disk=10),
        }
        tasks = [task(offer, "a", "sleep 1"), task(offer, "b", "echo two; sleep 100")]
        group = {"executor": executor, "task_group": {"tasks": tasks}}
        scheduler.accept(offer, {"type": "LAUNCH_GROUP", "launch_group": group})
        status = scheduler.state("b", "TASK_RUNNING", *ENDED)
        assert status["state"] == "TASK_RUNNING"
        assert scheduler.state("a", *ENDED)["state"] == "TASK_FINISHED"
        agent = of(real_mesos, offer)
        box = real_mesos.sandbox(agent, scheduler.id, "pod")
        assert read(real_mesos, agent, box + "/tasks/b/stdout") == "two\n"
        container = {"value": str(uuid.uuid4()), "parent": status["container_status"]["container_id"]}
        session = {"container_id": container, "command": {"value": "echo inside"}}
        data = real_mesos.post(
            agent,
            "/slave(1)/api/v1",
            {"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session": session},
            {"Accept": "application/recordio", "Message-Accept": "application/json"},
        )
        out = b""
        while data:
            size, _, data = data.partition(b"\n")
            event, data = json.loads(data[: int(size)]), data[int(size) :]
            if event["type"] == "DATA":
                out += base64.b64decode(event["data"]["data"])
        assert out == b"inside\n"
        scheduler.call("KILL", kill={"task_id": {"value": "b"}})
        assert scheduler.state("b", *ENDED)["state"] == "TASK_KILLED"


def test_a_reserved_volume_and_a_drained_agent(own_real_mesos: RealMesosFactory) -> None:
    cluster = own_real_mesos(agents=1)
    master = cluster.leader()
    agent_id = {"value": cluster.registered(1)[0]["id"]}
    reservation = {"type": "DYNAMIC", "role": "eng"}
    disk = {"name": "disk", "type": "SCALAR", "scalar": {"value": 64}, "reservations": [reservation]}
    mount = {"persistence": {"id": "v1"}, "volume": {"container_path": "data", "mode": "RW"}}
    reserve = {"agent_id": agent_id, "resources": [disk]}
    cluster.post(master, "/api/v1", {"type": "RESERVE_RESOURCES", "reserve_resources": reserve})
    create = {"agent_id": agent_id, "volumes": [{**disk, "disk": mount}]}
    cluster.post(master, "/api/v1", {"type": "CREATE_VOLUMES", "create_volumes": create})
    capabilities = [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]
    with Scheduler(cluster, roles=["eng"], capabilities=capabilities) as scheduler:
        offer = scheduler.offer()
        launched = task(offer, "v", "echo kept > data/f")
        for resource in launched["resources"]:
            resource["allocation_info"] = {"role": "eng"}
        launched["resources"] += [one for one in offer["resources"] if "persistence" in one.get("disk", {})]
        scheduler.launch(offer, launched)
        assert scheduler.state("v", *ENDED)["state"] == "TASK_FINISHED"
        cluster.post(master, "/api/v1", {"type": "DRAIN_AGENT", "drain_agent": {"agent_id": agent_id}})

        def drained() -> str:
            (agent,) = cluster.get(master, "/slaves")["slaves"]
            return str(agent.get("drain_info", {}).get("state"))

        wait_for(drained, lambda state: state == "DRAINED", "drained")


def test_authentication_and_acls(own_real_mesos: RealMesosFactory) -> None:
    only_the_operator = [
        {"principals": {"values": ["operator"]}, "users": {"type": "ANY"}},
        {"principals": {"type": "ANY"}, "users": {"type": "NONE"}},
    ]
    cluster = own_real_mesos(
        agents=1,
        credentials={"operator": "o-secret", "framework": "f-secret"},
        acls={"access_sandboxes": only_the_operator},
    )
    (master,), (agent,) = cluster.masters, cluster.agents
    assert status_of(cluster, master, "/state") == 401
    assert status_of(cluster, master, "/state", auth=("operator", "wrong")) == 401
    assert status_of(cluster, master, "/state", auth=("operator", "o-secret")) == 200
    with pytest.raises(Refused) as refused:
        Scheduler(cluster)
    assert refused.value.args[0] == 401
    with Scheduler(cluster, principal="framework") as scheduler:
        offer = scheduler.offer()
        scheduler.launch(offer, task(offer, "t", "echo hi; sleep 100"))
        scheduler.state("t", "TASK_RUNNING")
        path = cluster.sandbox(agent, scheduler.id, "t") + "/stdout"
        wait_for(lambda: read(cluster, agent, path), lambda text: text == "hi\n", "the output")
        where = f"/files/read?path={path}"
        assert status_of(cluster, agent, where) == 401
        assert status_of(cluster, agent, where, auth=("framework", "f-secret")) == 403
        # The claims of a token are no principal that these ACLs could name, but it is who it says.
        assert status_of(cluster, agent, where, headers=bearer(token("operator"))) == 403
        assert status_of(cluster, agent, "/state", headers=bearer(token("operator"))) == 200
        assert status_of(cluster, agent, where, headers=bearer(token("operator", key=b"another"))) == 401


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize("require_client", [False, True])
def test_tls(own_real_mesos: RealMesosFactory, tmp_path: Path, require_client: bool) -> None:
    tls = make_tls(tmp_path / "tls", *ADDRESSES, require_client=require_client)
    cluster = own_real_mesos(agents=1, tls=tls)
    (agent,) = cluster.agents
    with Scheduler(cluster) as scheduler:
        offer = scheduler.offer()
        scheduler.launch(offer, task(offer, "t", "echo hi"))
        assert scheduler.state("t", *ENDED)["state"] == "TASK_FINISHED"
        box = cluster.sandbox(agent, scheduler.id, "t")
        assert read(cluster, agent, box + "/stdout") == "hi\n"
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{agent.address}/health", timeout=30)
    if require_client:
        with pytest.raises(requests.ConnectionError):
            requests.get(f"https://{agent.address}/health", verify=str(tls.ca_file), timeout=30)
    else:
        assert status_of(cluster, agent, "/health", verify=str(tls.ca_file)) == 200


def test_an_agent_comes_back_to_its_tasks(own_real_mesos: RealMesosFactory) -> None:
    cluster = own_real_mesos(
        agents=1, master_flags=["--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=6"]
    )
    (agent,) = cluster.agents
    address = agent.address
    capabilities = [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}]
    with Scheduler(cluster, checkpoint=True, capabilities=capabilities) as scheduler:
        offer = scheduler.offer()
        scheduler.launch(offer, task(offer, "t", "sleep 300"))
        scheduler.state("t", "TASK_RUNNING")
        agent.kill()
        scheduler.state("t", "TASK_UNREACHABLE")
        agent.start()
        assert scheduler.state("t", "TASK_RUNNING")["reason"] == "REASON_AGENT_REREGISTERED"
        (again,) = cluster.registered(1)
        assert (again["id"], agent.address) == (offer["agent_id"]["value"], address)


def test_another_master_takes_over(own_real_mesos: RealMesosFactory) -> None:
    cluster = own_real_mesos(masters=3, agents=2, zookeeper=True)
    cluster.replicated()
    old = cluster.leader()
    first = Scheduler(cluster, failover_timeout=600.0, checkpoint=True)
    offer = first.offer()
    first.launch(offer, task(offer, "t", "sleep 300"))
    first.state("t", "TASK_RUNNING")
    cluster.kill_master(old)
    first.close()
    assert cluster.leader() is not old
    cluster.registered(2)
    with Scheduler(cluster, framework_id=first.id, failover_timeout=600.0, checkpoint=True) as scheduler:
        scheduler.call("RECONCILE", reconcile={"tasks": [{"task_id": {"value": "t"}}]})
        scheduler.state("t", "TASK_RUNNING")
        scheduler.teardown()


def test_nothing_is_left(real_mesos_build: Path, tmp_path: Path) -> None:
    with RealMesosCluster(tmp_path / "mesos", real_mesos_build, agents=1) as cluster:
        (agent,) = cluster.agents
        scheduler = Scheduler(cluster, checkpoint=True, failover_timeout=600.0)
        offer = scheduler.offer()
        scheduler.launch(offer, task(offer, "t", "setsid sleep 300 & sleep 300"))
        scheduler.state("t", "TASK_RUNNING")
        agent.kill()
        assert of_cluster(cluster)
    scheduler.close()
    assert not of_cluster(cluster)


def of_cluster(cluster: RealMesosCluster) -> list[str]:
    """Processes that belong to the cluster, by their command lines or working directories."""
    wanted = str(cluster.directory).encode()
    looks: list[Callable[[Path], bytes]] = [
        lambda entry: (entry / "cmdline").read_bytes(),
        lambda entry: os.fsencode((entry / "cwd").readlink()),
    ]
    found = []
    for entry in Path("/proc").iterdir():
        for look in looks:
            try:
                if entry.name.isdecimal() and wanted in look(entry):
                    found.append(entry.name)
            except OSError:
                continue  # it has ended meanwhile, or is a kernel's own
    return found


def test_a_server_that_ends_by_itself_says_why(real_mesos_build: Path, tmp_path: Path) -> None:
    cluster = RealMesosCluster(tmp_path / "mesos", real_mesos_build, master_flags=["--no-such-flag"])
    with pytest.raises(AssertionError, match="no-such-flag"):
        cluster.__enter__()
    assert not any(server.running() for server in cluster.masters)


def test_a_stopped_server_goes_on(own_real_mesos: RealMesosFactory) -> None:
    cluster = own_real_mesos(agents=1)
    (agent,) = cluster.agents
    agent.send(signal.SIGSTOP)
    agent.send(signal.SIGCONT)
    assert cluster.get(agent, "/version")["version"].startswith("1.")
