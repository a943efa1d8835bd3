"""The whole cluster: agents, master and schedulers, wired together and listening."""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Iterable
from types import TracebackType

from airavata_mesos_plugin.minicluster.agents import Agents
from airavata_mesos_plugin.minicluster.ballot import ZooKeeperBallot
from airavata_mesos_plugin.minicluster.clock import Clock, LoopClock, OffsetClock
from airavata_mesos_plugin.minicluster.faults import Faults
from airavata_mesos_plugin.minicluster.frameworks.calls import Calls
from airavata_mesos_plugin.minicluster.frameworks.registry import Registry
from airavata_mesos_plugin.minicluster.http.control import ControlHttp
from airavata_mesos_plugin.minicluster.http.frameworks import FrameworksHttp
from airavata_mesos_plugin.minicluster.http.master import MasterHttp
from airavata_mesos_plugin.minicluster.http.master_calls import MasterCallsHttp
from airavata_mesos_plugin.minicluster.http.scheduler import SchedulerHttp
from airavata_mesos_plugin.minicluster.http.security import Security, accounts_of, read_ini
from airavata_mesos_plugin.minicluster.http.server import Routes, Server
from airavata_mesos_plugin.minicluster.masters import Masters
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.node import Node
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
from airavata_mesos_plugin.minicluster.state import Entry, Lock, SqliteJournal, by_kind

_LOG = logging.getLogger(__name__)


def _security(settings: ClusterSettings) -> Security | None:
    if settings.users is None and settings.shiro_ini is None:
        return None
    accounts = {} if settings.shiro_ini is None else read_ini(settings.shiro_ini)
    return Security({**accounts, **accounts_of(settings.users or {})})


class MiniCluster:
    """Runs on the event loop that calls `start`.  `async with` starts and stops it."""

    def __init__(self, settings: ClusterSettings, clock: Clock | None = None) -> None:
        """Raises ValueError for settings that do not go together."""
        if settings.schedulers < 1 or (settings.schedulers > 1 and not settings.zookeeper):
            raise ValueError("several schedulers need a ZooKeeper in which they elect their leader")
        if settings.masters < 1:
            raise ValueError("there must be a master")
        if settings.mesos_path and not settings.zookeeper:
            raise ValueError("masters that announce themselves need a ZooKeeper")
        self.settings = settings
        self.token = uuid.uuid4().hex
        self.clock = OffsetClock(clock if clock is not None else LoopClock())
        self.master = Master(settings.cluster_name, settings.max_completed_tasks)
        self.agents = Agents(settings, self.clock, self.master)
        self.faults = Faults()
        self.frameworks = Registry(settings, self.clock, self.master, self.agents, self.faults)
        self.agents.others = self.frameworks
        self.masters = Masters(self.master, self.frameworks)
        self.nodes = [Node(settings, self.clock, self) for _ in range(settings.schedulers)]
        self._lock = Lock(settings.state_path / "scheduler.lock")
        self._journal: SqliteJournal | None = None
        self._recovered: list[Entry] | None = None
        self._servers: list[Server] = []

    @property
    def master_url(self) -> str:
        """That of the first master, which sends clients on when another one leads."""
        return self.masters.urls[0]

    @property
    def leader(self) -> Node | None:
        """The scheduler that leads, if it is one of this cluster's."""
        return next((node for node in self.nodes if node.scheduler is not None), None)

    @property
    def scheduler(self) -> Scheduler:
        """Raises RuntimeError when none of this cluster leads."""
        leader = self.leader
        if leader is None or leader.scheduler is None:
            raise RuntimeError("no scheduler of this cluster leads")
        return leader.scheduler

    @property
    def scheduler_url(self) -> str:
        """That of the first scheduler, which sends clients on when another one leads."""
        return self.nodes[0].url

    @property
    def scheduler_urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    @property
    def agent_urls(self) -> list[str]:
        return [slot.server.url for slot in self.agents.slots]

    async def start(self) -> None:
        """Listen and take jobs. Raises OSError when a port is taken or a directory cannot be used, and
        ValueError for accounts that cannot be read; nothing is left listening then."""
        self.settings.work_dir.mkdir(parents=True, exist_ok=True)
        self.settings.state_path.mkdir(parents=True, exist_ok=True)
        try:
            for agent_settings in self.settings.agents:
                await self.agents.start(agent_settings)
            await self._start_masters()
            security = _security(self.settings)
            for number, node in enumerate(self.nodes):
                routes = dict(SchedulerHttp(node, self.faults, self.clock, security).routes())
                if self.settings.control:
                    routes.update(ControlHttp(self).routes())
                node.url = await self._serve(routes, self.settings.scheduler_port if number == 0 else 0)
                await node.start()
        except (OSError, ValueError):
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all tasks and close all sockets; nothing runs afterwards.  May be repeated."""
        for node in self.nodes:
            await node.stop()
        self.frameworks.stop()
        await self.agents.stop()
        await self.masters.stop()
        self._lock.give_back()
        while self._servers:
            await self._servers.pop().stop()

    async def __aenter__(self) -> MiniCluster:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start_masters(self) -> None:
        settings = self.settings
        calls = Calls(self.clock, self.frameworks, self.master, self.agents, switch_user=settings.switch_user)
        api = FrameworksHttp(self.frameworks, calls, self.faults, settings.max_request_bytes)
        operations = MasterCallsHttp(self.master, self.frameworks, self.agents)
        ports = []
        for number in range(settings.masters):
            door = MasterHttp(self.master, number, self.masters)
            routes = {**door.routes(), **door.led({**api.routes(), **operations.routes()})}
            await self._serve(routes, settings.master_port if number == 0 else 0, True)
            ports.append(self._servers[-1].port)
        await self.masters.start(ports, ZooKeeperBallot(settings) if settings.mesos_path else None)

    async def _serve(self, routes: Routes, port: int, notices_leaving: bool = False) -> str:
        server = Server(routes, notices_leaving=notices_leaving)
        self._servers.append(server)
        await server.start(port)
        return server.url

    # What a leader takes over and hands on (node.Throne)

    async def ascend(self, url: str) -> Scheduler | None:
        if self.settings.remembers:
            if not self._lock.take():
                return None
            self._journal = SqliteJournal(self.settings.state_path / "scheduler.db", self.clock)
        scheduler = Scheduler(self.settings, self.clock, self.agents, socket.gethostname(), self._journal)
        scheduler.on_recovery = self._recover
        if self._journal is not None:
            scheduler.restore(self._journal.all())
        elif self._recovered is not None:
            scheduler.restore(by_kind(self._recovered))
            self._recovered = None
        self.master.scheduler_url = url
        self.agents.connect(scheduler)
        scheduler.start()
        scheduler.reconcile()
        # A scheduler that comes from a backup does not know what was started after that was written.
        self.agents.end_others(lambda task_id: scheduler.store.get(task_id) is not None)
        return scheduler

    def _recover(self, entries: Iterable[Entry]) -> None:
        leader = self.leader
        if self._journal is not None:
            self._journal.replace(entries)
        else:
            self._recovered = list(entries)
        if leader is not None:
            leader.begin_again()

    async def descend(self, scheduler: Scheduler) -> None:
        scheduler.stop()
        self.agents.disconnect(scheduler)
        journal, self._journal = self._journal, None
        if journal is not None:
            try:
                journal.close()
            except OSError as error:
                _LOG.error("what changed last is forgotten: %s", error)

    async def yield_state(self) -> None:
        if self._lock.held:
            await self.agents.end_all()
            self._lock.give_back()
