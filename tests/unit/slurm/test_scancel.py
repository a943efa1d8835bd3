"""scancel: silent, repeatable, and only for one's own jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.slurm.session import Result

Call = Callable[..., Result]
AddJob = Callable[..., JobRecord]


@pytest.fixture
def jobs(add_job: AddJob) -> None:
    """Two of alice that wait or run, one that is over, one of bob."""
    add_job(JobPhase.QUEUED, {"name": "byname"})
    add_job(JobPhase.RUNNING, {"name": "other", "queue": "short"})
    add_job(JobPhase.COMPLETED)
    add_job(JobPhase.RUNNING, {"user": "bob", "uid": 5002})


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scancel 1", [1]),
        ("scancel 1 2", [1, 2]),
        ("scancel 2,1", [2, 1]),
        ("scancel 1 1,1", [1]),
        ("scancel 3", []),
        ("scancel 999999", []),
        ("scancel 99999999999", []),
        ("scancel -Q 999999", []),
        ("scancel 1 999999", [1]),
        ("scancel -u alice", [1, 2]),
        ("scancel --me", [1, 2]),
        ("scancel -n byname", [1]),
        ("scancel -n bynam", []),
        ("scancel -t PENDING -u alice", [1]),
        ("scancel -p short", [2]),
        ("scancel -p nosuch", []),
        ("scancel -n byname 2", []),
        ("scancel -n byname 1 2", [1]),
        ("scancel -t RUNNING 1", []),
        ("scancel -s TERM 1", [1]),
        ("scancel -u root", []),
    ],
)
def test_silent_success(call: Call, cancelled: list[int], line: str, expected: list[int]) -> None:
    assert call(line) == Result()
    assert cancelled == expected


@pytest.mark.usefixtures("jobs")
def test_twice_is_as_good_as_once(call: Call) -> None:
    assert call("scancel 1") == call("scancel 1") == Result()


@pytest.mark.usefixtures("jobs")
def test_another_users_job(call: Call, cancelled: list[int]) -> None:
    denied = "scancel: error: Kill job error on job id 4: Access/permission denied\n"
    assert call("scancel 4") == Result("", denied, 210)
    assert call("scancel -u bob") == Result("", denied, 210)
    assert call("scancel 4 1").exit_code == 210
    assert cancelled == [1]
    assert call("scancel 4", user="root", uid=0) == Result()


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("line", "stderr"),
    [
        ("scancel -v 1", "scancel: Terminating job 1\n"),
        ("scancel -v --me -t all", "scancel: Terminating job 1\nscancel: Terminating job 2\n"),
        (
            "scancel -v 999999",
            "scancel: Terminating job 999999\n"
            "scancel: error: Kill job error on job id 999999: Invalid job id specified\n",
        ),
        (
            "scancel -v 3",
            "scancel: Terminating job 3\n"
            "scancel: error: Kill job error on job id 3: Job/step already completing or completed\n",
        ),
    ],
)
def test_verbose(call: Call, line: str, stderr: str) -> None:
    assert call(line) == Result("", stderr)


@pytest.mark.parametrize(
    ("argv", "stderr"),
    [
        (["abc"], "scancel: error: Invalid job id abc\n"),
        ([""], "scancel: error: Invalid job id \n"),
        (["0"], "scancel: error: Invalid job id 0\n"),
        (["514.batch", "1"], "scancel: error: Invalid job id 514.batch\n"),
        ([], "scancel: error: No job identification provided\n"),
        (["-u", "nosuchuser"], "scancel: error: Invalid user name: nosuchuser\n"),
        (
            ["-t", "NOSUCH"],
            "Invalid job state specified: NOSUCH\nValid job states are PENDING, RUNNING, and SUSPENDED\n",
        ),
        (["-s", "USR1", "1"], "scancel: error: --signal=USR1"),
        (["-b", "1"], "scancel: error: --batch"),
        (
            ["--nosuch", "5"],
            "scancel: unrecognized option '--nosuch'\nTry \"scancel --help\" for more information\n",
        ),
    ],
)
def test_faults(call: Call, cancelled: list[int], add_job: AddJob, argv: list[str], stderr: str) -> None:
    add_job(JobPhase.RUNNING)
    result = call(["scancel", *argv])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(stderr)
    assert cancelled == []
