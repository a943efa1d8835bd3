"""What Airavata relies on in the answers of the commands, one promise a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.states import AIRAVATA_STATES, SLURM_STATES
from tests.contract.airavata_caller import STATES, Submission
from tests.contract.airavata_script import JobScript
from tests.support.site import Site
from tests.support.waiting import wait_for

SACCT = "sacct -X -n -P -o State,Submit --duplicates -j {}"


@pytest.fixture(scope="module")
def ended(site: Site) -> dict[str, Submission]:
    """A job for each way to end."""
    jobs = {
        "CD": site.accepted("true"),
        "F": site.accepted("exit 3"),
        "CA": site.accepted("sleep 600"),
    }
    site.in_phase(jobs["CA"], "running")
    site.airavata.cancel(jobs["CA"].job_id)
    for letters, job in jobs.items():
        site.finished(job, STATES[letters])
    return jobs


@pytest.fixture
def sleeping(site: Site) -> Iterator[Submission]:
    """A job that runs."""
    job = site.accepted("sleep 600")
    site.in_phase(job, "running")
    yield job
    site.airavata.cancel(job.job_id)


def test_every_letter_that_we_can_show_means_the_same_to_airavata() -> None:
    shown = {phase: STATES[SLURM_STATES[phase].letters] for phase in SLURM_STATES}
    # Airavata makes SUBMITTED and QUEUED of the same letters itself.
    expected = {phase: state.replace("SUBMITTED", "QUEUED") for phase, state in AIRAVATA_STATES.items()}
    assert shown == expected
    assert not {"CG", "S"} & {state.letters for state in SLURM_STATES.values()}


def test_sbatch_prints_its_line_and_nothing_else(ended: dict[str, Submission]) -> None:
    for job in ended.values():
        assert re.fullmatch(r"Submitted batch job [1-9][0-9]*\n", job.answer.stdout)
        assert (job.answer.stderr, job.answer.exit_code) == ("", 0)


def test_sbatch_leaves_nobody_on_its_streams(site: Site) -> None:
    job = site.accepted("sleep 600")  # which lasts longer than we wait for the end of the output
    assert site.airavata.state(job.job_id) in ("QUEUED", "ACTIVE")
    site.airavata.cancel(job.job_id)


def test_an_answer_that_was_lost_is_found_in_the_saved_file(site: Site) -> None:
    """When stdout is empty Airavata reads the file that tee wrote."""
    job = site.accepted("true")
    answer = site.airavata.execute(f"cat {job.directory}/{job.job_name}")
    assert answer.stdout == f"Submitted batch job {job.job_id}\n"


@pytest.mark.parametrize("letters", ["CD", "F", "CA"])
def test_terminal_letters_are_answered_again_and_again(
    site: Site, ended: dict[str, Submission], letters: str
) -> None:
    for _ in range(3):
        answer = site.airavata.execute(f"{site.commands}/squeue -j {ended[letters].job_id}")
        assert (answer.stderr, answer.exit_code) == ("", 0)
        head, row = answer.stdout.splitlines()
        assert head.split()[:5] == ["JOBID", "PARTITION", "NAME", "USER", "ST"]
        assert row.split()[0] == ended[letters].job_id
        assert row.split()[4] == letters


def test_an_id_that_nobody_was_given_is_an_error_and_no_row(site: Site, ended: dict[str, Submission]) -> None:
    answer = site.airavata.execute(
        f"{site.commands}/squeue -j {max(int(j.job_id) for j in ended.values())}99"
    )
    assert answer.stdout == ""
    assert answer.stderr == "slurm_load_jobs error: Invalid job id specified\n"
    assert answer.exit_code == 1


def test_a_short_id_is_not_taken_for_a_part_of_a_longer_one(site: Site) -> None:
    """The id stands in Airavata's pattern without bounds, so only the right row may be printed."""
    for _ in range(11):
        last = site.accepted("true")
    assert int(last.job_id) > 10
    answer = site.airavata.execute(f"{site.commands}/squeue -h -j 1")
    assert [line.split()[0] for line in answer.stdout.splitlines()] == ["1"]


def test_a_job_is_found_by_its_name_while_it_runs_and_afterwards(
    site: Site, sleeping: Submission, ended: dict[str, Submission]
) -> None:
    for job in (sleeping, *ended.values()):
        assert site.airavata.find(job.job_name) == job.job_id


