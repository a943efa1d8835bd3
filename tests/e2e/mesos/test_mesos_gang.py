"""A job over several nodes on Mesos without Aurora: all nodes start at once, and all of them end."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.realmesos.cluster import RealMesosCluster
from tests.support.mesos_site import running_mesos_site
from tests.support.site import lines
from tests.support.waiting import wait_for


def test_a_job_over_two_nodes(real_mesos: RealMesosCluster, tmp_path: Path) -> None:
    queue = {"max_nodes": 2, "gathering_seconds": 120}
    with running_mesos_site(tmp_path, real_mesos, {"queues": queue}) as site:
        script = JobScript(
            site.work(),
            "srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID' | sort >ranks; echo $SLURM_NNODES >nodes",
            directives=("#SBATCH -N 2", "#SBATCH -n 4"),
        )
        job = site.accepted(script)
        site.finished(job, "COMPLETE")
        assert lines(job.directory / "ranks") == ["0 0", "1 0", "2 1", "3 1"]
        assert lines(job.directory / "nodes") == ["2"]
        wait_for(site.tasks, {}.__eq__, "no task left")
        begun = tmp_path / "begun"
        job = site.accepted(
            JobScript(site.work(), f"touch {begun}; sleep 600", directives=("#SBATCH -N 2", "#SBATCH -n 2"))
        )
        wait_for(begun.exists, bool, "begun")
        assert len(site.tasks()) == 2
        site.airavata.cancel(job.job_id)
        site.finished(job, "CANCELED")
        wait_for(site.tasks, {}.__eq__, "no task left")
