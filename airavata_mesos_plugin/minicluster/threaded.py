"""A cluster on an event loop and thread of its own, for programs that have no loop."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from airavata_mesos_plugin.minicluster.cluster import MiniCluster
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_START_TIMEOUT = 30.0


class ThreadedCluster:
    """Context manager: listening when entered, nothing left running when left.  Not to be entered twice."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
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
    def master_url(self) -> str:
        return self._started().master_url

    @property
    def agent_urls(self) -> list[str]:
        return list(self._started().agent_urls)

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
        async with MiniCluster(self._settings) as cluster:
            self.cluster = cluster
            self._ready.set()
            await self._leave.wait()
