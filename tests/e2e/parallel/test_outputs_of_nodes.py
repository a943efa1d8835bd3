"""Outputs of all nodes of a job come back, each node's in a directory of its own."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.parallel.conftest import ParallelSite

NODES = ("127-0-0-1-1", "127-0-0-1-2")
"""What the second and the third node are called."""

ALL = "#AIRAVATA-MESOS outputs.nodes=all"
THREE = ("#SBATCH -N 3", "#SBATCH -n 3")


def files(work: Path) -> set[str]:
    return {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()}


def test_each_node_has_a_directory(three: ParallelSite) -> None:
    work = three.work()
    (work / "deep").mkdir()
    (work / "deep" / "input").write_text("given\n")
    (work / "changed").write_text("given\n")
    script = JobScript(
        work,
        """
        echo first >own
        srun bash -c 'cd /proc/$PPID/cwd
            mkdir -p results; echo "$SLURM_NODEID" >results/rank; echo "$SLURM_NODEID" >changed; echo >x.tmp
        '
        """,
        directives=(*THREE, ALL, "#AIRAVATA-MESOS outputs.exclude=/x.*"),
    )
    job = three.accepted(script)
    three.finished(job, "COMPLETE")
    assert (work / "own").read_text() == "first\n"
    for place, rank in (
        (work, 0),
        *((work / "nodes" / name, number) for number, name in enumerate(NODES, 1)),
    ):
        assert (place / "results/rank").read_text() == (place / "changed").read_text() == f"{rank}\n"
    arrived = files(work)
    assert {name for name in arrived if name.startswith("nodes/")} == {
        f"nodes/{node}/{name}" for node in NODES for name in ("results/rank", "changed")
    }, "no input, nothing of ours, nothing that was excluded"
    assert not [name for name in arrived if "airavata-" in name]
    listed = {file["name"] for file in three.client.ask("outputs", job.job_id)}
    assert f"nodes/{NODES[0]}/results/rank" in listed
