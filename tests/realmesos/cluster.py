"""Starts and stops a real cluster on loopback: masters, agents, ZooKeeper."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import requests
from kazoo.client import KazooClient

from tests.realmesos.access import AccessFlags, Json, Tls
from tests.realmesos.hosts import Host, Network, NodeServer
from tests.realmesos.server import Server
from tests.support.waiting import wait_for
from tests.support.zookeeper import ensemble

T = TypeVar("T")

RESOURCES = "cpus:4;mem:4096;disk:8192;ports:[31000-31999]"
START_SECONDS = 60.0
REQUEST_SECONDS = 30.0
_MARK = "REALMESOS_CLUSTER"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RealMesosCluster:
    """Masters on 127.0.2.1, 127.0.2.2, ..., agents on 127.0.1.1, 127.0.1.2, ..., each on a port of its own.

    ``credentials`` maps principals to secrets: every HTTP realm then asks for them, and the first principal
    is the operator as whom this object asks. ``acls`` is Mesos' JSON document. ``tls`` needs a certificate
    for the addresses above. ``zookeeper`` is needed for more than one master. Flags given here are added to
    those of all masters or agents; an agent's flag takes the place of one of the same name. ``agent_prefix``
    is a command that starts agents, ``unshare --mount`` for instance. Without root, tasks run as the present
    user.

    With ``own_hosts`` each agent is on one of ``hosts``, called node1.cluster.example and so on, and the
    master can be asked by this object and from those hosts only. Scripts on all nodes see ``shared``.
    """

    def __init__(
        self,
        directory: Path,
        build: Path,
        *,
        masters: int = 1,
        agents: int = 2,
        credentials: Mapping[str, str] | None = None,
        acls: Json | None = None,
        tls: Tls | None = None,
        zookeeper: bool = False,
        resources: str = RESOURCES,
        master_flags: Sequence[str] = (),
        agent_flags: Sequence[str] = (),
        agent_prefix: Sequence[str] = (),
        own_hosts: bool = False,
    ) -> None:
        if masters > 1 and not zookeeper:
            raise ValueError("masters elect their leader in ZooKeeper")
        if own_hosts and zookeeper:
            raise ValueError("ZooKeeper runs on loopback, where hosts of their own cannot reach it")
        self.directory = directory.resolve()
        self.shared = self.directory / "shared"
        self.network = Network(self.directory / "network") if own_hosts else None
        self.hosts: list[Host] = []
        self.credentials = credentials
        self.tls = tls
        self.scheme = "https" if tls else "http"
        self.masters: list[Server] = []
        self.agents: list[Server] = []
        self.zookeeper_address = ""
        self._build = build
        self._counts = (masters, agents)
        self._zookeeper = zookeeper
        self._access = AccessFlags(self.directory / "access", credentials, acls)
        self._resources = resources
        self._master_flags = tuple(master_flags)
        self._agent_flags = tuple(agent_flags)
        self._agent_prefix = tuple(agent_prefix)
        self._stack = ExitStack()
        self._session = requests.Session()
        self._session.trust_env = False
        if credentials:
            self._session.auth = next(iter(credentials.items()))
        if tls:
            self._session.verify = str(tls.ca_file)
            self._session.cert = (str(tls.certificate), str(tls.key))

    def __enter__(self) -> RealMesosCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when all agents are registered with the leading master."""
        self._stack.callback(self._session.close)
        self.shared.mkdir(parents=True, exist_ok=True)
        if self.network is not None:
            self._stack.enter_context(self.network)
        if self._zookeeper:
            (server,) = self._stack.enter_context(ensemble(self.directory / "zookeeper"))
            self.zookeeper_address = server.address
        masters, agents = self._counts
        for _ in range(masters):
            self.add_master()
        for _ in range(agents):
            self.add_agent()
        self.registered(agents)

    def stop(self) -> None:
        """Ends every process of the cluster, executors and tasks too. Repeatable."""
        for server in [*self.agents, *self.masters]:
            server.kill()
        wait_for(self._kill_leftovers, lambda found: not found, "without processes of the cluster")
        self._stack.close()

    @property
    def zookeeper_url(self) -> str:
        """Where masters announce themselves, zk://host:port/path."""
        return f"zk://{self.zookeeper_address}/mesos"

    def url(self, server: Server) -> str:
        return f"{self.scheme}://{server.address}"

    def add_master(self, *flags: str) -> Server:
        """One more, started. Without ZooKeeper there may be one only."""
        number = len(self.masters) + 1
        directory, ip, prefix = self.directory / f"master{number}", f"127.0.2.{number}", list[str]()
        if self.network is not None:
            ip, prefix = self.network.address, self.network.prefix
        where = ["--registry=in_memory"]
        if self._zookeeper:
            quorum = self._counts[0] // 2 + 1
            where = [f"--zk={self.zookeeper_url}", f"--quorum={quorum}", "--zk_session_timeout=30secs"]
        command = [
            *(str(self._build / "mesos-master"), f"--ip={ip}", f"--hostname={ip}", "--no-hostname_lookup"),
            *(f"--work_dir={directory}/work", "--allocation_interval=100ms", *where),
            *(*self._access.master(), *self._master_flags, *flags),
        ]
        master = Server(f"master{number}", directory, command, ip, self._environment(), prefix)
        self.masters.append(master)
        master.start()
        return master

    def add_agent(self, *flags: str) -> Server:
        """One more, started."""
        number = len(self.agents) + 1
        directory, ip = self.directory / f"agent{number}", f"127.0.1.{number}"
        host = self._add_host(number, directory)
        ip, hostname = (host.address, host.name) if host else (ip, ip)
        master = self.zookeeper_url if self._zookeeper else self.masters[0].address
        if os.geteuid() != 0:
            flags = ("--no-switch_user", *flags)
        command = [
            *(str(self._build / "mesos-agent"), f"--ip={ip}", "--no-hostname_lookup"),
            f"--hostname={hostname}",
            *(f"--master={master}", f"--work_dir={directory}/work", f"--runtime_dir={directory}/run"),
            *(f"--fetcher_cache_dir={directory}/fetch", f"--launcher_dir={self._build}"),
            *("--launcher=posix", "--isolation=posix/cpu,posix/mem", "--containerizers=mesos"),
            *("--no-systemd_enable_support", "--registration_backoff_factor=10ms"),
            f"--executor_environment_variables={json.dumps(self._executor_environment())}",
            f"--resources={self._resources}",
            *(*self._access.agent(), *self._agent_flags, *flags),
        ]
        # Mesos takes each flag once only: the last one here.
        command = [*self._agent_prefix, *{flag.partition("=")[0]: flag for flag in command}.values()]
        if host is not None:
            agent: Server = NodeServer(f"agent{number}", directory, command, host, self._environment())
        else:
            agent = Server(f"agent{number}", directory, command, ip, self._environment())
        self.agents.append(agent)
        agent.start()
        return agent

    def get(self, server: Server, path: str) -> Any:
        """The JSON document of an endpoint. Raises requests.RequestException when there is none."""
        response = self._ask(lambda: self._session.get(self.url(server) + path, timeout=REQUEST_SECONDS))
        response.raise_for_status()
        return response.json() if response.content else None

    def post(self, server: Server, path: str, body: Json, headers: Mapping[str, str] | None = None) -> bytes:
        """The answer to a v1 call. Raises requests.RequestException when the server refuses it."""
        url = self.url(server) + path
        response = self._ask(
            lambda: self._session.post(url, json=body, headers=headers, timeout=REQUEST_SECONDS)
        )
        response.raise_for_status()
        return response.content

    def kill_master(self, master: Server) -> None:
        """End it at once. What it announced goes too, as ZooKeeper does once its session is over.

        Sessions are long: a master whose session ends gives up, also when only the machine stood still.
        """
        master.kill()
        client = KazooClient(self.zookeeper_address)
        client.start()
        try:
            for path in ("/mesos", "/mesos/log_replicas"):
                for node in client.get_children(path):
                    if master.address.encode() in client.get(f"{path}/{node}")[0]:
                        client.delete(f"{path}/{node}")
        finally:
            client.stop()
            client.close()

    def leader(self) -> Server:
        """The leading master; waits for one."""
        (found,) = self._until(self._leaders, bool, "a leading master")
        return found

    def registered(self, count: int) -> list[Json]:
        """Waits until the leader lists ``count`` active agents; returns what it says of them."""
        return self._until(self._active_agents, lambda found: len(found) == count, f"{count} agents")

    def replicated(self) -> None:
        """Waits until every master's copy of the registry can vote.

        Before that the loss of one master can leave the others without a quorum: a test of that begins here.
        """
        self._until(self._recovering, lambda found: not found, "registries recovered on all masters")

    def sandbox(self, agent: Server, framework: str, executor: str) -> str:
        """Directory of an executor's newest run, from the agent's state. Raises KeyError when it has none."""
        state = self.get(agent, "/state")
        for one in [*state["frameworks"], *state["completed_frameworks"]]:
            for candidate in [*one["executors"], *one["completed_executors"]]:
                if (one["id"], candidate["id"]) == (framework, executor):
                    return str(candidate["directory"])
        raise KeyError(executor)

    def _add_host(self, number: int, directory: Path) -> Host | None:
        if self.network is None:
            return None
        directory.mkdir(parents=True)
        host = self.network.node(number, [directory, self.shared, self._build])
        self.hosts.append(host)
        return host

    def _ask(self, request: Callable[[], requests.Response]) -> requests.Response:
        return request() if self.network is None else self.network.ask(request)

    def _until(self, look: Callable[[], T], good: Callable[[T], bool], what: str) -> T:
        def quiet() -> tuple[T, ...]:
            try:
                return (look(),)
            except (requests.RequestException, ValueError):
                return ()

        def enough(found: tuple[T, ...]) -> bool:
            return bool(found) and good(found[0])

        (value,) = wait_for(quiet, enough, what, seconds=START_SECONDS, context=self._logs)
        return value

    def _leaders(self) -> list[Server]:
        for master in self.masters:
            try:
                state = self.get(master, "/state") if master.running() else {}
            except (requests.RequestException, ValueError):
                continue
            # A follower's answer comes from the leader, by redirection.
            if "elected_time" in state and state["pid"].endswith("@" + master.address):
                return [master]
        return []

    def _active_agents(self) -> list[Json]:
        found = [self.get(master, "/slaves")["slaves"] for master in self._leaders()]
        return [agent for agents in found for agent in agents if agent["active"]]

    def _recovering(self) -> list[str]:
        key = "registrar/log/recovered"
        return [m.name for m in self.masters if self.get(m, "/metrics/snapshot").get(key) != 1]

    def _logs(self) -> str:
        servers = [*self.masters, *self.agents]
        return "\n".join(f"{server.name}:\n{server.log()[-4000:]}" for server in servers)

    def _environment(self) -> dict[str, str]:
        return {"PATH": _PATH, "LANG": "C.UTF-8", **(self.tls.environment() if self.tls else {})}

    def _executor_environment(self) -> dict[str, str]:
        return {**self._environment(), _MARK: str(self.directory)}

    def _kill_leftovers(self) -> list[int]:
        """What agents started and left behind, known by this cluster's directory in its environment.

        A checkpointed executor waits for a killed agent to come back, by design.
        """
        marks = (f"{_MARK}={self.directory}\0".encode(), f"={self.directory}/agent".encode())
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdecimal() or entry.name == str(os.getpid()):
                    continue
                environment = (entry / "environ").read_bytes()
                if any(mark in environment for mark in marks):
                    found.append(int(entry.name))
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue  # it has ended meanwhile, or is a kernel's own
        return found
