"""Jobs in images, unpacked by Mesos itself or run by Docker, are jobs like any other for gateway users."""

from __future__ import annotations

import pytest

from tests.e2e.mesos_containers.conftest import ContainerSite
from tests.realmesos.images import MARK, WORDS
from tests.support.site import lines
from tests.support.waiting import wait_for

KINDS = pytest.mark.parametrize("queue", ["image", "docker"])


@KINDS
@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_job_runs_in_the_image(site: ContainerSite, queue: str, exit_code: int) -> None:
    work = site.work()
    (work / "input.txt").write_text("words of the input\n")
    capitals = "tr a-z A-Z <input.txt >result"
    command = f"cat /{MARK} input.txt; pwd; {capitals}; echo $OF_THE_IMAGE; exit {exit_code}"
    job = site.job(queue, command, work=work)
    document = site.finished(job, "FAILED" if exit_code else "COMPLETE")
    assert document["exit_code"] == exit_code
    assert site.airavata.letters(job.job_id) == ("F" if exit_code else "CD")
    assert lines(work / "App.stdout") == [
        WORDS.strip(),
        "words of the input",
        "/mnt/mesos/sandbox/sandbox",
        "yes",
    ]
    assert lines(work / "App.stderr") == []
    assert lines(work / "result") == ["WORDS OF THE INPUT"]


@KINDS
def test_a_job_in_an_image_is_cancelled(site: ContainerSite, queue: str) -> None:
    command = "trap 'echo end >ended; exit 1' TERM; echo begun; sleep 600 & wait"
    job = site.job(queue, command)
    site.wrote(job.job_id, "begun\n")
    site.airavata.cancel(job.job_id)
    document = site.finished(job, "CANCELED")
    assert "cancelled by" in document["reason"]
    assert lines(job.directory / "ended") == ["end"]
    wait_for(site.tasks, {}.__eq__, "no task left")


@KINDS
def test_a_job_in_an_image_ends_at_its_wall_time(site: ContainerSite, queue: str) -> None:
    job = site.job(queue, "echo begun; : > up; sleep 600", wall_time="00:1:00")
    document = site.finished(job, "FAILED")
    assert document["reason"] == "wall time limit of 60 s reached"
    assert site.airavata.letters(job.job_id) == "TO"
    assert lines(job.directory / "App.stdout") == ["begun"]
