"""A ledger that was lost is made again from what the Mesos master tells of the framework's tasks."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.realmesos.cluster import RealMesosCluster
from tests.support.hasty_wrapper import hasty_templates
from tests.support.mesos_site import MesosSite, running_mesos_site
from tests.support.site import lines
from tests.support.waiting import wait_for


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {
        "template_directories": [hasty_templates(tmp_path)],
        "clusters": {"mesos": {"framework_name": f"lost-{uuid.uuid4()}"}},
        "queues": {"max_nodes": 2, "outputs": {"nodes": "all"}},
    }


def lose_ledger(site: MesosSite) -> None:
    """The daemon dies, and with it what it had written down."""
    site.kill()
    for path in site.home.glob("ledger.db*"):
        path.unlink()


EVERYTHING = ["before", "ended", "gang", "kept", "serial"]


class Frameworks:
    """What the master tells of those that the site has ever been."""

    def __init__(self, site: MesosSite, settings: dict[str, Any]) -> None:
        self._mesos = site.mesos
        self._name = settings["clusters"]["mesos"]["framework_name"]

    def all(self) -> list[dict[str, Any]]:
        found = self._mesos.get(self._mesos.leader(), "/frameworks")
        both = [*found["frameworks"], *found["completed_frameworks"]]
        return [one for one in both if one["name"] == self._name]

    def ids(self) -> list[str]:
        return [one["id"] for one in self.all()]

    def states(self) -> list[str]:
        """Of all tasks whose end nobody has acknowledged yet."""
        return sorted(task["state"] for one in self.all() for task in one["tasks"])

    def left(self) -> None:
        """Wait until the master knows that nobody is subscribed."""
        wait_for(lambda: [one["connected"] for one in self.all()], [False].__eq__, "nobody connected")


def waiting_for(path: Path) -> str:
    return f"while [ ! -e {path} ]; do sleep 0.1; done"


def nodes_of(site: MesosSite, job: Submission) -> str:
    return site.airavata.execute(f"squeue -h -o %N -j {job.job_id}").stdout


def test_everything_goes_on(tmp_path: Path, real_mesos: RealMesosCluster, settings: dict[str, Any]) -> None:
    gate, runs = tmp_path / "gate", tmp_path / "runs"
    waits, ranks = waiting_for(gate), "srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID' | sort >ranks"
    with running_mesos_site(tmp_path, real_mesos, settings) as site:
        frameworks = Frameworks(site, settings)
        # The snapshot of a restored job has what came before: by its size this file is another one.
        own = "srun bash -c 'cd /proc/$PPID/cwd; seq 0 $SLURM_NODEID >own'"
        two = ("#SBATCH -N 2", "#SBATCH -n 2")
        script = f"echo before >> {runs}; {own}; echo before > result.txt"
        before = site.accepted(JobScript(site.work(), script, directives=two))
        kept = site.accepted(f"echo kept >> {runs}; echo first > result.txt")
        for job in (before, kept):
            site.finished(job, "COMPLETE")
        # As if the daemon had died before the outputs of one came; in the other's directory work goes on.
        for name in ("result.txt", "App.stdout"):
            (before.directory / name).unlink()
        shutil.rmtree(before.directory / "nodes")
        (kept.directory / "result.txt").write_text("changed since\n")
        serial = site.accepted(f"echo serial >> {runs}; {waits}; echo serial > result.txt")
        gang = site.accepted(
            JobScript(
                site.work(),
                f"echo gang >> {runs}; {waits}; {ranks}",
                wall_time="10:0:00",
                directives=two,
            )
        )
        # It ends while nobody listens.
        first = waiting_for(tmp_path / "first")
        script = f"echo ended >> {runs}; {first}; {own}; echo ended > result.txt"
        ended = site.accepted(JobScript(site.work(), script, directives=two))
        for job in (serial, gang, ended):
            site.in_phase(job, "running")
        wait_for(lambda: sorted(lines(runs)), EVERYTHING.__eq__, "the scripts")
        nodes = nodes_of(site, gang)
        lose_ledger(site)
        framework = frameworks.ids()
        (tmp_path / "first").touch()
        one_ended = [*["TASK_FINISHED"] * 2, *["TASK_RUNNING"] * 3]
        wait_for(frameworks.states, one_ended.__eq__, "the end of one")
        frameworks.left()
        for option, word in (("--dry-run", "would be restored"), ("--merge", "\trestored")):
            shown = site.cli("rebuild-ledger", option).stdout
            assert shown.count(word) == 4, shown
        site.start()
        for job, name in ((before, "before"), (ended, "ended")):
            site.finished(job, "COMPLETE")
            assert lines(job.directory / "result.txt") == [name]
            assert [lines(path) for path in job.directory.glob("nodes/*/own")] == [["0", "1"]]
        assert lines(kept.directory / "result.txt") == ["changed since"]
        for job in (serial, gang):
            site.in_phase(job, "running")
            assert site.airavata.letters(job.job_id) == "R"
        assert nodes_of(site, gang) == nodes
        gate.touch()
        for job in (serial, gang):
            site.finished(job, "COMPLETE")
        assert lines(serial.directory / "result.txt") == ["serial"]
        assert lines(gang.directory / "ranks") == ["0 0", "1 1"]
        after = site.accepted("true")
        assert int(after.job_id) > int(ended.job_id)
        site.finished(after, "COMPLETE")
        assert frameworks.ids() == framework
        wait_for(site.tasks, {}.__eq__, "no task left")
    assert sorted(lines(runs)) == EVERYTHING
