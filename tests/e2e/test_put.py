"""Inputs that come after the submission."""

from __future__ import annotations

from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.airavata_caller import Submission
from tests.support.site import Site

PRINT_ALL = "for f in $(find . -name '*.in' | sort); do echo $f $(cat $f); done > seen"


def held(site: Site, work: Path, *options: str) -> Submission:
    (work / "job.sh").write_text(f"#!/bin/bash\n{PRINT_ALL}\n")
    done = site.cli("submit", *(options or ("--hold",)), "job.sh", cwd=work)
    return Submission(done.stdout.split()[-1], "", work, site.airavata.execute("true"))


def test_inputs_of_a_held_job_are_added_and_replaced(site: Site, tmp_path: Path) -> None:
    work = site.work()
    (work / "old.in").write_text("as submitted\n")
    (work / "same.in").write_text("same\n")
    job = held(site, work)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "new.in").write_text("added\n")
    (tmp_path / "old.in").write_text("replaced, and longer\n")
    (work / "not-an-input.in").write_text("this came by itself\n")
    done = site.cli("put", job.job_id, "sub/new.in", str(tmp_path / "old.in"), cwd=tmp_path)
    assert done.stdout.splitlines() == [
        f"job {job.job_id}: {name} is among its inputs" for name in ("sub/new.in", "old.in")
    ]
    assert site.show(job)["phase"] == "accepted"
    assert site.airavata.execute(f"scontrol release {job.job_id}").exit_code == 0
    site.finished(job, "COMPLETE")
    assert (work / "seen").read_text().splitlines() == [
        "./old.in replaced, and longer",
        "./same.in same",
        "./sub/new.in added",
    ]
    assert "inputs changed: sub/new.in, old.in" in site.cli("show", job.job_id).stdout


def test_a_job_that_waits_for_its_time_is_held_meanwhile_and_goes_on(site: Site, tmp_path: Path) -> None:
    job = held(site, site.work(), "--begin=now+1hour")
    (tmp_path / "new.in").write_text("added\n")
    site.cli("put", job.job_id, "new.in", cwd=tmp_path)
    document = site.show(job)
    assert (document["phase"], document["request"]["begin_at"] > 0) == ("accepted", True)
    assert "BeginTime" in site.airavata.execute(f"squeue -j {job.job_id} -o %r").stdout
    site.airavata.cancel(job.job_id)


def test_a_job_that_is_over_finds_them_when_it_is_started_again(site: Site, tmp_path: Path) -> None:
    work = site.work()
    job = held(site, work, "--job-name=again")
    site.finished(job, "COMPLETE")
    (tmp_path / "new.in").write_text("added\n")
    done = site.cli("put", job.job_id, "new.in", cwd=tmp_path)
    assert f"scontrol requeue {job.job_id}" in done.stderr
    assert site.airavata.execute(f"scontrol requeue {job.job_id}").exit_code == 0
    site.finished(job, "COMPLETE")
    assert (work / "seen").read_text() == "./new.in added\n"


def test_a_job_that_runs_has_got_its_inputs(site: Site, tmp_path: Path) -> None:
    job = site.accepted("sleep 100")
    site.in_phase(job, "running")
    (tmp_path / "new.in").write_text("added\n")
    done = site.cli("put", job.job_id, "new.in", cwd=tmp_path, code=1)
    assert "it has got its inputs" in done.stderr
    assert not (job.directory / "new.in").exists()
    site.airavata.cancel(job.job_id)


@pytest.mark.parametrize("name", ["none.in", "."])
def test_what_cannot_be_read_changes_nothing(site: Site, tmp_path: Path, name: str) -> None:
    job = held(site, site.work())
    site.cli("put", job.job_id, name, cwd=tmp_path, code=None)
    assert [path.name for path in job.directory.iterdir()] == ["job.sh"]
    site.airavata.cancel(job.job_id)


def test_links_in_the_way_are_not_followed(site: Site, tmp_path: Path) -> None:
    work = site.work()
    (work / "sub").symlink_to(tmp_path)
    job = held(site, work)
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    (here / "sub" / "new.in").write_text("added\n")
    done = site.cli("put", job.job_id, "sub/new.in", cwd=here, code=1)
    assert "link" in done.stderr
    assert "stays held" in done.stderr
    assert not (tmp_path / "new.in").exists()
    site.airavata.cancel(job.job_id)
