"""Jobs over several nodes whose ledger is lost while they run, on an Aurora scheduler."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.parallel.conftest import ParallelSite
from tests.support.waiting import wait_for


def lose_ledger(site: ParallelSite) -> None:
    site.kill()
    for path in site.home.glob("ledger.db*"):
        path.unlink()


def test_nodes_that_wait_for_others_meet_all_the_same(three: ParallelSite, tmp_path: Path) -> None:
    """Two of three nodes ask for the last one, for which there is no room yet."""
    gate, runs = tmp_path / "gate", tmp_path / "runs"
    wait = f"while [ ! -e {gate} ]; do sleep 0.1; done"
    blocker = three.accepted(JobScript(three.work(), wait, directives=("#SBATCH -c 4",)))
    three.wait_for_phase(blocker, "running")
    script = JobScript(
        directory=three.work(),
        directives=("#SBATCH -N 3", "#SBATCH -n 3"),
        command=f"echo run >>{runs}; srun hostname -s | wc -l >ranks",
    )
    gang = three.accepted(script)
    wait_for(lambda: three.show(gang)["reason"], lambda told: "2 of 3 nodes" in told, "two nodes")
    lose_ledger(three)
    assert three.cli("rebuild-ledger").stdout.count("restored") == 2
    three.start()
    wait_for(lambda: three.show(gang)["reason"], lambda told: "2 of 3 nodes" in told, "two nodes again")
    assert three.show(gang)["phase"] == "queued"
    gate.touch()
    for job in (blocker, gang):
        three.finished(job, "COMPLETE")
    assert (gang.directory / "ranks").read_text() == "3\n"
    assert runs.read_text() == "run\n"


def test_a_job_that_has_begun_goes_on(three: ParallelSite, tmp_path: Path) -> None:
    gate, began = tmp_path / "gate", tmp_path / "began"
    command = f"touch {began}; while [ ! -e {gate} ]; do sleep 0.1; done; srun hostname -s | wc -l >ranks"
    directives = ("#SBATCH -N 3", "#SBATCH -n 3")
    job = three.accepted(JobScript(three.work(), command, wall_time="10:0:00", directives=directives))
    wait_for(began.exists, bool, "the script")

    def nodes() -> str:
        return three.airavata.execute(f"squeue -h -o '%t %N' -j {job.job_id}").stdout

    before = wait_for(nodes, lambda found: found.startswith("R "), "running")
    lose_ledger(three)
    assert three.cli("rebuild-ledger").stdout.count("restored") == 1
    three.start()
    # Not pending until its end: its nodes are known.
    wait_for(nodes, before.__eq__, "running again")
    gate.touch()
    three.finished(job, "COMPLETE")
    assert (job.directory / "ranks").read_text() == "3\n"
