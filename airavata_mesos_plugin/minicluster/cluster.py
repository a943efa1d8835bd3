"""The whole cluster: agents, master and scheduler, wired together and listening."""

from __future__ import annotations

import socket
from types import TracebackType

from airavata_mesos_plugin.minicluster.agents import Agents
from airavata_mesos_plugin.minicluster.clock import Clock, LoopClock, OffsetClock
from airavata_mesos_plugin.minicluster.faults import Faults
from airavata_mesos_plugin.minicluster.http.control import ControlHttp
from airavata_mesos_plugin.minicluster.http.master import MasterHttp
from airavata_mesos_plugin.minicluster.http.scheduler import SchedulerHttp
from airavata_mesos_plugin.minicluster.http.server import Routes, Server
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.node import Node
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.settings import ClusterSettings


class MiniCluster:
    """Runs on the event loop that calls `start`.  `async with` starts and stops it."""

    def __init__(self, settings: ClusterSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = OffsetClock(clock if clock is not None else LoopClock())
        self.master = Master(settings.cluster_name, settings.max_completed_tasks)
        self.agents = Agents(settings, self.clock, self.master)
        self.faults = Faults()
        self.scheduler = Scheduler(settings, self.clock, self.agents, socket.gethostname())
        self._node = Node(settings)
        self._servers: list[Server] = []
        self.scheduler_url = ""
        self.master_url = ""

    @property
    def agent_urls(self) -> list[str]:
        return [slot.server.url for slot in self.agents.slots]

    async def start(self) -> None:
        """Listen and take jobs. Raises OSError when a port is taken or the work directory cannot be made;
        nothing is left listening then."""
        self.settings.work_dir.mkdir(parents=True, exist_ok=True)
        try:
            for agent_settings in self.settings.agents:
                await self.agents.start(agent_settings)
            self.master_url = await self._serve(MasterHttp(self.master).routes(), self.settings.master_port)
            self.master.port = self._servers[-1].port
            routes = dict(SchedulerHttp(self._node, self.faults, self.clock).routes())
            if self.settings.control:
                routes.update(ControlHttp(self.faults, self.agents, self.clock).routes())
            self._node.scheduler = self.scheduler
            self.agents.connect(self.scheduler)
            self.scheduler_url = await self._serve(routes, self.settings.scheduler_port)
            self._node.url = self.master.scheduler_url = self.scheduler_url
        except OSError:
            await self.stop()
            raise
        self.scheduler.start()

    async def stop(self) -> None:
        """End all tasks and close all sockets; nothing runs afterwards.  May be repeated."""
        self.scheduler.stop()
        await self.agents.stop()
        while self._servers:
            await self._servers.pop().stop()

    async def __aenter__(self) -> MiniCluster:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, routes: Routes, port: int) -> str:
        server = Server(routes)
        self._servers.append(server)
        await server.start(port)
        return server.url
