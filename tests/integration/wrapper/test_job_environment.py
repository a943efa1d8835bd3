"""What a job finds in its environment: the submitter's variables, and srun, under the real wrapper."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.wrapper.test_wrapper import LIBRARY, NODE, TOKEN, Sandbox, eventually, finish

MakeJob = Callable[..., Sandbox]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    def make(script: str, environment: Mapping[str, str] | None = None, **request: Any) -> Sandbox:
        job = Sandbox(tmp_path / "sandbox", script, **request)
        pairs = "".join(f"{name}={value}\0" for name, value in (environment or {}).items())
        (job.control / "environment").write_bytes(pairs.encode("utf-8", "surrogateescape"))
        (job.control / "bin").mkdir()
        srun = job.control / "bin" / "srun"
        srun.write_text(LIBRARY.render_srun())
        srun.chmod(0o700)
        return job

    return make


PRINT = '#!/bin/bash\nfor name in {}; do printf "%s=[%s]\\n" "$name" "${{!name-unset}}"; done\n'


def test_the_submitters_variables_reach_the_script(make_job: MakeJob) -> None:
    given = {
        "MULTI": "line1\nline2",
        "UTF": "näme",
        "QUOTES": 'it\'s "$HOME" `id` \\ $(id)',
        "EMPTY": "",
        "EQUALS": "a=b=c",
        "INPUT": f"{TOKEN}/in.dat:{TOKEN}",
        "node": "mine",
        "token": "mine",
        "command": "mine",
        "members": "mine",
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS": "9",
        "PATH": "/opt/x/bin:/usr/bin:/bin",
    }
    job = make_job(PRINT.format(" ".join(given)), given)
    assert job.run() == 0
    here = str(job.path)
    expected = {
        **given,
        "INPUT": f"{here}/in.dat:{here}",
        "SLURM_JOB_ID": "519",
        "PATH": f"{job.control}/bin:/opt/x/bin:/usr/bin:/bin",
    }
    assert job.text() == "".join(f"{name}=[{value}]\n" for name, value in expected.items())


def test_hostile_variables_harm_neither_wrapper_nor_job(make_job: MakeJob, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    hostile = {
        "IFS": "/",
        "PATH": str(tmp_path),
        "UID": "0",
        "SHELLOPTS": "noexec",
        "BASHOPTS": "x",
        "PWD": "/",
        "MESOS_SANDBOX": "/elsewhere",
        "AIRAVATA_MESOS_RUN": "forged",
        "BASH_VERSINFO": "1",
        "0bad": "x",
        f"x$(touch {mark})": "x",
        f"BASH_FUNC_$(touch {mark})%%": "() { :; }",
        "GOOD": "yes",
    }
    job = make_job('#!/bin/bash\necho "$GOOD $UID $PWD ${MESOS_SANDBOX-none}"\n', hostile)
    assert job.run() == 0
    assert job.text() == f"yes {Path('/proc/self').stat().st_uid} {job.path} none\n"
    assert not mark.exists()
    assert job.result.exit_code == 0


def test_exported_functions_come_along(make_job: MakeJob) -> None:
    job = make_job(
        "#!/bin/bash\nmodule load gcc\n", {"BASH_FUNC_module%%": '() {  echo "loaded $2";\n echo twice\n}'}
    )
    assert job.run() == 0
    assert job.text() == "loaded gcc\ntwice\n"


def test_array_tasks_know_their_place(make_job: MakeJob) -> None:
    job = make_job("#!/bin/bash\nenv | grep ^SLURM_ARRAY | sort\n", array="3-9:2", export="ALL")
    assert job.run() == 0
    assert job.text() == ""  # the record of this sandbox is no task
    record = replace(job.record, array_id=500, array_index=5)
    again = Sandbox(job.path.parent / "task", "#!/bin/bash\nenv | grep ^SLURM_ARRAY | sort\n", record=record)
    assert again.run() == 0
    assert again.text().splitlines() == [
        "SLURM_ARRAY_JOB_ID=500",
        "SLURM_ARRAY_TASK_COUNT=4",
        "SLURM_ARRAY_TASK_ID=5",
        "SLURM_ARRAY_TASK_MAX=9",
        "SLURM_ARRAY_TASK_MIN=3",
        "SLURM_ARRAY_TASK_STEP=2",
    ]


def test_the_file_of_standard_input(make_job: MakeJob) -> None:
    job = make_job('#!/bin/bash\nread x; echo "got [$x]"\n', stdin="in.txt")
    (job.path / "in.txt").write_text("line from file\n")
    assert job.run() == 0
    assert job.text() == "got [line from file]\n"


def test_a_missing_file_of_standard_input(make_job: MakeJob) -> None:
    job = make_job("#!/bin/bash\ncat\n", stdin="nosuch")
    assert job.run() == 53
    assert (job.result.exit_code, job.result.signal) == (53, 53)


def test_appended_output_and_umask(make_job: MakeJob) -> None:
    job = make_job("#!/bin/bash\numask\necho more\n", append_output=True, umask=0o077)
    (job.path / "slurm-519.out").write_text("before\n")
    assert job.run() == 0
    assert job.text() == "before\n0077\nmore\n"


@pytest.mark.parametrize(
    ("body", "request_", "lines"),
    [
        ('srun echo hi; echo "rc=$?"', {}, ["hi", "rc=0"]),
        (
            'srun -n 2 bash -c \'echo "task $SLURM_PROCID of $SLURM_NTASKS"\' | sort; echo "rc=$?"',
            {"tasks": 2, "tasks_given": True},
            ["task 0 of 2", "task 1 of 2", "rc=0"],
        ),
        (
            "srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID $SLURM_LOCALID' | sort",
            {"tasks": 2, "tasks_given": True},
            ["0 0 0", "1 0 1"],
        ),
        ("srun -l echo hi | sort", {"tasks": 2, "tasks_given": True}, ["0: hi", "1: hi"]),
        (
            'srun -n 4 hostname; echo "rc=$?"',
            {"resources": {"cpus": 1, "memory_mb": 100, "disk_mb": 1}},
            [
                "srun: error: Unable to create step for job 519: More processors requested than permitted",
                "rc=1",
            ],
        ),
        (
            "srun bash -c 'exit 7'; echo \"rc=$?\"",
            {},
            [f"srun: error: {NODE}: task 0: Exited with exit code 7", "rc=7"],
        ),
        (
            "srun -n 2 bash -c 'exit $((SLURM_PROCID*4+1))'; echo \"rc=$?\"",
            {"tasks": 2},
            [
                f"srun: error: {NODE}: task 0: Exited with exit code 1",
                f"srun: error: {NODE}: task 1: Exited with exit code 5",
                "rc=5",
            ],
        ),
        (
            "srun bash -c 'kill -SEGV $$'; echo \"rc=$?\"",
            {},
            [f"srun: error: {NODE}: task 0: Segmentation fault", "rc=139"],
        ),
        (
            'srun /no/such/program; echo "rc=$?"',
            {},
            [
                f"slurmstepd-{NODE}: error: execve(): /no/such/program: No such file or directory",
                f"srun: error: {NODE}: task 0: Exited with exit code 2",
                "rc=2",
            ],
        ),
        ("echo from stdin | srun cat", {}, ["from stdin"]),
        ("srun bash -c 'echo cpus=$SLURM_CPUS_PER_TASK'", {"cpus_per_task": 2}, ["cpus=2"]),
        ("srun --version", {}, ["slurm-wlm 22.05.8"]),
        (
            'srun --nosuch hostname; echo "rc=$?"',
            {},
            ["srun: unrecognized option '--nosuch'", 'Try "srun --help" for more information', "rc=255"],
        ),
        ('srun; echo "rc=$?"', {}, ["srun: fatal: No command given to execute.", "rc=1"]),
        (
            'srun -n x true; echo "rc=$?"',
            {},
            ['srun: error: Invalid numeric value "x" for --ntasks.', "rc=1"],
        ),
        ("srun true; srun bash -c 'echo $SLURM_STEP_ID'", {}, ["1"]),
        ("srun -n1 -N1 -c1 --exact -J step -- echo -n4 -l", {}, ["-n4 -l"]),
        ("srun --ntasks 2 --output=o.txt --error=none sh -c 'echo a; echo b >&2'; cat o.txt", {}, ["a", "a"]),
    ],
)
def test_srun(make_job: MakeJob, body: str, request_: dict[str, Any], lines: list[str]) -> None:
    job = make_job(f"#!/bin/bash\n{body}\n", **request_)
    assert job.run() == 0
    assert job.text().splitlines() == lines


def test_srun_ends_a_step_at_the_first_bad_exit(make_job: MakeJob) -> None:
    job = make_job(
        "#!/bin/bash\n"
        "srun -n 2 -K bash -c 'if [ $SLURM_PROCID = 0 ]; then exit 2; fi; exec sleep 600'\n"
        'echo "rc=$?"\n'
    )
    assert job.run() == 0
    text = re.sub(r"AT \S+", "AT T", job.text())
    assert text.splitlines() == [
        f"srun: error: {NODE}: task 0: Exited with exit code 2",
        "srun: launch/slurm: _step_signal: Terminating StepId=519.0",
        f"slurmstepd-{NODE}: error: *** STEP 519.0 ON {NODE} CANCELLED AT T ***",
        f"srun: error: {NODE}: task 1: Terminated",
        "srun: Force Terminated StepId=519.0",
        "rc=143",
    ]


def test_a_cancel_reaches_the_tasks_of_srun(make_job: MakeJob) -> None:
    job = make_job(
        "#!/bin/bash\ntrap : TERM\n"
        "srun bash -c 'trap \"echo step got TERM; exit 5\" TERM; touch up; sleep 600 & wait $!'\n"
        'echo "rc=$?"\n'
    )
    process = job.start()
    eventually(lambda: (job.path / "up").exists())
    process.send_signal(signal.SIGTERM)
    finish(process)
    text = job.text()
    assert "step got TERM" in text
    assert "srun: Job step aborted: Waiting up to 32 seconds for job step to finish." in text
    assert f"srun: error: {NODE}: task 0: Exited with exit code 5" in text
    assert text.endswith("rc=5\n")
