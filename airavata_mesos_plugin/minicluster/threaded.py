"""A cluster on an event loop and thread of its own, for programs that have no loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.cluster import MiniCluster
from airavata_mesos_plugin.minicluster.faults import Fault
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_START_TIMEOUT = 30.0
_STEP_TIMEOUT = 60.0
T = TypeVar("T")


class ThreadedCluster:
    """Context manager: listening when entered, nothing left running when left.  Not to be entered twice."""

    def __init__(self, settings: ClusterSettings, clock: Clock | None = None) -> None:
        """With a `clock` that is moved by hand, move it through `run`."""
        self._settings = settings
        self._clock = clock
        self._thread = threading.Thread(target=self._main, name="minicluster", daemon=True)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self.cluster: MiniCluster | None = None

    def __enter__(self) -> ThreadedCluster:
        """Raises what starting the cluster raises."""
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT):
            raise TimeoutError(f"the minicluster did not start within {_START_TIMEOUT} s")
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises what stopping the cluster raises, unless an error is on its way already."""
        if self._loop is not None and self._leave is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _started(self) -> MiniCluster:
        if self.cluster is None:
            raise RuntimeError("the minicluster has not been started: use it as a context manager")
        return self.cluster

    @property
    def scheduler_url(self) -> str:
        return self._started().scheduler_url

    @property
    def scheduler_urls(self) -> list[str]:
        return self._started().scheduler_urls

    @property
    def master_url(self) -> str:
        return self._started().master_url

    @property
    def master_urls(self) -> list[str]:
        return list(self._started().masters.urls)

    @property
    def agent_urls(self) -> list[str]:
        return list(self._started().agent_urls)

    def run(self, step: Callable[[MiniCluster], T]) -> T:
        """Do something with the cluster on its own thread, and wait for what comes of it. Raises what the
        step raises, and TimeoutError after a minute."""

        async def carry_out(cluster: MiniCluster) -> T:
            return step(cluster)

        return self.run_async(carry_out)

    def run_async(self, step: Callable[[MiniCluster], Coroutine[Any, Any, T]]) -> T:
        """As `run`, for what waits itself."""
        cluster, loop = self._started(), self._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(step(cluster), loop).result(_STEP_TIMEOUT)

    # Faults, for tests

    def add_fault(self, fault: Fault) -> None:
        self.run(lambda cluster: cluster.faults.add(fault))

    def clear_faults(self) -> None:
        self.run(lambda cluster: cluster.faults.clear())

    def lose_agent(self, name: str) -> None:
        """The machine is gone with all its tasks.  For `name` see `Agents.slot`; raises LookupError."""
        self.run_async(lambda cluster: cluster.agents.lose(name))

    def partition_agent(self, name: str) -> None:
        """Nobody but clients reaches the agent; its tasks go on.  Raises LookupError."""
        self.run(lambda cluster: cluster.agents.partition(name))

    def return_agent(self, name: str) -> None:
        """A lost agent starts empty, a partitioned one is reached again.  Raises LookupError."""
        self.run_async(lambda cluster: cluster.agents.give_back(name))

    def mark_agent_gone(self, name: str) -> None:
        """As `lose_agent`, and an operator has told the master so.  Raises LookupError."""
        self.run_async(lambda cluster: cluster.agents.lose(name, gone=True))

    def fail_over_master(self) -> None:
        """The leading Mesos master is gone; the next one leads, or the only one anew.  It knows of tasks and
        frameworks what their agents tell it.  Raises OSError when ZooKeeper is not to be reached."""
        self.run_async(lambda cluster: cluster.masters.fail_over())

    def vacate_master(self) -> None:
        """The leading Mesos master is gone, and none leads until `elect_master`.  Raises OSError."""
        self.run_async(lambda cluster: cluster.masters.vacate())

    def elect_master(self) -> None:
        """A Mesos master leads again.  Raises OSError."""
        self.run_async(lambda cluster: cluster.masters.elect())

    def expire_masters(self) -> None:
        """ZooKeeper ends the session that announces the masters, and they are announced anew. Raises
        OSError."""
        self.run_async(lambda cluster: cluster.masters.expire())

    def drain_agent(self, name: str) -> None:
        """Maintenance takes the tasks away.  Raises LookupError, and RuntimeError when nobody leads."""

        def drain(cluster: MiniCluster) -> None:
            cluster.scheduler.maintenance.drain([cluster.agents.slot(name).settings.host])

        self.run(drain)

    def leading(self) -> int | None:
        """Number of the scheduler that leads, from 0; None when none of this cluster does."""

        def look(cluster: MiniCluster) -> int | None:
            return None if cluster.leader is None else cluster.nodes.index(cluster.leader)

        return self.run(look)

    def resign(self, number: int) -> None:
        """The scheduler gives up leadership and stands for election again."""
        self.run(lambda cluster: cluster.nodes[number].resign())

    def expire_session(self, number: int) -> None:
        """ZooKeeper ends the scheduler's session.  Raises OSError when it is not to be reached."""
        self.run_async(lambda cluster: cluster.nodes[number].expire())

    def slow_agent(self, name: str, seconds: float) -> None:
        """Orders and statuses take `seconds` each way; 0 ends it.  Raises LookupError."""
        self.run(lambda cluster: cluster.agents.slow(name, seconds))

    def set_clock_offset(self, seconds: float) -> None:
        """The scheduler's clock is wrong by `seconds`."""

        def move(cluster: MiniCluster) -> None:
            cluster.clock.offset = seconds

        self.run(move)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # handed to the thread that waits for the start
            self._error = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        async with MiniCluster(self._settings, self._clock) as cluster:
            self.cluster = cluster
            self._ready.set()
            await self._leave.wait()
