"""What gateway users live through on Mesos without Aurora, with every word that Airavata reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.realmesos.cluster import RealMesosCluster
from tests.support.hasty_wrapper import hasty_templates
from tests.support.mesos_site import MesosSite, running_mesos_site
from tests.support.site import lines
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def site(real_mesos: RealMesosCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MesosSite]:
    directory = tmp_path_factory.mktemp("site")
    own = {"template_directories": [hasty_templates(directory)], "queues": {"max_nodes": 2}}
    with running_mesos_site(directory, real_mesos, own) as running:
        yield running


@pytest.mark.parametrize(
    ("exit_code", "letters", "state", "word"),
    [(0, "CD", "COMPLETE", "COMPLETED"), (3, "F", "FAILED", "FAILED")],
)
def test_a_job_goes_from_submission_to_its_end(
    site: MesosSite, exit_code: int, letters: str, state: str, word: str
) -> None:
    work = site.work()
    (work / "input.txt").write_text("words of the input\n")
    command = f"echo out; echo err >&2; tr a-z A-Z < input.txt > result.txt; exit {exit_code}"
    job = site.airavata.submit(JobScript(work, command))
    assert job.answer.stdout == f"Submitted batch job {job.job_id}\n"
    document = site.finished(job, state)
    assert site.airavata.letters(job.job_id) == letters
    assert site.airavata.execute(f"sacct -X -n -P -o State,ExitCode -j {job.job_id}").stdout == (
        f"{word}|{exit_code}:0\n"
    )
    assert document["exit_code"] == exit_code
    assert document["host"].startswith("127.0.1.")
    assert lines(work / "App.stdout") == ["out"]
    assert lines(work / "App.stderr") == ["err"]
    assert lines(work / "result.txt") == ["WORDS OF THE INPUT"]
    assert not {"stdout", "stderr"} & {path.name for path in work.iterdir()}


def test_a_running_job_is_cancelled(site: MesosSite) -> None:
    job = site.accepted("echo before; sleep 600")
    site.in_phase(job, "running")
    wait_for(lambda: site.airavata.letters(job.job_id), "R".__eq__, "running")
    site.airavata.cancel(job.job_id)
    document = site.finished(job, "CANCELED")
    assert "cancelled by" in document["reason"]
    assert site.airavata.letters(job.job_id) == "CA"
    wait_for(site.tasks, {}.__eq__, "no task left")


def test_a_job_that_waits_says_what_is_missing_and_is_cancelled(site: MesosSite) -> None:
    blocker = [
        site.accepted(JobScript(site.work(), "sleep 600", wall_time="10:0:00", directives=("#SBATCH -c 3",)))
        for _ in "ab"
    ]
    for job in blocker:
        site.in_phase(job, "running")
    waiting = site.accepted(JobScript(site.work(), "true", directives=("#SBATCH -c 4",)))
    told = wait_for(lambda: site.show(waiting)["reason"], bool, "a reason")
    assert told == "the largest free node has 1 CPUs, the job needs 4"
    site.airavata.cancel(waiting.job_id)
    site.finished(waiting, "CANCELED")
    for job in blocker:
        site.airavata.cancel(job.job_id)
        site.finished(job, "CANCELED")


def test_a_job_ends_at_its_wall_time(site: MesosSite) -> None:
    job = site.accepted(JobScript(site.work(), "echo begun; : > up; sleep 600", wall_time="00:1:00"))
    document = site.finished(job, "FAILED")
    assert document["reason"] == "wall time limit of 60 s reached"
    assert site.airavata.letters(job.job_id) == "TO"
    assert lines(job.directory / "App.stdout") == ["begun"]


def test_a_job_over_two_nodes_starts_on_both_and_ends_on_both(site: MesosSite) -> None:
    ranks = "srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID' | sort >ranks; echo $SLURM_NNODES >nodes"
    script = JobScript(site.work(), ranks, wall_time="10:0:00", directives=("#SBATCH -N 2", "#SBATCH -n 4"))
    job = site.accepted(script)
    site.finished(job, "COMPLETE")
    assert lines(job.directory / "ranks") == ["0 0", "1 0", "2 1", "3 1"]
    assert lines(job.directory / "nodes") == ["2"]
    wait_for(site.tasks, {}.__eq__, "no task left")
    begun = site.directory / "begun"
    endless = f"touch {begun}; sleep 600"
    script = JobScript(site.work(), endless, wall_time="10:0:00", directives=("#SBATCH -N 2", "#SBATCH -n 2"))
    job = site.accepted(script)
    wait_for(begun.exists, bool, "begun")
    assert len(site.tasks()) == 2
    site.airavata.cancel(job.job_id)
    site.finished(job, "CANCELED")
    wait_for(site.tasks, {}.__eq__, "no task left")


def test_a_daemon_that_is_killed_takes_up_where_it_was(site: MesosSite) -> None:
    work, go = site.work(), site.directory / "go"
    job = site.accepted(JobScript(work, f"echo run >> {go}.runs; while [ ! -e {go} ]; do sleep 0.05; done"))
    site.in_phase(job, "running")
    site.kill()
    site.start()
    assert site.airavata.letters(job.job_id) == "R"
    go.touch()
    site.finished(job, "COMPLETE")
    assert lines(site.directory / "go.runs") == ["run"]
