"""Leaders found in a real ZooKeeper."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.discovery import ZooKeeperLeader, find_leaders
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.minicluster.settings import ClusterSettings as MiniSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Leader
from tests.support.waiting import wait_for
from tests.support.zookeeper import ZooKeeperServer, ensemble

PATH = "/aurora/scheduler"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServer]:
    with ensemble(tmp_path_factory.mktemp("zookeeper")) as (only,):
        yield only


class Announcer:
    """A scheduler's session; `expire` ends it, as a server does that has not heard of a client for long."""

    def __init__(self, address: str, **more: Any) -> None:
        self._client = KazooClient(address, timeout=30, **more)
        self._client.start()

    def announce(self, path: str, prefix: str, document: Any, **more: Any) -> str:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        made = self._client.create(
            f"{path}/{prefix}", data, ephemeral=True, sequence=True, makepath=True, **more
        )
        return str(made)

    def withdraw(self, node: str) -> None:
        self._client.delete(node)

    def expire(self) -> None:
        self._client.stop()
        self._client.close()


@pytest.fixture
def announcers(server: ZooKeeperServer) -> Iterator[Callable[..., Announcer]]:
    made: list[Announcer] = []

    def make(**more: Any) -> Announcer:
        made.append(Announcer(server.address, **more))
        return made[-1]

    yield make
    for announcer in made:
        announcer.expire()


@pytest.fixture
def leaders() -> Iterator[Callable[..., tuple[Leader, Leader]]]:
    made: list[Leader] = []

    def make(address: str, schedulers: tuple[str, ...] = (), **keeper: Any) -> tuple[Leader, Leader]:
        values = {"hosts": [address], "mesos_path": "/mesos", "wait_seconds": 0.3, **keeper}
        settings = ClusterSettings(name="c", schedulers=schedulers, zookeeper=values)
        found = find_leaders(settings, SystemClock())
        made.extend(found)
        return found

    yield make
    for leader in made:
        leader.close()


def entry(host: str, port: int = 8081, **more: Any) -> dict[str, Any]:
    endpoint = {"host": host, "port": port}
    return {
        "serviceEndpoint": endpoint,
        "additionalEndpoints": {"http": endpoint},
        "status": "ALIVE",
        **more,
    }


Announcers = Callable[..., Announcer]
Leaders = Callable[..., tuple[Leader, Leader]]


def found(leader: Leader, expected: list[str]) -> None:
    wait_for(lambda: list(leader.addresses(5)), lambda now: now == expected, f"at {expected}")


def test_leader_changes_are_seen(server: ZooKeeperServer, announcers: Announcers, leaders: Leaders) -> None:
    first, second = announcers(), announcers()
    leader, _ = leaders(server.address)
    first.announce(PATH, "singleton_candidate_", b"")  # election locks lie beside the members
    first.announce(PATH, "member_", entry("a.example.org"))
    found(leader, ["http://a.example.org:8081"])
    first.expire()
    second.announce(PATH, "member_", entry("b.example.org"))
    found(leader, ["http://b.example.org:8081"])
    second.expire()
    found(leader, [])


def test_https_endpoint_is_preferred_and_nonsense_has_no_say(
    server: ZooKeeperServer, announcers: Announcers, leaders: Leaders
) -> None:
    announcer = announcers()
    leader, _ = leaders(server.address)
    announcer.announce(PATH, "member_", b"not json")
    announcer.announce(PATH, "member_", entry("dead.example.org", status="DEAD"))
    announcer.announce(PATH, "member_", entry("evil.example.org/x?"))
    both = {"http": {"host": "a", "port": 80}, "https": {"host": "a.example.org", "port": 443}}
    announcer.announce(PATH, "member_", entry("a", additionalEndpoints=both))
    announcer.announce(PATH, "member_", {"serviceEndpoint": {"host": "::1", "port": 8081}})
    found(leader, ["https://a.example.org:443", "http://[::1]:8081"])


def test_call_waits_for_a_leader(server: ZooKeeperServer, announcers: Announcers, leaders: Leaders) -> None:
    leader, _ = leaders(server.address, wait_seconds=20)
    assert leader.addresses(0.2) == ()
    announcers().announce(PATH, "member_", entry("late.example.org"))
    assert list(leader.addresses(20)) == ["http://late.example.org:8081"]


def test_mesos_master_with_the_lowest_number_leads(
    server: ZooKeeperServer, announcers: Announcers, leaders: Leaders
) -> None:
    first, second = announcers(), announcers()
    _, master = leaders(server.address)
    for announcer, host in ((first, "m1"), (second, "m2")):
        place = {"address": {"hostname": host, "ip": "10.0.0.1", "port": 5050}, "port": 1, "hostname": "x"}
        announcer.announce("/mesos", "json.info_", place)
    first.announce("/mesos", "log_replicas", b"")
    found(master, ["http://m1:5050", "http://m2:5050"])
    first.expire()
    found(master, ["http://m2:5050"])


def test_expired_session_is_replaced(
    server: ZooKeeperServer, announcers: Announcers, leaders: Leaders
) -> None:
    first = announcers()
    node = first.announce(PATH, "member_", entry("a.example.org"))
    leader, _ = leaders(server.address)
    found(leader, ["http://a.example.org:8081"])
    assert isinstance(leader, ZooKeeperLeader)
    mine = leader._ensemble._open()
    session = mine.client_id
    # Whoever closes a session ends it for all that use it.
    thief = KazooClient(server.address, client_id=session)
    thief.start()
    thief.stop()
    thief.close()
    wait_for(lambda: mine.client_id, lambda now: now not in (None, session), "another session")
    first.withdraw(node)
    first.announce(PATH, "member_", entry("b.example.org"))
    found(leader, ["http://b.example.org:8081"])


