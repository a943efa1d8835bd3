"""squeue: the table that Airavata reads."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.slurm import view
from airavata_mesos_plugin.slurm.session import Result
from airavata_mesos_plugin.states import SLURM_STATES

Call = Callable[..., Result]
AddJob = Callable[..., JobRecord]

NOW = 1_795_364_400.0
HEADER = "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n"
UNKNOWN = Result("", "slurm_load_jobs error: Invalid job id specified\n", 1)


def test_a_running_job(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.RUNNING, {"name": "one"}, started_at=NOW - 9, host="node1")
    row = "                 1     batch      one    alice  R       0:09      1 node1\n"
    assert call("squeue -j 1") == Result(HEADER + row)
    assert call("squeue -h -j1") == Result(row)
    assert call("squeue --nohead --job=1") == Result(row)
    assert call('squeue -o "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R" -j 1') == Result(HEADER + row)


@pytest.mark.parametrize("phase", JobPhase)
def test_airavata_reads_every_phase(call: Call, add_job: AddJob, phase: JobPhase) -> None:
    """The patterns of Airavata's own parser, by id and by name, find what was meant."""
    reason = "Insufficient: CPU,Insufficient: RAM"
    add_job(phase, {"name": "A1620574137"}, pending_reason=reason, host="agent-1", exit_code=3)
    for line in ("squeue -j 1", "squeue -n A1620574137 -u alice"):
        stdout = call(line).stdout
        found = re.search(r"1(?=\s+\S+\s+\S+\s+\S+\s+(?P<status>\w+))", stdout.split("\n", 1)[1])
        assert found is not None
        assert found["status"] == SLURM_STATES[phase].letters
        by_name = re.search(r"(?=(?P<jobId>\d+)\s+\w+\s+A1620574)", stdout)
        assert by_name is not None
        assert by_name["jobId"] == "1"
        assert len(stdout.splitlines()[1].split()) == (7 if stdout.endswith(" \n") else 8)


@pytest.mark.parametrize(
    ("phase", "changes", "last"),
    [
        (JobPhase.ACCEPTED, {}, "(None)"),
        (JobPhase.SUBMITTING, {}, "(None)"),
        (JobPhase.QUEUED, {}, "(Resources)"),
        (JobPhase.QUEUED, {"pending_reason": "Insufficient: CPU"}, "(Resources)"),
        (JobPhase.QUEUED, {"pending_reason": "Constraint not satisfied: rack"}, "(BadConstraints)"),
        (JobPhase.QUEUED, {"pending_reason": "Host draining for maintenance"}, "(ReqNodeNotAvail)"),
        (JobPhase.QUEUED, {"pending_reason": "Something else here"}, "(Something_else_here)"),
        (JobPhase.QUEUED, {"native_state": "STARTING", "host": "n1"}, "(None)"),
        (JobPhase.FETCHING, {"host": "n1"}, "n1"),
        (JobPhase.COMPLETED, {"host": "n1"}, "n1"),
        (JobPhase.FAILED, {"host": "n1", "exit_code": 3}, "(NonZeroExitCode)"),
        (JobPhase.FAILED, {"host": "n1", "signal": 9}, "(JobLaunchFailure)"),
        (JobPhase.TIMEOUT, {"host": "n1"}, "(TimeLimit)"),
        (JobPhase.CANCELLED, {}, ""),
        (JobPhase.LOST, {"host": "n1"}, "n1"),
    ],
)
def test_the_last_column(
    call: Call, add_job: AddJob, phase: JobPhase, changes: dict[str, object], last: str
) -> None:
    add_job(phase, **changes)
    assert call("squeue -h -j 1 -o %R").stdout == f"{last}\n"


def test_finished_jobs_by_id_and_by_name_only(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.COMPLETED, {"name": "A1"}, started_at=NOW - 50, ended_at=NOW - 40, host="n1")
    add_job(JobPhase.RUNNING, {"name": "A1"}, started_at=NOW - 3, host="n1")
    add_job(JobPhase.RUNNING, {"name": "A12"}, started_at=NOW - 3, host="n1")
    assert call("squeue -h -j 1 -o '%i %t %M'").stdout == "1 CD 0:10\n"
    assert call("squeue -h -n A1 -u alice -o '%i %t'").stdout == "2 R\n1 CD\n"
    assert call("squeue -h -o %i").stdout == "3\n2\n"
    assert call("squeue -h -u alice -o %i").stdout == "3\n2\n"
    assert call("squeue -h -t all -o %i").stdout == "3\n2\n1\n"
    assert call("squeue -t R -j 1") == Result(HEADER)


