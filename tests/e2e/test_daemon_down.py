"""Without a daemon every command says so, and says nothing that could be taken for an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.airavata_script import JobScript
from tests.support.site import Site

WORDS = "airavata-mesos serve"


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Commands of a home in which nobody serves."""
    site = Site(tmp_path_factory.mktemp("down"), None, {})
    site.install()
    return site


@pytest.mark.parametrize(
    "command",
    [
        "squeue -j 1",
        "squeue -n A123 -u root",
        "squeue -u root",
        "squeue -h -t running -r",
        "scancel 1",
        "sacct -X -n -P -o State,Submit --duplicates -j 1",
        "sinfo -p default",
        'sinfo -s -p default -o "%a %F"',
    ],
)
def test_commands(down: Site, command: str) -> None:
    answer = down.airavata.execute(command)
    assert answer.stdout == ""
    assert answer.exit_code not in (0, 126, 127)
    assert WORDS in answer.stderr
    # SLURM's words for an id that it does not know would tell Airavata that the job is over.
    assert "Invalid job id" not in answer.stderr


def test_sbatch(down: Site) -> None:
    job = down.submit(JobScript(down.work(), "true"))
    assert (job.job_id, job.answer.stdout) == ("", "")
    assert "Batch job submission failed" in job.answer.stderr
    assert WORDS in job.answer.stderr
    alone = down.airavata.execute(f"{down.commands}/sbatch {job.directory}/job_*.slurm")
    assert alone.exit_code == 1


def test_state_is_never_invented(down: Site) -> None:
    assert down.airavata.state("1") is None
    assert down.airavata.find("A123") is None
    assert not down.airavata.queue_available("default")


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs",),
        ("jobs", "--json"),
        ("show", "1"),
        ("cancel", "1"),
        ("logs", "1"),
        ("logs", "-f", "1"),
        ("outputs", "1"),
        ("submit", "--wrap", "true"),
    ],
)
def test_commands_for_people(down: Site, arguments: tuple[str, ...]) -> None:
    done = down.cli(*arguments, code=1)
    assert done.stdout == ""
    assert WORDS in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_socket_that_a_killed_daemon_left_is_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = Site(tmp_path_factory.mktemp("killed"), None, {})
    site.start()
    site.install()
    site.kill()
    assert (site.home / "command.sock").exists()
    answer = site.airavata.execute("squeue -j 1")
    assert (answer.stdout, answer.exit_code) == ("", 1)
    assert WORDS in answer.stderr
    assert site.start()["socket"] == str(site.home / "command.sock")
    site.run("true")
    site.stop()
    assert not (site.home / "command.sock").exists()


def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    site = Site(tmp_path, None, {})
    site.home.write_text("a file")
    done = site.cli("serve", "--embedded", code=1)
    assert str(site.home) in done.stderr
    assert "AIRAVATA_MESOS_HOME" in done.stderr
