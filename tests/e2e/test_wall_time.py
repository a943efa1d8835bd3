"""Jobs that reach their wall time, with the wrapper's limit shortened by a template of the administrator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.airavata_script import JobScript
from tests.support.hasty_wrapper import hasty_templates
from tests.support.site import Site, lines, running_site
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site on which a minute of wall time is over soon: -t knows nothing below a minute."""
    directory = tmp_path_factory.mktemp("hasty")
    settings = {"template_directories": [hasty_templates(directory)], "queues": {"kill_grace_seconds": 30}}
    with running_site(directory, settings=settings) as site:
        yield site


def minute(work: Path, command: str) -> JobScript:
    return JobScript(work, command, wall_time="00:1:00")


def test_a_job_is_ended_at_its_wall_time_and_keeps_its_outputs(hasty: Site) -> None:
    job = hasty.accepted(minute(hasty.work(), "echo begun; echo half > part; : > up; sleep 600; echo never"))
    document = hasty.finished(job, "FAILED")
    assert hasty.airavata.letters(job.job_id) == "TO"
    sacct = hasty.airavata.execute(f"sacct -X -n -P -o State,ExitCode,Timelimit -j {job.job_id}")
    assert sacct.stdout == "TIMEOUT|0:0|00:01:00\n"
    assert document["reason"] == "wall time limit of 60 s reached"
    assert lines(job.directory / "App.stdout") == ["begun"]
    assert lines(job.directory / "part") == ["half"]
    assert "DUE TO TIME LIMIT" in (job.directory / "App.stderr").read_text()


def test_a_job_that_ends_before_is_not_touched(hasty: Site) -> None:
    job = hasty.accepted(minute(hasty.work(), "sleep 0.2; echo done"))
    hasty.finished(job, "COMPLETE")
    assert lines(job.directory / "App.stdout") == ["done"]


def test_a_script_may_save_its_work_in_the_grace_time(hasty: Site) -> None:
    save = "trap 'echo saved > checkpoint; exit 0' TERM; : > up; sleep 600 & wait"
    job = hasty.accepted(minute(hasty.work(), save))
    hasty.finished(job, "FAILED")
    assert hasty.airavata.letters(job.job_id) == "TO"
    assert lines(job.directory / "checkpoint") == ["saved"]


def test_a_script_that_ignores_the_limit_is_killed_with_all_its_children(hasty: Site) -> None:
    pids = hasty.directory / "pids"
    child = "(trap '' TERM; setsid sleep 1000 & echo $!; exec sleep 1001) & echo $!"
    job = hasty.accepted(
        minute(
            hasty.work(),
            f"trap '' TERM; {{ {child}; }} > {pids}; : > stubborn; : > up; while :; do sleep 1; done",
        )
    )
    hasty.finished(job, "FAILED")
    assert hasty.airavata.letters(job.job_id) == "TO"
    started = [int(text) for text in lines(pids)]
    assert len(started) == 2
    wait_for(lambda: [pid for pid in started if Path(f"/proc/{pid}").exists()], [].__eq__, "gone")