def test_of_equal_names_the_newest_comes_first(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.QUEUED, {"name": "A1", "queue": "batch"})
    add_job(JobPhase.COMPLETED, {"name": "A1", "queue": "short"})
    assert call("squeue -h -n A1 -o %i").stdout == "2\n1\n"
    assert call("squeue -h -t all -o %i").stdout == "1\n2\n"


def test_counting_as_airavata_does(call: Call, add_job: AddJob) -> None:
    for phase in (JobPhase.QUEUED, JobPhase.RUNNING, JobPhase.ACCEPTED, JobPhase.FETCHING, JobPhase.FAILED):
        add_job(phase)
    assert call("squeue -h -t running -r").stdout.count("\n") == 2
    assert call("squeue -h -t pending -r").stdout.count("\n") == 2
    assert call("squeue -h -t SUSPENDED -r") == Result()


def test_unknown_ids(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.RUNNING)
    for text in ("999999", "99999999999", "9" * 40):
        assert call(["squeue", "-j", text]) == UNKNOWN
    assert call("squeue -j 999998,999999") == Result(HEADER)
    assert call("squeue -h -o %i -j '1, 999999'") == Result("1\n")
    assert call("squeue -j 1_7") == Result(HEADER)
    for text in ("abc", "0", "1.x y"):
        assert call(["squeue", "-j", text]) == Result("", f"squeue: error: Invalid job id: {text}\n", 1)
    assert call(["squeue", "-j", ""]) == Result(HEADER)
    assert call("squeue -h -j -o %i").stdout == "1\n"
    assert call("squeue -j -1").stderr.startswith("squeue: invalid option -- '1'\nTry")


def test_users(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.RUNNING)
    add_job(JobPhase.RUNNING, {"user": "bob", "uid": 5002})
    assert call("squeue -h -o %i -u alice").stdout == "1\n"
    assert call("squeue -h -o %i --me").stdout == "1\n"
    assert call("squeue -h -o %i -u bob").stdout == "2\n"
    assert call("squeue -u nosuchuser") == Result(HEADER, "squeue: error: Invalid user: nosuchuser\n")
    both = call("squeue -h -o %i -u alice,nosuchuser")
    assert both == Result("1\n", "squeue: error: Invalid user: nosuchuser\n")
    assert call("squeue -h -u bob -j 1") == Result()
    assert call("squeue -h -o %i -u root") == Result()


def test_order_and_other_filters(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.RUNNING, {"queue": "short", "account": "chem"})
    add_job(JobPhase.RUNNING, host="n1")
    add_job(JobPhase.QUEUED)
    add_job(JobPhase.ACCEPTED)
    assert call("squeue -h -o %i").stdout.split() == ["4", "3", "2", "1"]
    assert call("squeue -h -o %i -p short").stdout == "1\n"
    assert call("squeue -h -o %i -A chem").stdout == "1\n"
    assert call("squeue -h -o %i -w n1").stdout == "2\n"
    assert call("squeue -p nosuch") == Result(HEADER)
    assert call("squeue -n ''") == Result(HEADER)


@pytest.mark.parametrize(
    ("format_text", "stdout"),
    [
        ("%i,%j,%T,%M,%l,%D,%C,%R", "1,a_name_that_is_quite_long,RUNNING,0:10,30:00,1,1,node1\n"),
        ("[%5i][%.5i][%3j][%.3j][%.8T]", "[1    ][    1][a_n][a_n][ RUNNING]\n"),
        (r"id=%i\tend", "id=1\\tend\n"),
        ("100%% %i", "100% 1\n"),
        ("%V %S %e %L", "2026-11-22T16:19:00 2026-11-22T16:19:50 2026-11-22T16:49:50 29:50\n"),
        ("%a|%q|%v|%k|%m|%U|%Z", "(null)|(null)|(null)|(null)|500M|5001|/home/alice/run\n"),
        ("", ""),
    ],
)
def test_formats(call: Call, add_job: AddJob, format_text: str, stdout: str) -> None:
    add_job(JobPhase.RUNNING, {"name": "a_name_that_is_quite_long"}, started_at=NOW - 10, host="node1")
    assert call(["squeue", "-h", "-j", "1", "-o", format_text]).stdout == stdout


