"""Jobs over several nodes on an Aurora scheduler, from sbatch to the files that come back."""

from __future__ import annotations

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.parallel.conftest import ParallelSite


def test_a_job_over_three_nodes(three: ParallelSite) -> None:
    script = JobScript(
        directory=three.work(),
        directives=("#SBATCH -N 3", "#SBATCH -n 6"),
        command="""
        env | grep ^SLURM_ | sort >variables
        srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID' | sort >ranks
        """,
    )
    job = three.accepted(script)
    three.finished(job, "COMPLETE")
    assert (job.directory / "ranks").read_text().split("\n")[:-1] == [
        "0 0",
        "1 0",
        "2 1",
        "3 1",
        "4 2",
        "5 2",
    ]
    variables = dict(line.split("=", 1) for line in (job.directory / "variables").read_text().splitlines())
    assert variables["SLURM_JOB_NUM_NODES"] == "3"
    assert variables["SLURM_TASKS_PER_NODE"] == "2(x3)"
    assert variables["SLURM_JOB_CPUS_PER_NODE"] == "2(x3)"
    assert variables["SLURM_JOB_NODELIST"] == "127-0-0-1-[0-2]"