def test_of_two_jobs_with_one_name_the_newest_is_found(site: Site) -> None:
    first = site.accepted(JobScript(site.work(), "true", job_name="A1111111111"))
    second = site.accepted(JobScript(site.work(), "true", job_name="A1111111111"))
    assert int(second.job_id) > int(first.job_id)
    assert site.airavata.find("A1111111111") == second.job_id


def test_a_name_that_nobody_used_finds_nothing(site: Site) -> None:
    assert site.airavata.find("A0000000000") is None


def test_cancel_of_what_is_over_or_unknown_is_no_error(site: Site, ended: dict[str, Submission]) -> None:
    for job_id in (*(job.job_id for job in ended.values()), "99999999"):
        answer = site.airavata.cancel(job_id)
        assert (answer.stdout, answer.exit_code) == ("", 0)
    for letters, job in ended.items():
        assert site.airavata.letters(job.job_id) == letters


@pytest.mark.parametrize(
    ("letters", "word"), [("CD", "COMPLETED"), ("F", "FAILED"), ("CA", "CANCELLED by 0")]
)
def test_sacct_tells_the_end_and_the_time_of_submission(
    site: Site, ended: dict[str, Submission], letters: str, word: str
) -> None:
    answer = site.airavata.execute(SACCT.format(ended[letters].job_id))
    assert (answer.stderr, answer.exit_code) == ("", 0)
    said, moment = answer.stdout.rstrip("\n").split("|")
    assert said.rstrip("0123456789") == word.rstrip("0123456789")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", moment)
    assert site.airavata.accounted_state(ended[letters].job_id) == STATES[letters]


def test_sacct_and_squeue_agree_on_a_running_job(site: Site, sleeping: Submission) -> None:
    """No line of sacct would mean completed to Airavata's master."""
    assert site.airavata.state(sleeping.job_id) == "ACTIVE"
    assert site.airavata.accounted_state(sleeping.job_id) == "ACTIVE"
    assert site.airavata.monitored_state(sleeping.job_id) == "ACTIVE"


def test_sinfo_says_that_the_queue_is_up(site: Site, sleeping: Submission) -> None:
    assert sleeping.job_id
    answer = site.airavata.execute('sinfo -s -p default -o "%a %F" | tail -1')
    assert re.fullmatch(r"up \d+/\d+/\d+/\d+\n", answer.stdout)
    assert site.airavata.queue_status("default") in {(True, 0, 1), (True, 1, 0)}
    assert site.airavata.queue_available("default")


def test_sinfo_does_not_invent_a_queue(site: Site) -> None:
    assert not site.airavata.queue_available("nowhere")


def test_running_and_pending_jobs_are_counted(site: Site, sleeping: Submission) -> None:
    assert sleeping.job_id
    wait_for(lambda: site.airavata.count("pending"), (0).__eq__, "no pending jobs")
    wait_for(lambda: site.airavata.count("running"), (1).__eq__, "one running job")


@pytest.mark.parametrize("command", ["sbatch", "squeue", "scancel", "sacct", "sinfo"])
def test_help_and_version_work_without_a_job(site: Site, command: str) -> None:
    assert site.airavata.execute(f"{command} --usage").stdout.startswith(f"Usage: {command}")
    assert site.airavata.execute(f"{command} --version").stdout.startswith("slurm")


def test_commands_survive_closed_streams(site: Site) -> None:
    """A caller may have gone; the command must still end, and a job must not be lost half-way."""
    script = JobScript(site.work(), "true").write()
    before = site.count()
    answer = site.airavata.execute(f"{site.commands}/sbatch {script} >&- 2>&- <&-", script.parent)
    assert answer.exit_code in (0, 1)
    assert site.count() == before + 1


def test_the_working_directory_may_be_reached_over_a_link(site: Site) -> None:
    """Scratch file systems are often links; the script then names another path than the physical one."""
    physical = site.work()
    link = Path(f"{physical}-link")
    link.symlink_to(physical)
    (physical / "input.txt").write_text("in\n")
    job = site.accepted(JobScript(link, f"cat {link}/input.txt > {link}/copy.txt; pwd"))
    site.finished(job, "COMPLETE")
    assert (physical / "copy.txt").read_text() == "in\n"
