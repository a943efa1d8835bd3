"""A real Mesos whose agents, and the daemon, are on hosts of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.hosts import Host
from tests.realmesos.server import Server
from tests.support.hasty_wrapper import hasty_templates
from tests.support.mesos_site import MesosSite, running_mesos_site
from tests.support.waiting import wait_for

SOON = ("--agent_ping_timeout=2secs", "--max_agent_ping_timeouts=4")
"""Flags of masters that take an agent for unreachable that is cut off, but not one that only stalls."""


class Hosts:
    """The cluster, the host of the daemon, and the compute resource on it."""

    def __init__(self, cluster: RealMesosCluster, submission: Host, site: MesosSite) -> None:
        self.cluster = cluster
        self.submission = submission
        self.site = site

    def file(self, name: str) -> Path:
        """A file that scripts on all nodes, and tests, see under this path."""
        return self.cluster.shared / f"{self.site.directory.name}-{name}"

    def until(self, name: str) -> str:
        """A command that waits until a test makes that file."""
        return f"while [ ! -e {self.file(name)} ]; do sleep 0.05; done"

    def node(self, name: str) -> tuple[Host, Server]:
        """A node by its name, with or without the domain, and its agent."""
        (found,) = (
            pair
            for pair in zip(self.cluster.hosts, self.cluster.agents, strict=True)
            if name in (pair[0].name, pair[0].name.partition(".")[0])
        )
        return found

    def at_work(self) -> list[str]:
        """All that runs on the nodes besides their agents."""
        return [
            f"{host.name}: {line}"
            for host, agent in zip(self.cluster.hosts, self.cluster.agents, strict=True)
            for pid, line in host.processes().items()
            if pid != agent.pid
        ]

    def executors(self) -> int:
        """How many tasks there are on all nodes, as far as processes tell."""
        return sum("/mesos-executor " in line for line in self.at_work())

    def nothing_left(self) -> None:
        """Waits until no task is known any more, and no process of one is there."""
        wait_for(self.site.tasks, {}.__eq__, "no task left")
        wait_for(self.at_work, [].__eq__, "no process left on any node")

    def states(self) -> set[str]:
        """How the master says that the tasks of this site are."""
        return set(self.site.tasks().values())


HostsFactory = Callable[..., Hosts]


@pytest.fixture
def make_hosts(
    own_hosts: bool, real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostsFactory]:
    """Makes clusters for one test; arguments are those of `running_hosts`."""
    assert own_hosts
    with ExitStack() as stack:

        def make(**options: Any) -> Hosts:
            return stack.enter_context(running_hosts(tmp_path_factory, real_mesos_build, **options))

        yield make


@contextmanager
def running_hosts(
    directories: pytest.TempPathFactory,
    build: Path,
    *,
    agents: int = 3,
    master_flags: Sequence[str] = SOON,
    **settings: Any,
) -> Iterator[Hosts]:
    """A cluster whose agents are on hosts of their own, and a site on it; ``settings`` are as of `Site`."""
    directory = directories.mktemp("mesos")
    with (
        RealMesosCluster(
            directory, build, agents=agents, own_hosts=True, master_flags=master_flags
        ) as cluster,
        another_site(directories, cluster, settings) as hosts,
    ):
        yield hosts


@contextmanager
def another_site(
    directories: pytest.TempPathFactory,
    cluster: RealMesosCluster,
    settings: Mapping[str, Any],
    number: int = 2,
) -> Iterator[Hosts]:
    """A site on a cluster that runs, with a daemon on another host, of that number."""
    assert cluster.network is not None
    submission = cluster.network.submission_host(number)
    directory = directories.mktemp("site")
    every = {"template_directories": [hasty_templates(directory)], **settings}
    with running_mesos_site(directory, cluster, every, submission) as site:
        yield Hosts(cluster, submission, site)
