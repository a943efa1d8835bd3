"""What is left of a sandbox that a real agent has collected."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import SandboxGone
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.contract.files_api.worlds import World
from tests.realmesos.scheduler import ENDED, Scheduler, task
from tests.support.real_mesos import RealMesosFactory
from tests.support.waiting import wait_for


@pytest.mark.parametrize("others", [True, False])
def test_a_collected_sandbox_is_404(own_real_mesos: RealMesosFactory, others: bool) -> None:
    """But its root may list as empty, where the last executor of a framework took all above it along."""
    cluster = own_real_mesos(agents=1, agent_flags=["--gc_delay=1secs"])
    (agent,) = cluster.agents
    with Scheduler(cluster) as scheduler:
        offer = scheduler.offer()
        tasks = [task(offer, "t", "mkdir sandbox; echo text > sandbox/out")]
        scheduler.launch(offer, *tasks, *([task(offer, "other", "sleep 300")] if others else []))
        assert scheduler.state("t", *ENDED)["state"] == "TASK_FINISHED"
        base = f"/frameworks/{scheduler.id}/executors/t/runs/latest"
        world = World("plain", cluster.url(agent), base, Path())

        def ask(endpoint: str, name: str) -> tuple[int, bytes]:
            reply = world.ask(f"/files/{endpoint}?path={base}{name}&offset=0")
            return reply.status, reply.body

        wait_for(lambda: ask("browse", "/sandbox")[0], lambda status: status == 404, "collected")
        assert ask("read", "/sandbox/out") == (404, b"")
        assert ask("download", "/sandbox/out") == (404, b"404 Not Found.")
        if others:
            wait_for(lambda: ask("browse", "")[0], lambda status: status == 404, "taken from the list")
        else:
            assert ask("browse", "") in ((200, b"[]"), (404, b""))
        with closing(FilesClient(FetchSettings())) as client, pytest.raises(SandboxGone):
            client.browse(SandboxAddress(world.agent_url, f"{base}/sandbox"))
