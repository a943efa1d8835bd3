"""The three stories that every gateway user lives through, with every word that Airavata reads."""

from __future__ import annotations

import time

import pytest

from tests.contract.airavata_caller import FINAL_STATES
from tests.contract.airavata_script import JobScript
from tests.support.site import Site, lines
from tests.support.waiting import wait_for

APPLICATION = """#!/bin/bash
# Usage: APPLICATION INPUT EXIT_CODE
echo "this is stdout"
echo "this is stderr" >&2
tr a-z A-Z < "$1" > result.txt
exit "$2"
"""


@pytest.fixture
def application(site: Site) -> str:
    path = site.directory / "application.sh"
    path.write_text(APPLICATION)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("realtime", [True, False], ids=["develop", "master"])
@pytest.mark.parametrize(
    ("exit_code", "letters", "state", "word"),
    [(0, "CD", "COMPLETE", "COMPLETED"), (3, "F", "FAILED", "FAILED")],
)
def test_a_job_goes_from_submission_to_its_end(
    site: Site, application: str, realtime: bool, exit_code: int, letters: str, state: str, word: str
) -> None:
    work = site.work()
    (work / "input.txt").write_text("words of the input\n")
    script = JobScript(work, f"{application} input.txt {exit_code}", application="Upper", realtime=realtime)

    job = site.airavata.submit(script)
    assert job.answer.stdout == f"Submitted batch job {job.job_id}\n"
    assert (job.answer.stderr, job.answer.exit_code) == ("", 0)
    assert (work / script.job_name).read_text() == job.answer.stdout
    assert site.airavata.state(job.job_id) in ("QUEUED", "ACTIVE")
    assert site.airavata.find(script.job_name) == job.job_id

    document = site.finished(job, state)
    assert site.airavata.letters(job.job_id) == letters
    assert site.airavata.accounted_state(job.job_id) == state
    assert site.airavata.execute(f"sacct -X -n -P -o State,ExitCode -j {job.job_id}").stdout == (
        f"{word}|{exit_code}:0\n"
    )
    assert document["exit_code"] == exit_code
    assert (work / "Upper.stdout").read_text() == "this is stdout\n"
    assert (work / "Upper.stderr").read_text() == "this is stderr\n"
    assert (work / "result.txt").read_text() == "WORDS OF THE INPUT\n"
    assert {path.name for path in work.iterdir()} == {
        *("input.txt", "result.txt", "Upper.stdout", "Upper.stderr"),
        *(script.job_name, f"job_{script.number}.slurm"),
    }


def test_a_running_job_that_is_cancelled_ends_as_cancelled_with_what_it_wrote(site: Site) -> None:
    mark = site.directory / "after-cancel"
    job = site.accepted(f"echo partial > part.txt; echo before; sleep 600; echo after > {mark}")
    site.wrote(job.job_id, "before\n")
    wait_for(lambda: site.airavata.letters(job.job_id), "R".__eq__, "running")

    answer = site.airavata.cancel(job.job_id)
    assert (answer.stdout, answer.stderr, answer.exit_code) == ("", "", 0)
    document = site.finished(job, "CANCELED")

    assert site.airavata.letters(job.job_id) == "CA"
    assert site.airavata.accounted_state(job.job_id) == "CANCELED"
    assert "cancelled by" in document["reason"]
    assert (job.directory / "part.txt").read_text() == "partial\n"
    assert lines(job.directory / "App.stdout") == ["before"]
    assert "CANCELLED AT" in (job.directory / "App.stderr").read_text()
    assert not mark.exists()


def test_the_first_terminal_letter_comes_after_all_outputs(site: Site) -> None:
    """Airavata takes the files at that moment, and cannot tell a partial copy from a whole one."""
    many, size = 150, 96 * 1024 * 1024
    job = site.accepted(
        f"head -c {size} /dev/zero > large.bin; mkdir d; "
        f"for i in $(seq {many}); do echo $i > d/$i; done; echo end"
    )
    end = time.monotonic() + 100
    seen: list[str | None] = []
    while not seen or seen[-1] not in FINAL_STATES:
        assert time.monotonic() < end, seen[-5:]
        seen.append(site.airavata.state(job.job_id))
    # Nothing may come between the letter and the look at the files.
    found = {path.name: path.read_text() for path in (job.directory / "d").iterdir()}
    large = (job.directory / "large.bin").stat().st_size
    stdout = (job.directory / "App.stdout").read_text()
    parts = [path.name for path in job.directory.rglob(".*")]

    assert seen[-1] == "COMPLETE"
    assert large == size
    assert found == {str(number): f"{number}\n" for number in range(1, many + 1)}
    assert stdout == "end\n"
    assert parts == []
    order = ["QUEUED", "ACTIVE", "COMPLETE"]
    assert set(seen) <= set(order)
    assert seen == sorted(seen, key=lambda state: order.index(str(state)))


def test_status_lines_of_a_script_reach_nobody_from_inside_the_sandbox(site: Site) -> None:
    """Airavata would take their COMPLETED for the end of the job before its outputs are there."""
    called = site.directory / "curl-called"
    fake = site.directory / "curl"
    fake.write_text(f"#!/bin/sh\necho called >> {called}\n")
    fake.chmod(0o755)
    site.run(
        JobScript(site.work(), "true", pre_commands=(), directives=(f"export PATH={site.directory}:$PATH",))
    )
    assert lines(called) == []
