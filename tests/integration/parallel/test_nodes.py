"""Nodes of a parallel job: they come together, start commands for each other and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airavata_mesos_plugin.testing.waiting import wait_for

if TYPE_CHECKING:
    from tests.integration.parallel.conftest import Job


@pytest.fixture
def job_type() -> type[Job]:
    from tests.integration.parallel.conftest import Job

    return Job


def run(jobs: list[Job], job_type: type[Job], tmp_path: Path, script: str) -> Job:
    job = job_type(tmp_path, script)
    jobs.append(job)
    job.start()
    assert job.wait() == [0, 0, 0], [job.text("said", node) for node in range(3)]
    return job


def test_a_command_runs_on_the_other_node_as_if_it_were_here(
    jobs: list[Job], job_type: type[Job], tmp_path: Path
) -> None:
    script = """
    mkdir sub; cd sub
    export GREETING='two  words and $signs'
    command='read line; echo "$line $GREETING"; pwd; echo bad >&2; exit 7'
    echo input | remote-start -x -o Some=thing root@agent-2 "$command"
    echo "code $?"
    remote-start --exec agent-3 printf '%s|' 'a b' '$HOME'
    echo "$SLURM_NNODES"
    remote-start agent-3 'echo $SLURMD_NODENAME $SLURM_NODEID'
    """
    job = run(jobs, job_type, tmp_path, script)
    assert job.text("out").splitlines() == [
        "input two  words and $signs",
        f"{job.place}/sub",
        "code 7",
        "a b|$HOME|3",
        "agent-3 2",
    ]
    assert job.text("err") == "bad\n"
    assert not job.place.parent.exists()


def test_ends_of_commands(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    script = """
    remote-start --exec agent-2 bash -c 'kill -SEGV $$'; echo $?
    remote-start --exec agent-2 /no/such/program; echo $?
    remote-start agent-9 true; echo $?
    remote-start agent-2; echo $?
    remote-start agent-2 'trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.1; done' >from &
    until grep -q ready from; do sleep 0.1; done; kill -TERM $!; wait $!; echo $? $(cat from)
    """
    job = run(jobs, job_type, tmp_path, script)
    assert job.text("out").splitlines() == ["139", "255", "255", "255", "5 ready caught"]
    said = job.text("err")
    assert "node agent-2 cannot start /no/such/program: No such file or directory" in said
    assert "agent-9 is no node of job 77, which has agent-1, agent-2, agent-3" in said
    assert "usage: remote-start" in said


def test_lines_of_many_commands_do_not_mix(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    script = """
    for rank in 0 1 2 3 4 5; do
        remote-start --exec agent-$((rank % 3 + 1)) bash -c '
            for ((i = 0; i < 300; i++)); do printf "%s" "$1$1$1"; printf "%s\\n" "$1$1$1"; done' x $rank &
    done
    wait
    """
    job = run(jobs, job_type, tmp_path, script)
    lines = job.text("out").splitlines()
    assert sorted(lines) == sorted([str(rank) * 6 for rank in range(6)] * 300)


def test_a_large_stream_goes_both_ways(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    script = """
    head -c 20000000 /dev/urandom >there
    remote-start agent-2 'cat' <there >back && cmp there back && echo same
    """
    assert run(jobs, job_type, tmp_path, script).text("out") == "same\n"


def test_nothing_is_left_on_any_node(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    script = """
    remote-start agent-2 'exec >/dev/null 2>&1; (trap "" TERM; exec setsid sleep 1000) & sleep 1000 & :'
    remote-start agent-3 'exec >/dev/null 2>&1; sleep 1000 & :'
    """
    job = run(jobs, job_type, tmp_path, script)
    assert job.left() == []


def test_a_command_ends_when_whoever_asked_is_killed(
    jobs: list[Job], job_type: type[Job], tmp_path: Path
) -> None:
    script = """
    remote-start agent-2 'echo $$ >pid; exec sleep 1000' & until [[ -s pid ]]; do sleep 0.1; done
    kill -KILL $!
    while kill -0 $(cat pid) 2>/dev/null; do sleep 0.1; done
    echo gone
    """
    assert run(jobs, job_type, tmp_path, script).text("out") == "gone\n"


def test_all_wait_until_the_last_has_come(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    job = job_type(tmp_path, "echo ran")
    jobs.append(job)
    job.start(0, 2)
    wait_for(lambda: set(job.rendezvous.registered), lambda found: found == {0, 2}, "two nodes")
    assert not (job.sandboxes[0] / "out").exists()
    job.start(1)
    assert job.wait() == [0, 0, 0]
    assert job.text("out") == "ran\n"


def test_a_node_that_is_not_wanted_ends(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    job = job_type(tmp_path, "echo ran")
    jobs.append(job)
    job.rendezvous.status = 410
    job.start()
    assert job.wait() == [75, 75, 75]
    assert "was given back" in job.text("said")
    assert not (job.sandboxes[0] / "out").exists()
    assert not job.place.parent.exists()


def test_the_loss_of_a_node_ends_the_job(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    job = job_type(
        tmp_path,
        "remote-start agent-2 'echo on >here'; trap 'echo told; exit 3' TERM; while :; do sleep 0.1; done",
    )
    jobs.append(job)
    job.start()
    wait_for((job.sandboxes[0] / "here").exists, bool, "running")
    job.processes[1].kill()
    assert job.wait() == [3, -signal.SIGKILL, 0]
    assert job.text(".airavata-mesos/reason") == "lost node agent-2 (its program is gone)\n"
    assert job.text("out") == "told\n"
    assert job.left() == []


def test_a_script_that_makes_nothing_of_a_lost_node_has_not_ended_well(
    jobs: list[Job], job_type: type[Job], tmp_path: Path
) -> None:
    copy = tmp_path / "the copy"
    script = f"""
    remote-start agent-2 'echo on >here; exec sleep 1000'
    echo '{copy}' >.airavata-mesos/shared_result
    echo exit_code=0 | tee .airavata-mesos/result >'{copy}'
    """
    job = job_type(tmp_path, script)
    jobs.append(job)
    job.start()
    wait_for((job.sandboxes[0] / "here").exists, bool, "running")
    first, second, _ = job.processes
    first.send_signal(signal.SIGSTOP)  # the script is to end before the loss is noticed
    second.kill()
    (wrapper,) = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    state = Path(f"/proc/{wrapper}/stat")
    wait_for(lambda: state.read_text().rpartition(")")[2].split()[0], "Z".__eq__, "the script's end")
    first.send_signal(signal.SIGCONT)
    assert job.wait() == [0, -signal.SIGKILL, 0]
    told = "exit_code=0\nnode_lost=1\nreason=lost node agent-2 (its program is gone)\n"
    assert job.text(".airavata-mesos/result") == copy.read_text() == told
    assert job.left() == []


def test_nodes_end_when_the_first_one_is_gone(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    job = job_type(
        tmp_path, "remote-start agent-2 'exec sleep 1000' & echo on >here; exec sleep 1000", silence_seconds=3
    )
    jobs.append(job)
    job.start()
    wait_for((job.sandboxes[0] / "here").exists, bool, "running")
    job.processes[0].kill()
    assert job.wait()[1:] == [70, 70]
    assert "heard nothing of the first node" in job.text("said", 1)
    for entry in job.left():  # what the first node itself ran is its executor's to end
        os.kill(int(entry.split()[0]), signal.SIGKILL)


def test_a_signal_ends_a_node_that_waits(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    job = job_type(tmp_path, "echo ran")
    jobs.append(job)
    job.start(0)
    wait_for(lambda: set(job.rendezvous.registered), lambda found: found == {0}, "one node")
    job.processes[0].send_signal(signal.SIGTERM)
    assert job.wait() == [143]
    assert not job.place.parent.exists()


@pytest.mark.parametrize("met", [False, True], ids=["alone", "with the others"])
def test_a_node_ends_with_whoever_started_it(
    jobs: list[Job], job_type: type[Job], tmp_path: Path, met: bool
) -> None:
    """Its executor is gone: the job is lost, and may begin again while this node is still there."""
    job = job_type(tmp_path, "srun --nodes=1 true; touch begun; exec sleep 1000")
    jobs.append(job)
    if met:
        job.start(1, 2)
    with (job.sandboxes[0] / "said").open("wb") as said:
        executor = subprocess.Popen(
            ["/bin/sh", "-c", ".airavata-mesos/bin/node 0 agent-1 & echo $! >node; exec sleep 1000"],
            cwd=job.sandboxes[0],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TEST_JOB": job.secret},
            stderr=said,
        )
    job.processes.append(executor)
    if met:
        wait_for((job.sandboxes[0] / "begun").exists, bool, "begun", context=lambda: job.text("said"))
    else:
        wait_for(lambda: 0 in job.rendezvous.registered, bool, "registered")
    executor.kill()
    node = Path("/proc") / job.text("node").strip()
    wait_for(node.exists, lambda there: not there, "the node's end")
    assert "whoever started this node is gone" in job.text("said")
    assert job.wait() == [*([0, 0] if met else []), -signal.SIGKILL]
    assert job.left() == []


def test_a_stranger_starts_nothing(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    job = job_type(tmp_path, "until [[ -e stop ]]; do sleep 0.1; done")
    jobs.append(job)
    job.start()
    nodes = job.sandboxes[0] / ".airavata-mesos" / "nodes"
    wait_for(nodes.exists, bool, "there")
    stranger = job_type(tmp_path / "stranger", "", nodes=1)
    jobs.append(stranger)
    control = stranger.sandboxes[0] / ".airavata-mesos"
    (control / "nodes").write_text(nodes.read_text())
    done = subprocess.run(
        [control / "bin" / "remote-start", "agent-2", "touch /tmp/stranger-was-here; echo started"],
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"agent-2: the connection was closed" in done.stderr
    (job.sandboxes[0] / "stop").touch()
    assert job.wait() == [0, 0, 0]


def test_names_of_the_control_file_are_checked(jobs: list[Job], job_type: type[Job], tmp_path: Path) -> None:
    job = job_type(tmp_path, "")
    jobs.append(job)
    (job.sandboxes[0] / ".airavata-mesos" / "gang").write_text(json.dumps({"job_id": 1}))
    job.start(0)
    assert job.wait() == [1]
    assert "this is no node of a parallel job" in job.text("said")
