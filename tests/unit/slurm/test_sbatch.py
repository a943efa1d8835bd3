"""sbatch as it is typed: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    InvalidRequest,
    LedgerError,
    QuotaExceeded,
    Refused,
    UnsatisfiableRequest,
)
from airavata_mesos_plugin.jobs import JobRecord, JobRequest
from airavata_mesos_plugin.slurm.session import Result

Call = Callable[..., Result]
FAILED = "sbatch: error: Batch job submission failed: "
TRY = 'Try "sbatch --help" for more information\n'


@pytest.fixture
def submit(call: Call, workdir: Path, records: dict[int, JobRecord]) -> Callable[..., JobRequest]:
    """Submit a script with these directives and options; the request that came of it."""

    def type_it(*directives: str, options: str = "", environ: dict[str, str] | None = None) -> JobRequest:
        lines = "".join(f"#SBATCH {line}\n" for line in directives)
        (workdir / "d.sh").write_text(f"#!/bin/bash\n{lines}echo run\n")
        result = call(f"sbatch {options} d.sh", environ=environ)
        assert (result.exit_code, result.stdout) == (0, f"Submitted batch job {max(records)}\n"), result
        return records[max(records)].request

    return type_it


@pytest.fixture
def refuse(call: Call, workdir: Path, records: dict[int, JobRecord]) -> Callable[..., Result]:
    """Submit in vain; the answer."""

    def type_it(*directives: str, options: str = "", environ: dict[str, str] | None = None) -> Result:
        lines = "".join(f"#SBATCH {line}\n" for line in directives)
        (workdir / "d.sh").write_text(f"#!/bin/bash\n{lines}echo run\n")
        result = call(f"sbatch {options} d.sh", environ=environ)
        assert result.exit_code != 0
        assert result.stdout == ""
        assert not records
        return result

    return type_it


def test_a_gateway_script(
    call: Call, workdir: Path, records: dict[int, JobRecord], scripts: dict[int, str]
) -> None:
    text = (
        "#!/bin/bash\n\n# generated\n#SBATCH -p short\n#SBATCH -N 1\n#SBATCH -n 2\n#SBATCH --mem=1000M\n"
        "#SBATCH --mail-user=user@example.org\n#SBATCH -A Mesos-Alloc\n#SBATCH -t 00:5:00\n"
        f"#SBATCH -J A1620574137\n#SBATCH -o {workdir}/Echo.stdout\n#SBATCH -e {workdir}/Echo.stderr\n"
        "#SBATCH --qos=normal\n#SBATCH --reservation=r1\n\n#SBATCH --mail-type=ALL\n\n"
        f"cd {workdir}\n#SBATCH -J ignored\n"
    )
    (workdir / "job_12.slurm").write_text(text)
    result = call(f"sbatch {workdir}/job_12.slurm")
    assert result == Result("Submitted batch job 1\n")
    request = records[1].request
    assert scripts[1] == text
    assert request.name == "A1620574137"
    assert (request.user, request.uid, request.submit_host) == ("alice", 5001, "login1")
    assert (request.queue, request.account, request.qos, request.reservation) == (
        "short",
        "mesos-alloc",
        "normal",
        "r1",
    )
    assert (request.nodes, request.tasks, request.tasks_given) == (1, 2, True)
    assert (request.resources.cpus, request.resources.memory_mb, request.memory_given) == (2, 1000, True)
    assert request.wall_time_seconds == 300
    assert (request.stdout, request.stderr) == ("Echo.stdout", "Echo.stderr")
    assert request.working_directory == str(workdir)
    assert request.mail_user == "user@example.org"
    assert request.mail_types == ("INVALID_DEPEND", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT")


def test_defaults_of_the_partition(submit: Callable[..., JobRequest]) -> None:
    request = submit()
    assert (request.name, request.queue, request.wall_time_seconds) == ("d.sh", "batch", 1800)
    assert (request.tasks, request.tasks_given, request.cpus_per_task) == (1, False, None)
    assert (request.resources.memory_mb, request.resources.disk_mb, request.memory_given) == (
        500,
        1000,
        False,
    )
    assert (request.stdout, request.stderr) == ("slurm-%j.out", None)


def test_command_line_over_environment_over_directive(submit: Callable[..., JobRequest]) -> None:
    environ = {"SBATCH_JOB_NAME": "envname", "SBATCH_TIMELIMIT": "8", "SBATCH_ACCOUNT": "physics"}
    assert submit("-J dir -t 7").name == "dir"
    assert submit("-J dir -t 7", environ=environ).name == "envname"
    assert submit("-J dir -t 7", environ=environ).wall_time_seconds == 480
    assert submit("-J dir -t 7", options="-J cli -t 9", environ=environ).name == "cli"
    assert submit("-J dir", environ={"SLURM_JOB_NAME": "outer"}).name == "dir"


def test_a_memory_directive_beats_memory_in_the_environment(submit: Callable[..., JobRequest]) -> None:
    request = submit("--mem-per-cpu=100", "-n 2", environ={"SBATCH_MEM_PER_NODE": "300"})
    assert (request.resources.memory_mb, request.memory_given) == (200, False)
    assert submit(environ={"SBATCH_MEM_PER_NODE": "300"}).resources.memory_mb == 300


@pytest.mark.parametrize(
    ("options", "tasks", "cpus"),
    [
        ("-n 3", 3, 3),
        ("-c 2", 1, 2),
        ("-n 2 -c 2", 2, 4),
        ("--ntasks-per-node=2", 2, 2),
        ("-N 1-4 -n 2", 2, 2),
    ],
)
def test_counts(submit: Callable[..., JobRequest], options: str, tasks: int, cpus: int) -> None:
    request = submit(options=options)
    assert (request.nodes, request.tasks, request.resources.cpus) == (1, tasks, cpus)


def test_fewer_tasks_than_nodes(call: Call, workdir: Path, records: dict[int, JobRecord]) -> None:
    (workdir / "ok.sh").write_text("#!/bin/sh\n")
    result = call("sbatch -N 2 -n 1 ok.sh")
    assert result.stdout == "Submitted batch job 1\n"
    assert result.stderr == "sbatch: Warning: can't run 1 processes on 2 nodes, setting nnodes to 1\n"
    assert records[1].request.nodes == 1


@pytest.mark.parametrize(
    ("options", "stdout"),
    [
        ("--parsable", "1\n"),
        ("-Q", ""),
        ("-M mesos", "Submitted batch job 1 on cluster mesos\n"),
        ("-M mesos --parsable", "1;mesos\n"),
        ("--", "Submitted batch job 1\n"),
    ],
)
def test_forms_of_success(call: Call, workdir: Path, options: str, stdout: str) -> None:
    (workdir / "ok.sh").write_text("#! /bin/sh")
    assert call(f"sbatch {options} ok.sh") == Result(stdout)


def test_script_arguments(call: Call, workdir: Path, records: dict[int, JobRecord]) -> None:
    (workdir / "with space.sh").write_text("#!/bin/sh\n")
    assert call("sbatch 'with space.sh' -J x '' 'a b'").exit_code == 0
    assert records[1].request.script_arguments == ("-J", "x", "", "a b")
    assert records[1].request.name == "with space.sh"


def test_standard_input(call: Call, records: dict[int, JobRecord], scripts: dict[int, str]) -> None:
    assert call("sbatch", stdin=b"#!/bin/bash\n#SBATCH -t 7\necho x\n").exit_code == 0
    assert (records[1].request.name, records[1].request.wall_time_seconds) == ("sbatch", 420)
    assert scripts[1].endswith("echo x\n")
    assert "Batch script is empty!" in call("sbatch", stdin=b"").stderr
    assert call("sbatch").stderr.startswith("sbatch: error: Unable to read the script from standard input")


def test_wrap(call: Call, records: dict[int, JobRecord], scripts: dict[int, str]) -> None:
    assert call(["sbatch", "--wrap=#SBATCH -J x\necho {hi}"]).exit_code == 0
    assert records[1].request.name == "wrap"
    assert scripts[1] == "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n#SBATCH -J x\necho {hi}\n"
    for words in ("job.sh", "-- a b"):
        result = call(f"sbatch --wrap=true {words}")
        assert (result.exit_code, result.stderr) == (
            1,
            "sbatch: error: Script arguments not permitted with --wrap option\n",
        )


def test_a_bare_name_is_looked_for_in_path(call: Call, workdir: Path, records: dict[int, JobRecord]) -> None:
    (workdir / "bin").mkdir()
    (workdir / "bin" / "inpath.sh").write_text("#!/bin/sh\n")
    assert call("sbatch inpath.sh", environ={"PATH": f"/nosuch:{workdir}/bin"}).exit_code == 0
    assert records[1].request.name == "inpath.sh"
    assert call("sbatch ./inpath.sh", environ={"PATH": f"{workdir}/bin"}).exit_code == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "Batch script is empty!"),
        (b"echo hello\n", "This does not look like a batch script.  The first"),
        (b"\n#!/bin/bash\n", "This does not look like a batch script.  The first"),
        (b"#!/bin/bash\r\necho hi\r\n", "Batch script contains DOS line breaks (\\r\\n)"),
        (b"#!/bin/bash\necho \0\n", "The Slurm controller does not allow scripts that"),
        (b"#!/bin/bash\necho \xff\n", "Batch script is not UTF-8 text (line 2, byte 0xff)"),
        (b"#!/bin/bash\n" + b"#" * 5000, "Batch script is larger than the 4096 bytes allowed here"),
    ],
)
def test_scripts_that_are_none(call: Call, workdir: Path, content: bytes, text: str) -> None:
    (workdir / "bad.sh").write_bytes(content)
    result = call("sbatch bad.sh")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"sbatch: error: {text}")


def test_scripts_that_cannot_be_opened(call: Call, workdir: Path) -> None:
    (workdir / "adir").mkdir()
    assert call("sbatch nosuch.sh").stderr == "sbatch: error: Unable to open file nosuch.sh\n"
    assert call("sbatch -").stderr == "sbatch: error: Unable to open file -\n"
    assert call(["sbatch", ""]).exit_code == 1
    assert call("sbatch adir").stderr == "sbatch: error: Batch script is empty!\n"
    assert call("sbatch nosuch.sh").exit_code == 1


@pytest.mark.parametrize(
    ("directive", "code", "stderr"),
    [
        ("--nosuch=1", 255, f"sbatch: unrecognized option '--nosuch=1'\n{TRY}"),
        ("-Z", 255, f"sbatch: invalid option -- 'Z'\n{TRY}"),
        ("-p", 255, f"sbatch: option requires an argument -- 'p'\n{TRY}"),
        ('-J ""', 255, f"sbatch: option requires an argument -- 'J'\n{TRY}"),
        ("-t abc", 255, "sbatch: error: Invalid --time specification\n"),
        ("-t=7", 255, "sbatch: error: Invalid --time specification\n"),
        ("--mem=abc", 255, "sbatch: error: Invalid --mem specification\n"),
        ("--mem-per-cpu=-1", 255, "sbatch: error: Invalid --mem-per-cpu specification\n"),
        ("--mail-type=ABORT", 255, "sbatch: error: Invalid --mail-type specification\n"),
        ("--open-mode=x", 255, "sbatch: error: Invalid --open-mode specification\n"),
        ("-N abc", 255, 'sbatch: error: "abc" is not a valid node count\n'),
        ("-N 0", 255, 'sbatch: error: "0" is not a valid node count\n'),
        ("-N 2-1", 255, "sbatch: error: Maximum node count 1 is less than minimum node count 2\n"),
        ("-n abc", 1, 'sbatch: error: Invalid numeric value "abc" for --ntasks.\n'),
        ("-n 0", 1, 'sbatch: error: Invalid numeric value "0" for --ntasks.\n'),
        ("-n -3", 1, 'sbatch: error: Invalid numeric value "-3" for --ntasks.\n'),
        ("-c 0", 1, 'sbatch: error: Invalid numeric value "0" for --cpus-per-task.\n'),
        ("-J a word", 255, "sbatch: error: Invalid directive found in batch script: word\n"),
        ("-J a -- -t 7", 255, "sbatch: error: Invalid directive found in batch script: -t\n"),
        ('-J "abc', 1, 'sbatch: fatal: d.sh: line 2: Unmatched `"` in [ "abc]\n'),
        (
            "--mem=1G --mem-per-cpu=100",
            1,
            "sbatch: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.\n",
        ),
        ("--uid=bob", 255, "sbatch: error: --uid only permitted by root user\n"),
    ],
)
def test_refused_directives(refuse: Callable[..., Result], directive: str, code: int, stderr: str) -> None:
    result = refuse(directive)
    assert (result.exit_code, result.stderr) == (code, stderr)


@pytest.mark.parametrize(
    ("options", "constraints"),
    [
        ("", {}),
        ("-C highmem", {"feature": "highmem"}),
        ("-C 'a|b&rack=r1'", {"feature": "a,b", "rack": "r1"}),
        ("-w node1", {"host": "node1"}),
        ("-x node[1-2],other", {"host": "!node1,node2,other"}),
        ("-x n[08-10]x", {"host": "!n08x,n09x,n10x"}),
    ],
)
def test_nodes_that_a_job_may_have(
    submit: Callable[..., JobRequest], options: str, constraints: dict[str, str]
) -> None:
    assert dict(submit(options=options).constraints) == constraints


@pytest.mark.parametrize(
    ("options", "first", "advice"),
    [
        ("-p nosuch", "sbatch: error: invalid partition specified: nosuch", "partitions here: batch, short"),
        ("-p ''", "sbatch: error: invalid partition specified: ", "partitions here"),
        ("-N 2", f"{FAILED}Requested node configuration is not available", "on one node"),
        ("-n 2 --ntasks-per-node=1", f"{FAILED}Requested node configuration is not available", "on one node"),
        ("-n 100", f"{FAILED}More processors requested than permitted", "at most 4 CPUs"),
        ("-p short -c 3", f"{FAILED}More processors requested than permitted", "at most 2 CPUs"),
        ("--mem=1000G", "sbatch: error: Memory specification can not be satisfied", "1M to 4000M"),
        ("--mem=0", "sbatch: error: Memory specification can not be satisfied", "not 0M"),
        ("--mem-per-cpu=2G -n 2", "sbatch: error: Memory specification can not be satisfied", "not 4G"),
        ("-c 4 --mem=3G", f"{FAILED}Requested node configuration is not available", "together"),
        (
            "-p short -t 10",
            f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)",
            "5:00",
        ),
        ("-t 0", f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)", "1-00:00:00"),
        ("-a 3-1", f"{FAILED}Invalid job array specification", ""),
        ("-d afterok", f"{FAILED}Job dependency problem", ""),
        ("-w nosuch", f"{FAILED}Invalid node name specified", "sinfo -N"),
        ("-w node1,node2", f"{FAILED}Invalid node name specified", "2 nodes were named for a job on 1"),
        ("-w node1 -x node[1-2]", f"{FAILED}Invalid node name specified", "in -w and in -x"),
        ("-x node[2-1]", f"{FAILED}Invalid node name specified", "not a list of nodes"),
        ("-C (a)", f"{FAILED}Invalid feature specification", "WORD or NAME=VALUE"),
        ("-C rack=a|disk=b", f"{FAILED}Invalid feature specification", "WORD or NAME=VALUE"),
        ("-C rack=a&rack=b", f"{FAILED}Invalid feature specification", "only one condition on rack"),
        ("--gpus=1", f"{FAILED}Requested node configuration is not available", "1 GPUs"),
        ("--gres=gpu:1", f"{FAILED}Requested node configuration is not available", "1 GPUs"),
        ("--gres=disk:1", "sbatch: error: Invalid generic resource (gres) specification", "--gres"),
        ("-M nosuch", "sbatch: error: No cluster 'nosuch' known by database.", "'mesos'"),
        ("-i /etc/passwd", "sbatch: error: --input=/etc/passwd", "inside it"),
        (
            "-D /nosuch/dir",
            "sbatch: error: working directory /nosuch/dir: No such file or directory",
            "--chdir",
        ),
        ("-D d.sh", "sbatch: error: working directory ", "Not a directory"),
    ],
)
def test_refused_requests(
    refuse: Callable[..., Result], add_node: Callable[..., None], options: str, first: str, advice: str
) -> None:
    add_node("node1", 4, 2000)
    add_node("node2", 2, 4000, active=False)
    result = refuse(options=options)
    assert result.exit_code == 1
    assert result.stderr.startswith(first)
    assert advice in result.stderr


def test_a_refusal_by_environment(refuse: Callable[..., Result]) -> None:
    result = refuse(environ={"SBATCH_TIMELIMIT": "bad"})
    assert (result.exit_code, result.stderr) == (255, "sbatch: error: Invalid --time specification\n")
    assert refuse(environ={"SBATCH_ARRAY_INX": "2-1"}).exit_code == 1


def test_without_known_nodes_only_the_partition_limits(submit: Callable[..., JobRequest]) -> None:
    assert submit(options="-n 64 --mem=100G").resources.cpus == 64


def test_of_several_partitions_the_first_that_fits(submit: Callable[..., JobRequest]) -> None:
    assert submit(options="-p short,batch -t 10").queue == "batch"
    assert submit(options="-p short,batch -t 5").queue == "short"


def test_ignored_options_warn_once(call: Call, workdir: Path) -> None:
    (workdir / "d.sh").write_text("#!/bin/sh\n#SBATCH --exclusive\n#SBATCH --nice=5 --exclusive\n:\n")
    result = call("sbatch d.sh")
    assert result.stdout == "Submitted batch job 1\n"
    assert result.stderr.splitlines() == [
        "sbatch: Warning: --exclusive is ignored: nodes are shared here; ask for CPUs with -n or -c",
        "sbatch: Warning: --nice is ignored: priority comes from the partition",
    ]


def test_version_and_help(call: Call) -> None:
    assert call("sbatch --version") == Result("slurm-wlm 22.05.8\n")
    assert call("sbatch --help").stdout.startswith("Usage: sbatch")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UnsatisfiableRequest("no node"), "Requested node configuration is not available"),
        (QuotaExceeded("quota"), "Job violates accounting/QOS policy"),
        (Refused("not you"), "Access/permission denied"),
        (LedgerError("disk full"), "I/O error writing script/environment to file"),
        (InvalidRequest("bad name", advice="rename it"), "bad name (rename it)"),
    ],
)
def test_refusals_of_the_provider(
    refuse: Callable[..., Result],
    fail_submit: Callable[[Exception], None],
    error: AiravataMesosError,
    line: str,
) -> None:
    fail_submit(error)
    result = refuse()
    assert result.exit_code == 1
    assert result.stderr.startswith(FAILED + line)
    assert error.message in result.stderr


def test_a_fault_inside_is_one_line(
    refuse: Callable[..., Result], fail_submit: Callable[[Exception], None], caplog: pytest.LogCaptureFixture
) -> None:
    fail_submit(RuntimeError("boom"))
    result = refuse()
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "may have been submitted" in result.stderr
    assert "boom" in caplog.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(head=st.text(), argv=st.lists(st.binary().map(lambda word: os.fsdecode(word.replace(b"\0", b"")))))
def test_nothing_typed_makes_a_traceback(call: Call, workdir: Path, head: str, argv: list[str]) -> None:
    (workdir / "d.sh").write_bytes(b"#!/bin/sh\n#SBATCH " + head.encode("utf-8", "surrogatepass"))
    result = call(["sbatch", *argv, "d.sh"])
    assert "internal fault" not in result.stderr
    assert result.exit_code in (0, 1, 255)
    assert result.exit_code == 0 or (result.stdout == "" and result.stderr)