def test_ensemble_that_goes_down_and_comes_back(tmp_path: Path, leaders: Leaders) -> None:
    with ensemble(tmp_path) as (server,):
        announcer = Announcer(server.address)
        node = announcer.announce(PATH, "member_", entry("a.example.org"))
        leader, _ = leaders(server.address, session_timeout_seconds=1)
        found(leader, ["http://a.example.org:8081"])
        server.stop()
        leader.note_failure()
        # What was known last stays known while nobody can be asked, even past the session's end.
        wait_for(
            lambda: list(leader.addresses(0.1)), lambda now: now == ["http://a.example.org:8081"], "known"
        )
        announcer.expire()
        server.start()
        server.wait()
        again = Announcer(server.address)
        if again._client.exists(node):
            again.withdraw(node)
        again.announce(PATH, "member_", entry("b.example.org"))
        found(leader, ["http://b.example.org:8081"])
        again.expire()


def test_three_servers_lose_one(tmp_path: Path, leaders: Leaders) -> None:
    with ensemble(tmp_path, 3) as servers:
        hosts = [server.address for server in servers]
        announcer = Announcer(",".join(hosts))
        announcer.announce(PATH, "member_", entry("a.example.org"))
        leader, _ = leaders(hosts[0], hosts=hosts)
        found(leader, ["http://a.example.org:8081"])
        servers[0].stop()
        after = Announcer(",".join(hosts[1:]))
        after.announce(PATH, "member_", entry("b.example.org"))
        wait_for(
            lambda: list(leader.addresses(1)),
            lambda now: now[-1:] == ["http://b.example.org:8081"],
            "changed",
        )
        after.expire()
        announcer.expire()


def test_list_is_used_while_zookeeper_does_not_answer(leaders: Leaders) -> None:
    leader, master = leaders("127.0.0.1:1", schedulers=("http://s1:8081",))
    assert list(leader.addresses(5)) == ["http://s1:8081"]
    assert list(master.addresses(5)) == []


def test_digest_secret_opens_a_closed_path(
    server: ZooKeeperServer, announcers: Announcers, leaders: Leaders, tmp_path: Path
) -> None:
    secret = tmp_path / "digest"
    secret.write_text("aurora:s3cret\n")
    acl = [make_digest_acl("aurora", "s3cret", all=True)]
    owner = announcers(auth_data=[("digest", "aurora:s3cret")])
    owner._client.ensure_path("/closed", acl=acl)
    owner.announce("/closed", "member_", entry("a.example.org"), acl=acl)
    stranger, _ = leaders(server.address, aurora_path="/closed")
    assert list(stranger.addresses(1)) == []
    leader, _ = leaders(server.address, aurora_path="/closed", digest={"file": secret})
    found(leader, ["http://a.example.org:8081"])
    (tmp_path / "wrong").write_text("only-a-name\n")
    broken, _ = leaders(server.address, digest={"file": tmp_path / "wrong"})
    with pytest.raises(ConfigurationError, match="user:password") as caught:
        broken.addresses(1)
    assert "only-a-name" not in str(caught.value)


def test_sasl(tmp_path: Path, leaders: Leaders) -> None:
    jaas = tmp_path / "jaas.conf"
    jaas.write_text(
        'Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_aurora="s3cret"; };\n'
    )
    options = (
        f"-Djava.security.auth.login.config={jaas}",
        "-Dzookeeper.authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
    )
    (tmp_path / "password").write_text("s3cret\n")
    with ensemble(tmp_path, options=options) as (server,):
        sasl = {"mechanism": "DIGEST-MD5", "username": "aurora", "password": "s3cret"}
        announcer = Announcer(server.address, sasl_options=sasl)
        announcer.announce(PATH, "member_", entry("a.example.org"))
        mine = {"username": "aurora", "password": {"file": tmp_path / "password"}}
        leader, _ = leaders(server.address, sasl=mine)
        found(leader, ["http://a.example.org:8081"])
        announcer.expire()


def test_adapter_follows_the_leader(server: ZooKeeperServer, announcers: Announcers, tmp_path: Path) -> None:
    agent = AgentSettings(host="127.0.0.1", cpus=1.0, memory_mb=512, disk_mb=1024)
    keeper = {"hosts": [server.address], "mesos_path": "/mesos-of-adapter", "wait_seconds": 0.2}
    settings = ClusterSettings(name="c", zookeeper={**keeper, "aurora_path": "/of-adapter"})
    clock = SystemClock()
    schedulers, masters = find_leaders(settings, clock)
    adapter = AuroraScheduler(settings, clock, leader=schedulers, master_leader=masters)

    def announced(cluster: ThreadedCluster) -> Announcer:
        announcer = announcers()
        port = int(cluster.scheduler_url.rsplit(":", 1)[1])
        announcer.announce("/of-adapter", "member_", entry("127.0.0.1", port))
        master = {"hostname": "127.0.0.1", "port": int(cluster.master_url.rsplit(":", 1)[1])}
        announcer.announce("/mesos-of-adapter", "json.info_", {"address": master})
        return announcer

    try:
        for name in ("first", "second"):
            mini = MiniSettings(work_dir=tmp_path / name, cluster_name=name, agents=(agent,))
            with ThreadedCluster(mini) as cluster:
                announcer = announced(cluster)
                checks = wait_for(adapter.check, lambda now: all(check.ok for check in now), "well")
                assert any(f"leads cluster {name}" in check.detail for check in checks)
                announcer.expire()
        assert any("is announced" in check.detail for check in adapter.check() if not check.ok)
    finally:
        adapter.close()
