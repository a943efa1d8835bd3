"""Jobs over several nodes on an Aurora scheduler, from sbatch to the files that come back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.parallel.conftest import ParallelSite
from tests.support import mpi
from tests.support.processes import marked
from tests.support.waiting import wait_for


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


def test_inputs_are_on_every_node(three: ParallelSite) -> None:
    work = three.work()
    (work / "input").write_text("given\n")
    script = JobScript(
        directory=work,
        directives=("#SBATCH -N 3", "#SBATCH -n 3", "#SBATCH --ntasks-per-node=1"),
        command="srun -l bash -c 'cat .airavata-mesos/../input' | sort >seen",
    )
    three.finished(three.accepted(script), "COMPLETE")
    assert (work / "seen").read_text() == "0: given\n1: given\n2: given\n"


def test_a_job_is_found_by_any_of_its_nodes(three: ParallelSite) -> None:
    work, begun, go = three.work(), three.directory / "begun", three.directory / "go"
    script = JobScript(
        directory=work,
        application=None,
        directives=("#SBATCH -N 3", "#SBATCH -n 3", f"#SBATCH -o {work}/log-%N"),
        command=f"echo here; touch {begun}; until [ -e {go} ]; do sleep 0.1; done",
    )
    job = three.accepted(script)
    three.wait_for_phase(job, "running")
    wait_for(begun.exists, bool, "the script has begun")

    def typed(line: str) -> str:
        return three.airavata.execute(f"{three.commands}/{line}").stdout.strip()

    assert typed("squeue -h -o '%N %B' -w 127-0-0-1-1") == "127-0-0-1-[0-2] 127-0-0-1-0"
    assert typed(f"scontrol -o show job {job.job_id}").count(f" StdOut={work}/log-127-0-0-1-0 ") == 1
    assert three.client.read(int(job.job_id), "log-127-0-0-1-0", 0)[0].endswith(b"here\n")
    assert "\nNodes:     127-0-0-1-0 127-0-0-1-1 127-0-0-1-2\n" in three.cli("show", job.job_id).stdout
    go.touch()
    three.finished(job, "COMPLETE")
    assert (work / "log-127-0-0-1-0").read_text().endswith("here\n")
    accounted = typed(f"sacct -n -P -o JobID,NodeList -N 127-0-0-1-2 -j {job.job_id}")
    assert accounted == f"{job.job_id}|127-0-0-1-[0-2]"


def test_a_cancelled_job_ends_on_all_nodes(three: ParallelSite) -> None:
    mark = f"MARK_OF_TEST={three.directory}"
    script = JobScript(
        directory=three.work(),
        directives=("#SBATCH -N 3", "#SBATCH -n 3"),
        command=f"export {mark}; srun sleep 1000",
    )
    job = three.accepted(script)
    wait_for(lambda: marked(mark), lambda found: sum("sleep 1000" in line for line in found) > 3, "ranks")
    three.airavata.cancel(job.job_id)
    three.finished(job, "CANCELED")
    wait_for(lambda: marked(mark), lambda found: not found, "nothing left")


def test_a_lost_node_ends_the_job_with_that_reason(three: ParallelSite) -> None:
    script = JobScript(
        directory=three.work(),
        directives=("#SBATCH -N 3", "#SBATCH -n 3"),
        command="srun bash -c 'echo $PPID; exec sleep 1000' >starters",
    )
    job = three.accepted(script)
    three.wait_for_phase(job, "running")
    starters = wait_for(lambda: starters_of(three, job), lambda found: len(found) == 2, "two other nodes")
    os.kill(starters[0], signal.SIGKILL)
    document = three.wait_for_phase(job, "lost")
    assert "lost node 127-0-0-1-" in document["reason"], document


def starters_of(site: ParallelSite, job: Submission) -> list[int]:
    """The programs of the nodes but the first one: they start the ranks there."""
    try:
        said = site.client.read(int(job.job_id), "starters", 0)[0].split()
    except AiravataMesosError:
        return []
    commands = {int(pid): Path(f"/proc/{int(pid)}/cmdline").read_bytes() for pid in said if len(said) == 3}
    return [pid for pid, command in commands.items() if b"parallel/run.py\0node" in command]


def test_more_nodes_than_there_are_is_refused(three: ParallelSite) -> None:
    def refusal(nodes: int) -> str:
        directives = (f"#SBATCH -N {nodes}", f"#SBATCH -n {nodes}")
        job = three.airavata.submit(JobScript(three.work(), "true", directives=directives))
        assert job.job_id == ""
        return job.answer.stderr

    assert "Requested node configuration is not available" in refusal(4)
    assert "runs each job on at most 4 nodes, not on 5" in refusal(5)


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_a_real_mpi_program(three: ParallelSite, kind: str) -> None:
    work = three.work()
    mpi.compile_program(kind, work / "program")
    script = JobScript(
        directory=work,
        directives=("#SBATCH -N 3", "#SBATCH -n 6"),
        command=f"{mpi.SETTINGS}\nmpirun.{kind} ./program >sum",
    )
    three.finished(three.accepted(script), "COMPLETE")
    assert (work / "sum").read_text() == f"{mpi.SUM}\n"
