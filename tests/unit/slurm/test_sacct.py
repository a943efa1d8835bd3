"""sacct: states, dates and exit codes as accounting shows them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.slurm.session import Result

Call = Callable[..., Result]
AddJob = Callable[..., JobRecord]

NOW = 1_795_364_400.0
AIRAVATA = "sacct -X -n -P -o State,Submit --duplicates -j "


@pytest.mark.parametrize(
    ("phase", "word"),
    [
        (JobPhase.ACCEPTED, "PENDING"),
        (JobPhase.SUBMITTING, "PENDING"),
        (JobPhase.QUEUED, "PENDING"),
        (JobPhase.RUNNING, "RUNNING"),
        (JobPhase.FETCHING, "RUNNING"),
        (JobPhase.COMPLETED, "COMPLETED"),
        (JobPhase.FAILED, "FAILED"),
        (JobPhase.TIMEOUT, "TIMEOUT"),
        (JobPhase.CANCELLED, "CANCELLED by 5001"),
        (JobPhase.LOST, "NODE_FAIL"),
    ],
)
def test_the_form_that_airavata_uses(call: Call, add_job: AddJob, phase: JobPhase, word: str) -> None:
    add_job(phase, outcome=JobPhase.CANCELLED)
    assert call(f"{AIRAVATA}1") == Result(f"{word}|2026-11-22T16:19:00\n")


def test_unknown_jobs(call: Call) -> None:
    for text in ("999999", "99999999999", "999999.batch"):
        assert call(AIRAVATA + text) == Result()


@pytest.mark.parametrize(
    ("by", "uid"), [("alice", 5001), ("", 5001), ("root", 0), ("0", 0), ("nosuchuser", 5001)]
)
def test_who_cancelled(call: Call, add_job: AddJob, by: str, uid: int) -> None:
    add_job(JobPhase.CANCELLED, cancel_requested_by=by)
    assert call("sacct -n -P -o State -j 1").stdout == f"CANCELLED by {uid}\n"


def test_the_default_table(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.CANCELLED, {"name": "cancelledrun", "account": "physics"})
    assert call("sacct -j 1").stdout == (
        "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode \n"
        "------------ ---------- ---------- ---------- ---------- ---------- -------- \n"
        "1            cancelled+      batch    physics          1 CANCELLED+      0:0 \n"
    )


def test_fields(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.FAILED, started_at=NOW - 50, ended_at=NOW - 49, host="n1", exit_code=3)
    stdout = call("sacct -P -o jobid,JobName,stat,Exit,Elapsed,Start,End,Submit,User,NodeList -X -j 1").stdout
    assert stdout == (
        "JobID|JobName|State|ExitCode|Elapsed|Start|End|Submit|User|NodeList\n"
        "1|job.sh|FAILED|3:0|00:00:01|2026-11-22T16:19:10|2026-11-22T16:19:11|2026-11-22T16:19:00|alice|n1\n"
    )
    assert call("sacct -p -n -o JobID,State -j 1").stdout == "1|FAILED|\n1.batch|FAILED|\n"
    assert call("sacct -X -P -n --delimiter=, -o JobID,State -j 1").stdout == "1,FAILED\n"
    assert (
        call("sacct -X -n -j 1 -o JobID%5,JobID%-7,JobName%4,State%8").stdout
        == "    1 1       job+   FAILED \n"
    )


@pytest.mark.parametrize(
    ("phase", "changes", "start", "end"),
    [
        (JobPhase.QUEUED, {}, "Unknown", "Unknown"),
        (JobPhase.RUNNING, {"started_at": NOW}, "2026-11-22T16:20:00", "Unknown"),
        (JobPhase.CANCELLED, {"ended_at": NOW}, "2026-11-22T16:20:00", "2026-11-22T16:20:00"),
        (JobPhase.CANCELLED, {"changed_at": NOW}, "2026-11-22T16:20:00", "2026-11-22T16:20:00"),
    ],
)
def test_dates(
    call: Call, add_job: AddJob, phase: JobPhase, changes: dict[str, object], start: str, end: str
) -> None:
    add_job(phase, **changes)
    assert call("sacct -X -n -P -o Start,End -j 1").stdout == f"{start}|{end}\n"


@pytest.mark.parametrize(
    ("phase", "changes", "code"),
    [
        (JobPhase.COMPLETED, {"exit_code": 0}, "0:0"),
        (JobPhase.FAILED, {"exit_code": 3}, "3:0"),
        (JobPhase.FAILED, {"exit_code": 128}, "0:0"),
        (JobPhase.FAILED, {"exit_code": 137}, "9:0"),
        (JobPhase.FAILED, {"exit_code": 255}, "127:0"),
        (JobPhase.FAILED, {"signal": 15}, "0:15"),
        (JobPhase.TIMEOUT, {"exit_code": 143}, "0:0"),
        (JobPhase.CANCELLED, {"signal": 15}, "0:0"),
    ],
)
def test_exit_codes(
    call: Call, add_job: AddJob, phase: JobPhase, changes: dict[str, object], code: str
) -> None:
    add_job(phase, **changes)
    assert call("sacct -n -P -o ExitCode -j 1").stdout == f"{code}\n"


def test_without_ids_ones_own_of_today(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.COMPLETED, ended_at=NOW - 86400)
    add_job(JobPhase.COMPLETED, ended_at=NOW - 10)
    add_job(JobPhase.RUNNING)
    add_job(JobPhase.RUNNING, {"user": "bob", "uid": 5002})
    assert call("sacct -n -P -o JobID").stdout == "2\n3\n"
    assert call("sacct -n -P -o JobID -a").stdout == "2\n3\n4\n"
    assert call("sacct -n -P -o JobID -u bob").stdout == "4\n"
    assert call("sacct -n -P -o JobID -j 1,4,999").stdout == "1\n4\n"


@pytest.mark.parametrize(
    ("line", "stderr"),
    [
        ("sacct -j abc", "sacct: fatal: Bad job/step specified: abc\n"),
        ("sacct -o JobID,NoSuch", 'sacct: error: Invalid field requested: "NoSuch"\n'),
        ("sacct -o JobID%x", 'sacct: error: Invalid field requested: "JobID%x"\n'),
        ("sacct --nosuch", "sacct: unrecognized option '--nosuch'\n"),
        ("sacct 5", "sacct: error: Unknown arguments:\nsacct: error:  5\n"),
        ("sacct -u nosuchuser", "sacct: error: Invalid user id: nosuchuser\n"),
        ("sacct -S nonsense", "Invalid time specification (pos=0): nonsense\n"),
        ("sacct -s NOSUCH", "sacct: fatal: unrecognized job state value 'NOSUCH'\n"),
    ],
)
def test_faults(call: Call, line: str, stderr: str) -> None:
    assert call(line) == Result("", stderr, 1)
