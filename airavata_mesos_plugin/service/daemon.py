"""The daemon: everything started in order, and ended in the opposite order."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from airavata_mesos_plugin.airavata.publishers import make_channels
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service.accounts import Accounts
from airavata_mesos_plugin.service.commands import CommandServer
from airavata_mesos_plugin.service.embedded import EmbeddedCluster, with_addresses
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.service.http import StagingServer
from airavata_mesos_plugin.service.loops import Loops
from airavata_mesos_plugin.service.parts import close_parts, make_parts
from airavata_mesos_plugin.service.peers import PeerServer
from airavata_mesos_plugin.service.people import PeopleCalls
from airavata_mesos_plugin.service.publishing import Publishing

log = logging.getLogger(__name__)

CHILD_CHECK_SECONDS = 1.0
"""Between two looks whether the embedded minicluster still runs."""

FIRST_LOOK_SECONDS = 5.0
"""How long the start waits for clusters that do not answer."""


DESCRIPTORS = 65536
"""Open files that the daemon asks for."""


class Daemon:
    """One provider daemon in the foreground."""

    def __init__(
        self, settings: ProviderSettings, config: Path | None, home: Home, *, exit_with_parent: bool = False
    ) -> None:
        self._settings = settings
        self._config = config
        self._home = home
        self._exit_with_parent = exit_with_parent

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. Raises ConfigurationError or LedgerError."""
        if self._exit_with_parent and not _die_with_parent():
            return 1
        early: list[int] = []
        # Until the loop takes signals they are only noted: an exception in the middle of starting a
        # minicluster would leave one that nobody waits for.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: early.append(number))
        self._home.prepare()
        with self._home.held():
            clusters = [
                EmbeddedCluster(cluster.name, self._home.minicluster / cluster.name)
                for cluster in self._settings.clusters
                if cluster.embedded
            ]
            try:
                settings = self._settings
                for cluster in clusters:
                    settings = with_addresses(settings, cluster.name, cluster.start())
                return 0 if early else asyncio.run(self._serve(settings, clusters, early))
            finally:
                for cluster in clusters:
                    cluster.stop()

    async def _serve(
        self, settings: ProviderSettings, clusters: list[EmbeddedCluster], early: list[int]
    ) -> int:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        if early:
            over.set()
        clock = SystemClock()
        _raise_descriptor_limit()
        accounts = Accounts(settings.accounts, clock)
        staging = StagingServer(settings.staging, self._home.staging_port)
        async with AsyncExitStack() as stack:
            parts = make_parts(settings, self._home, clock, lambda: staging.url)
            stack.callback(close_parts, parts)
            channels = make_channels(settings.airavata, parts.ledger.instance)
            publishing = Publishing(channels, parts.ledger, clock, settings.airavata)
            stack.push_async_callback(loop.run_in_executor, None, publishing.close)
            publishing.start()
            stop = threading.Event()
            provider = Provider(parts, stop)
            await staging.start(provider)
            stack.push_async_callback(staging.stop)
            # A first look at the nodes, so that impossible requests are refused from the start.
            looks = [loop.run_in_executor(None, provider.monitor.refresh_nodes, name) for name in parts.views]
            await asyncio.wait(looks, timeout=FIRST_LOOK_SECONDS)
            await stack.enter_async_context(_running(Loops(provider, parts, stop)))
            people = PeopleCalls(provider, clock, self._facts, publishing.describe)
            commands = CommandServer(self._home.socket, provider, people, accounts)
            await commands.start()
            stack.push_async_callback(commands.stop)
            peers = PeerServer(self._home.peer_socket, provider, settings.service, accounts)
            stack.push_async_callback(peers.stop)
            await peers.start()
            self._announce(staging, peers)
            return await self._watch(over, clusters)

    async def _watch(self, over: asyncio.Event, clusters: list[EmbeddedCluster]) -> int:
        while not over.is_set():
            try:
                await asyncio.wait_for(over.wait(), CHILD_CHECK_SECONDS if clusters else None)
            except asyncio.TimeoutError:
                if not all(cluster.alive() for cluster in clusters):
                    log.error("the embedded minicluster has ended; start the daemon again")
                    return 1
        return 0

    def _facts(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "home": str(self._home.directory),
            "config": str(self._config) if self._config else None,
        }

    def _announce(self, staging: StagingServer, peers: PeerServer) -> None:
        ready: dict[str, object] = {"pid": os.getpid(), "socket": str(self._home.socket), "http": staging.url}
        ready.update(provider_socket=str(self._home.peer_socket), provider_port=peers.port)
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()


@asynccontextmanager
async def _running(loops: Loops) -> AsyncIterator[None]:
    loops.start()
    try:
        yield
    finally:
        await asyncio.get_running_loop().run_in_executor(None, loops.close)


def _raise_descriptor_limit() -> None:
    """As many connections as the administrator allows, and not as few as old programs can stand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def log_to_stderr(verbose: bool) -> None:
    """Log lines on stderr: warnings, or everything of ours when ``verbose``."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    if verbose:
        logging.getLogger("airavata_mesos_plugin").setLevel(logging.INFO)


def _die_with_parent() -> bool:
    """Ask the kernel for SIGTERM when the parent ends; False when it has ended already (Linux prctl)."""
    pr_set_pdeathsig = 1
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    return os.getppid() == parent and parent != 1
