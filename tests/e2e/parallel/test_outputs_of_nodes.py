"""Outputs of all nodes of a job come back, each node's in a directory of its own."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.parallel.conftest import ParallelSite
from tests.support.site import lines
from tests.support.waiting import wait_for

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


MANY = 300


def test_a_daemon_that_is_killed_again_and_again_while_they_come(three: ParallelSite) -> None:
    write = f"mkdir out; for ((i = 0; i < {MANY}; i++)); do echo $i >out/$i; done"
    command = f"srun bash -c 'cd /proc/$PPID/cwd; {write}'"
    job = three.accepted(JobScript(three.work(), command, directives=(*THREE, ALL)))
    work = job.directory
    places = [work / "out", *(work / "nodes" / name / "out" for name in NODES)]
    come: dict[Path, int] = {}
    for place in places:
        wait_for(place.exists, bool, f"the first files in {place}")
        three.kill()
        # What came from the nodes before was noted when the fetch went on to this one.
        for file, inode in come.items():
            assert file.stat().st_ino == inode, f"{file} came a second time"
        come = {
            file: file.stat().st_ino for before in places[: places.index(place)] for file in before.iterdir()
        }
        three.start()
    three.finished(job, "COMPLETE")
    assert all(file.stat().st_ino == inode for file, inode in come.items())
    for place in places:
        assert {file.name: file.read_text() for file in place.iterdir()} == {
            str(number): f"{number}\n" for number in range(MANY)
        }
    assert not [name for name in files(work) if "airavata-" in name]


def test_an_agent_that_is_gone(three: ParallelSite) -> None:
    where = three.directory / "where"
    command = f"""
    srun bash -c 'cd /proc/$PPID/cwd; echo $SLURM_NODEID >rank; echo "$SLURM_NODEID $(pwd -P)" >>{where}'
    sleep 1000
    """
    job = three.accepted(JobScript(three.work(), command, directives=(*THREE, ALL)))
    said = wait_for(
        lambda: lines(where) if where.exists() else [], lambda found: len(found) == 3, "all ranks"
    )
    (agent,) = [line.partition("/slaves/")[2].partition("/")[0] for line in said if line.startswith("1 ")]
    three.embedded.lose_agent(agent)
    # All nodes are on this host, so the program of the one that is gone may take the script along.
    document = three.wait_for_phase(job, "lost", "failed")
    assert f"outputs are missing of node {NODES[0]} (" in document["reason"]
    assert (job.directory / "rank").read_text() == "0\n"
    assert (job.directory / "nodes" / NODES[1] / "rank").read_text() == "2\n"
    assert not (job.directory / "nodes" / NODES[0]).exists()
