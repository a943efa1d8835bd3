"""A cluster whose agents can be lost: a minicluster in this process, in the place of one of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from airavata_mesos_plugin.minicluster.mesos.task import Status
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from tests.support.site import Minicluster

RUNNING = "TASK_RUNNING"


class LosingCluster(Minicluster):
    """Aurora 0.22 replaces the task of an agent that Mesos reports as lost; here without a penalty."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, cpus=8)
        agent = AgentSettings(cpus=8, memory_mb=65536, disk_mb=1_000_000)
        settings = ClusterSettings(
            directory / "cluster", cluster_name="testing", agents=(agent,), flapping_threshold=0.0
        )
        self._threaded = ThreadedCluster(settings)

    @property
    def scheduler_url(self) -> str:
        return self._threaded.scheduler_url

    @property
    def master_url(self) -> str:
        return self._threaded.master_url

    def start(self) -> None:
        self._threaded.__enter__()

    def stop(self) -> None:
        self._threaded.__exit__(None, None, None)

    def lose_running_tasks(self) -> int:
        """Their executors die, and Mesos says TASK_LOST of them; how many there were."""

        async def lose() -> int:
            assert self._threaded.cluster is not None
            cluster = self._threaded.cluster
            lost = 0
            for agent in cluster.master.agents.values():
                for executor in list(agent.executors.values()):
                    if executor.task.state == RUNNING:
                        why = "Agent removed: health check timed out"
                        executor.task.mark(Status("TASK_LOST", time.time(), why))
                        cluster.scheduler.status_update(executor.task.launch.task_id, "TASK_LOST", why)
                        executor.run.force()
                        lost += 1
            return lost

        assert self._threaded._loop is not None
        return asyncio.run_coroutine_threadsafe(lose(), self._threaded._loop).result(20)