def test_a_field_that_nobody_knows(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.RUNNING)
    result = call("squeue -h -O JobID:4,NoSuch")
    assert result == Result("1   \n", "squeue: error: Invalid job format specification: NoSuch\n", 0)


def test_format_and_time_zone_from_the_environment(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.RUNNING)
    assert call("squeue", environ={"SQUEUE_FORMAT": "%i;%T"}).stdout == "JOBID;STATE\n1;RUNNING\n"
    assert call("squeue -h -o %V", environ={"TZ": "Asia/Tokyo"}).stdout == "2026-11-23T01:19:00\n"
    assert call("squeue -h -o %V", environ={"TZ": "../../etc/passwd"}).exit_code == 0


def test_the_long_table(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.QUEUED, {"name": "later"})
    first, header, row = call("squeue -l").stdout.splitlines()
    assert first == "Sun Nov 22 16:20:00 2026"
    assert header.endswith("USER    STATE       TIME TIME_LIMI  NODES NODELIST(REASON)")
    assert (
        row
        == "                 1     batch    later    alice  PENDING       0:00     30:00      1 (Resources)"
    )


@pytest.mark.parametrize(
    ("line", "code", "stderr"),
    [
        (
            "squeue --nosuch",
            1,
            "squeue: unrecognized option '--nosuch'\nTry \"squeue --help\" for more information\n",
        ),
        ("squeue 5", 1, "squeue: error: Unrecognized option: 5\n"),
        ("squeue -i 5", 1, "squeue: error: --iterate is not supported here; repeat the command\n"),
        ("squeue -M nosuch", 1, "squeue: error: No cluster 'nosuch' known by database.\n"),
        ("squeue -t NOSUCH", 1, "squeue: error: Invalid job state specified: NOSUCH\n"),
    ],
)
def test_faults(call: Call, line: str, code: int, stderr: str) -> None:
    result = call(line)
    assert result.exit_code == code
    assert result.stderr.startswith(stderr)


def test_the_list_of_states(call: Call) -> None:
    assert call("squeue -t NOSUCH").stderr.endswith(
        "Valid job states include: PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,"
        "PREEMPTED,BOOT_FAIL,DEADLINE,OUT_OF_MEMORY,COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,"
        "REQUEUE_FED,REQUEUE_HOLD,REVOKED,SIGNALING,SPECIAL_EXIT,STAGE_OUT,STOPPED\n"
    )


def test_states_by_letters_and_words_agree() -> None:
    for word, letters in view.STATE_WORDS.items():
        assert view.phases_of(word.lower()) == view.phases_of(letters)
    covered = {phase for word in view.STATE_WORDS for phase in view.phases_of(word)}
    assert covered == set(JobPhase)


@pytest.mark.parametrize(
    ("name", "shown"), [("a b  c", "a_b_c"), (" ", "(null)"), ("", "(null)"), ("a\tb", "a_b")]
)
def test_a_name_is_one_word_in_the_default_table(call: Call, add_job: AddJob, name: str, shown: str) -> None:
    add_job(JobPhase.COMPLETED, {"name": name}, host="n1")
    assert call("squeue -h -j 1").stdout.split()[2:5] == [shown, "alice", "CD"]
    assert call("squeue -h -l -j 1").stdout.split()[2:5] == [shown, "alice", "COMPLETE"]
    assert call(["squeue", "-h", "-j", "1", "-o", "[%j]"]).stdout == f"[{name}]\n".replace("\t", "?")


def test_a_name_cannot_forge_a_line(call: Call, add_job: AddJob) -> None:
    add_job(JobPhase.RUNNING, {"name": "a\n 7 x y CD\x1b[2J"})
    assert call("squeue -h -o %j").stdout == "a? 7 x y CD?[2J\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    command=st.sampled_from(["squeue", "scancel", "sacct", "sinfo"]),
    argv=st.lists(
        st.one_of(
            st.binary().map(lambda word: os.fsdecode(word.replace(b"\0", b""))),
            st.sampled_from(
                ["-j", "-n", "-u", "-t", "-o", "-h", "-p", "-s", "--me", "1", "all", "%i%5t", "1,2"]
            ),
        ),
        max_size=5,
    ),
)
def test_nothing_typed_makes_a_traceback(call: Call, add_job: AddJob, command: str, argv: list[str]) -> None:
    add_job(JobPhase.RUNNING)
    result = call([command, *argv])
    assert "internal fault" not in result.stderr
    assert result.exit_code in (0, 1, 210)
