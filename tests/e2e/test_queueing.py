"""Jobs that wait, and jobs that are cancelled at every stage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.airavata_script import JobScript
from tests.support.site import Site, SiteFactory, lines, running_site
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one CPU, on which a script has long to end."""
    settings = {"queues": {"kill_grace_seconds": 60}}
    with running_site(tmp_path_factory.mktemp("small"), cpus=1, settings=settings) as site:
        yield site


@pytest.fixture(autouse=True)
def nobody_left(small: Site) -> Iterator[None]:
    """A test that fails must not leave its job on the only CPU."""
    yield
    for job in small.client.ask("jobs"):
        small.airavata.cancel(str(job["id"]))
    wait_for(lambda: small.client.ask("jobs"), [].__eq__, "all jobs over")


def test_a_job_waits_for_a_cpu_with_the_reason_and_runs_later(small: Site) -> None:
    go = small.directory / "go"
    first = small.accepted(f"while [ ! -e {go} ]; do sleep 0.1; done")
    small.in_phase(first, "running")
    second = small.accepted("echo ran")
    wait_for(lambda: small.show(second)["reason"], "Insufficient: CPU".__eq__, "waiting for a CPU")

    place = f"{small.commands}/squeue -h -o %R -j {second.job_id}"
    assert small.airavata.execute(place).stdout == "(Resources)\n"
    assert small.airavata.letters(second.job_id) == "PD"
    assert small.airavata.accounted_state(second.job_id) == "QUEUED"
    assert (small.airavata.count("running"), small.airavata.count("pending")) == (1, 1)
    go.touch()
    small.finished(first, "COMPLETE")
    document = small.finished(second, "COMPLETE")
    assert lines(second.directory / "App.stdout") == ["ran"]
    assert document["started_at"] >= small.show(first)["ended_at"] - 1


def test_a_waiting_job_that_is_cancelled_never_runs(small: Site) -> None:
    mark = small.directory / "never"
    first = small.accepted("sleep 600")
    small.in_phase(first, "running")
    second = small.accepted(f"echo ran >> {mark}")
    small.in_phase(second, "queued")

    answer = small.airavata.cancel(second.job_id)
    assert (answer.stdout, answer.stderr, answer.exit_code) == ("", "", 0)
    document = small.finished(second, "CANCELED")
    assert small.airavata.letters(second.job_id) == "CA"
    assert small.airavata.accounted_state(second.job_id) == "CANCELED"
    assert document["started_at"] is None
    assert "cancelled by" in document["reason"]
    assert sorted(path.name for path in second.directory.iterdir()) == sorted(
        [second.job_name, *(path.name for path in second.directory.glob("job_*.slurm"))]
    )

    small.airavata.cancel(first.job_id)
    small.finished(first, "CANCELED")
    small.run("true")  # the CPU is free again, so the cancelled job had its chance
    assert not mark.exists()


def test_a_job_cancelled_right_after_its_submission_never_ends_otherwise(small: Site) -> None:
    """The kill may come before, while or after the scheduler is told of the job."""
    jobs = []
    for _ in range(6):
        job = small.accepted("sleep 600")
        assert small.airavata.cancel(job.job_id).exit_code == 0
        jobs.append(job)
    for job in jobs:
        small.finished(job, "CANCELED")


def test_a_second_cancel_changes_nothing(small: Site) -> None:
    script = JobScript(small.work(), "trap 'echo term >> terms; sleep 1; exit 0' TERM; sleep 600 & wait")
    job = small.accepted(script)
    small.in_phase(job, "running")
    wait_for(lambda: small.airavata.letters(job.job_id), "R".__eq__, "running")
    for _ in range(3):
        answer = small.airavata.cancel(job.job_id)
        assert (answer.stdout, answer.stderr, answer.exit_code) == ("", "", 0)
    small.finished(job, "CANCELED")
    for _ in range(2):
        assert small.airavata.cancel(job.job_id).exit_code == 0
    assert small.airavata.letters(job.job_id) == "CA"
    ends = [event for event in small.show(job)["events"] if event["phase"] == "cancelled"]
    assert len(ends) == 1


def test_a_cancelled_job_is_shown_as_running_until_it_has_really_ended(small: Site) -> None:
    """A script may use its grace time; a terminal letter before its end would cost its outputs."""
    job = small.accepted("trap 'sleep 1; echo saved > checkpoint; exit 0' TERM; echo up; sleep 600 & wait")
    small.wrote(job.job_id, "up\n")
    small.airavata.cancel(job.job_id)
    small.finished(job, "CANCELED")
    assert lines(job.directory / "checkpoint") == ["saved"]


def test_a_script_that_ignores_the_cancel_is_ended_after_the_grace_time(own_site: SiteFactory) -> None:
    site = own_site()
    job = site.accepted("trap '' TERM; echo stubborn; while true; do sleep 1; done")
    site.wrote(job.job_id, "stubborn\n")
    site.airavata.cancel(job.job_id)
    site.finished(job, "CANCELED")
    assert lines(job.directory / "App.stdout") == ["stubborn"]


def test_nobody_elses_job_is_hit(small: Site) -> None:
    job = small.accepted("echo fine")
    assert small.airavata.cancel(f"{job.job_id}0").exit_code == 0
    small.finished(job, "COMPLETE")
