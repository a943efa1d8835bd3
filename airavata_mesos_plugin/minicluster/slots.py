"""One agent through all its lives, and who is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from airavata_mesos_plugin.minicluster.http.server import Route, Server
from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.link import Link
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask, Status
from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.settings import AgentSettings


class Framework(Protocol):
    """The Aurora scheduler, as the agents see it."""

    def add_host(self, host: Host) -> None: ...

    def remove_host(self, agent_id: str) -> None:
        """The agent takes no more tasks.  Harmless for an unknown one."""

    def status_update(self, task_id: str, mesos_state: str, message: str | None) -> None: ...

    def resources_freed(self) -> None:
        """There is more room than before on some host."""


class Others(Protocol):
    """All frameworks but Aurora, as the agents see them."""

    def agent_added(self, agent_id: str) -> None:
        """It is new, or back."""

    def agent_removed(self, agent_id: str, *, returns: bool) -> None:
        """It takes no more tasks, and its offers are void.  Whether it may come back with its tasks."""

    def status(self, task: MesosTask, status: Status) -> None:
        """A task of theirs has a new state; the master has noted it."""

    def task_back(self, task: MesosTask, news: Sequence[Status]) -> None:
        """The agent of a task can be reached again; `news` is what nobody has heard of the task yet."""

    def task_found(self, task: MesosTask) -> None:
        """A task runs that the master did not know of."""

    def knows(self, framework_id: str) -> bool:
        """Whether there is such a framework; the tasks of others are to be ended."""


class State(str, Enum):
    REGISTERED = "registered"
    PARTITIONED = "partitioned"
    LOST = "lost"


class Slot:
    """One agent of the settings through all its lives."""

    def __init__(self, settings: AgentSettings, server: Server, routes: dict[str, Route], link: Link) -> None:
        self.settings = settings
        self.server = server
        self.routes = routes
        self.link = link
        self.state = State.REGISTERED
        self.port = 0

    @property
    def agent(self) -> Agent:
        return self.link.agent
