"""The whole road on a minicluster without Aurora: the daemon is a framework of its Mesos master."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster
from tests.e2e.parallel.conftest import AGENTS, QUEUE
from tests.support.mini_site import agents
from tests.support.site import lines
from tests.support.waiting import wait_for


@pytest.fixture
def cluster(make_minicluster: Callable[..., EmbeddedCluster]) -> EmbeddedCluster:
    return make_minicluster(agents=agents(AGENTS))


@pytest.fixture
def site(cluster: EmbeddedCluster, make_compute_resource: Callable[..., ComputeResource]) -> ComputeResource:
    return make_compute_resource(cluster, clusters={"kind": "mesos"}, queues=QUEUE)


def running(cluster: EmbeddedCluster) -> list[str]:
    """Tasks that agents run."""
    return cluster.run(
        lambda mini: [task_id for slot in mini.agents.slots for _, task_id in slot.agent.executors]
    )


@pytest.mark.parametrize(("exit_code", "state"), [(0, "COMPLETE"), (3, "FAILED")])
def test_a_job_goes_from_submission_to_its_end(
    mesos_compute_resource: ComputeResource, exit_code: int, state: str
) -> None:
    site = mesos_compute_resource
    work = site.work()
    (work / "input.txt").write_text("words of the input\n")
    command = f"echo out; echo err >&2; tr a-z A-Z < input.txt > result.txt; exit {exit_code}"
    job = site.accepted(JobScript(work, command))
    document = site.finished(job, state)
    assert document["exit_code"] == exit_code
    assert lines(work / "App.stdout") == ["out"]
    assert lines(work / "App.stderr") == ["err"]
    assert lines(work / "result.txt") == ["WORDS OF THE INPUT"]


def test_a_gang_starts_on_three_nodes_and_is_cancelled_on_all(
    site: ComputeResource, cluster: EmbeddedCluster
) -> None:
    directives = ("#SBATCH -N 3", "#SBATCH -n 6")
    ranks = "srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID' | sort >ranks"
    job = site.accepted(JobScript(site.work(), ranks, directives=directives))
    site.finished(job, "COMPLETE")
    assert lines(job.directory / "ranks") == ["0 0", "1 0", "2 1", "3 1", "4 2", "5 2"]
    wait_for(lambda: running(cluster), lambda found: not found, "nothing left")

    begun = site.directory / "begun"
    endless = f"srun bash -c 'touch {begun}-$SLURM_PROCID; sleep 1000'"
    job = site.accepted(JobScript(site.work(), endless, directives=directives))
    wait_for(lambda: list(site.directory.glob("begun-*")), lambda found: len(found) == 6, "six ranks")
    assert len(running(cluster)) == AGENTS
    site.airavata.cancel(job.job_id)
    site.finished(job, "CANCELED")
    wait_for(lambda: running(cluster), lambda found: not found, "nothing left")


def test_a_job_whose_updates_are_lost_and_whose_master_fails_over(
    make_minicluster: Callable[..., EmbeddedCluster], make_compute_resource: Callable[..., ComputeResource]
) -> None:
    cluster = make_minicluster(masters=2, status_retry_first=0.2, agent_reregistration=0.1)
    site = make_compute_resource(cluster, clusters={"kind": "mesos", "mesos_masters": cluster.master_urls})
    cluster.faults.lose_event("UPDATE", count=2)
    go = site.directory / "go"
    job = site.accepted(JobScript(site.work(), f"until [ -e {go} ]; do sleep 0.05; done; echo done"))
    site.wait_for_phase(job, "running")
    cluster.fail_over_master()
    go.touch()
    site.finished(job, "COMPLETE")
    assert lines(job.directory / "App.stdout") == ["done"]
    assert cluster.faults_met == 2
