"""Jobs over several nodes whose ledger is lost while they run, on an Aurora scheduler."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.parallel.conftest import ParallelSite
from tests.support.waiting import wait_for


def test_a_job_that_has_begun_goes_on(three: ParallelSite, tmp_path: Path) -> None:
    gate, began = tmp_path / "gate", tmp_path / "began"
    command = f"touch {began}; while [ ! -e {gate} ]; do sleep 0.1; done; srun hostname -s | wc -l >ranks"
    directives = ("#SBATCH -N 3", "#SBATCH -n 3")
    job = three.accepted(JobScript(three.work(), command, wall_time="10:0:00", directives=directives))
    wait_for(began.exists, bool, "the script")

    def nodes() -> str:
        return three.airavata.execute(f"squeue -h -o '%t %N' -j {job.job_id}").stdout

    before = wait_for(nodes, lambda found: found.startswith("R "), "running")
    three.kill()
    for path in three.home.glob("ledger.db*"):
        path.unlink()
    assert three.cli("rebuild-ledger").stdout.count("restored") == 1
    three.start()
    # Not pending until its end: its nodes are known.
    wait_for(nodes, before.__eq__, "running again")
    gate.touch()
    three.finished(job, "COMPLETE")
    assert (job.directory / "ranks").read_text() == "3\n"
