"""The whole cluster: agents, master and scheduler, wired together and listening."""

from __future__ import annotations

import os
import shutil
import socket
from types import TracebackType

from airavata_mesos_plugin.minicluster.clock import Clock, LoopClock
from airavata_mesos_plugin.minicluster.http.agent import AgentHttp
from airavata_mesos_plugin.minicluster.http.master import MasterHttp
from airavata_mesos_plugin.minicluster.http.scheduler import SchedulerHttp
from airavata_mesos_plugin.minicluster.http.server import Route, Routes, Server
from airavata_mesos_plugin.minicluster.launch import Launch
from airavata_mesos_plugin.minicluster.mesos.agent import Agent, AgentInfo
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount, milli
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings

_MIB = 1024 * 1024


def _host_memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB


class MiniCluster:
    """Runs on the event loop that calls `start`.  `async with` starts and stops it."""

    def __init__(self, settings: ClusterSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.master = Master(settings.cluster_name, settings.max_completed_tasks)
        self._clock = clock if clock is not None else LoopClock()
        self.scheduler = Scheduler(settings, self._clock, self, socket.gethostname())
        self._servers: list[Server] = []
        self.scheduler_url = ""
        self.master_url = ""
        self.agent_urls: list[str] = []

    async def start(self) -> None:
        """Listen and take jobs. Raises OSError when a port is taken or the work directory cannot be made;
        nothing is left listening then."""
        self.settings.work_dir.mkdir(parents=True, exist_ok=True)
        try:
            for agent_settings in self.settings.agents:
                await self._start_agent(agent_settings)
            self.master_url = await self._serve(MasterHttp(self.master).routes(), self.settings.master_port)
            self.master.port = self._servers[-1].port
            scheduler_routes = SchedulerHttp(self.scheduler).routes()
            self.scheduler_url = await self._serve(scheduler_routes, self.settings.scheduler_port)
            self.master.scheduler_url = self.scheduler_url
        except OSError:
            await self.stop()
            raise
        self.scheduler.start()

    async def stop(self) -> None:
        """End all tasks and close all sockets; nothing runs afterwards.  May be repeated."""
        self.scheduler.stop()
        for agent in self.master.agents.values():
            await agent.stop()
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

    async def _start_agent(self, asked: AgentSettings) -> None:
        routes: dict[str, Route] = {}  # filled once the port is known, which the agent's objects tell
        server = Server(routes)
        self._servers.append(server)
        await server.start(asked.port)
        info = self._agent_info(asked, server.port)
        agent = Agent(info, self.settings, self._clock, self._on_status)
        routes.update(AgentHttp(agent, self.master.start_time).routes())
        self.master.agents[info.agent_id] = agent
        self.agent_urls.append(server.url)
        total = Amount(
            cpu=milli(info.cpus),
            ram=info.memory_mb,
            disk=info.disk_mb,
            ports=info.ports[1] - info.ports[0] + 1,
            gpus=info.gpus,
        )
        self.scheduler.add_host(Host(info.agent_id, info.host, info.attributes, total, info.ports))

    def _agent_info(self, asked: AgentSettings, port: int) -> AgentInfo:
        free_disk = shutil.disk_usage(self.settings.work_dir).free // _MIB
        return AgentInfo(
            agent_id=self.master.next_agent_id(),
            framework_id=self.master.framework_id,
            host=asked.host,
            port=port,
            cpus=float(len(os.sched_getaffinity(0))) if asked.cpus is None else asked.cpus,
            memory_mb=_host_memory_mb() if asked.memory_mb is None else asked.memory_mb,
            disk_mb=free_disk if asked.disk_mb is None else asked.disk_mb,
            gpus=asked.gpus,
            ports=asked.ports,
            attributes={"host": (asked.host,), **asked.attributes},
        )

    # The scheduler's way to the agents (scheduler.core.Driver)

    def launch(self, agent_id: str, launch: Launch) -> None:
        self.master.add(self.master.agents[agent_id].launch(launch))

    def kill(self, agent_id: str, task_id: str) -> None:
        self.master.agents[agent_id].kill(task_id)

    def _on_status(self, task: MesosTask, message: str | None) -> None:
        self.master.updated(task)
        self.scheduler.status_update(task.launch.task_id, task.state, message)
