"""Nothing is left running: after a stop, after SIGKILL of the cluster, of the executor, or of its runner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import Probe, events, get, job, process, run_dir, thermos, until
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster

S = api.ScheduleStatus
# Among its processes: one in its own session, one that lost its parent, one that ignores SIGTERM.
STUBBORN = (
    "setsid sleep 600 & echo $! >> pids; "
    "(sleep 601 & echo $! >> pids); "
    "(trap '' TERM; sleep 602 & echo $! >> pids; wait) & echo $! >> pids; "
    "echo $$ >> pids; wait"
)


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status != "Z"


def started(probe: Probe, work_dir: Path, name: str = "stubborn", **members: Any) -> list[int]:
    """Run the stubborn job; the ids of its processes."""
    probe.create(job(name, thermos(process("main", STUBBORN)), **members))
    (task,) = probe.wait(name, S.RUNNING)
    sandbox = run_dir(work_dir, task) / "sandbox"
    until((sandbox / "pids").exists)
    until(lambda: (sandbox / "pids").read_text().count("\n") == 5)
    pids = [int(line) for line in (sandbox / "pids").read_text().split()]
    assert all(map(alive, pids))
    return pids


def gone(pids: list[int]) -> None:
    until(lambda: not any(map(alive, pids)))


def executors(work_dir: Path) -> list[int]:
    """Processes whose command line names the work directory, this test's own excluded."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(work_dir) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid() and alive(pid)]


@contextmanager
def as_process(work_dir: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    command = [
        sys.executable,
        "-m",
        "airavata_mesos_plugin.minicluster",
        "--work-dir",
        str(work_dir),
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as cluster:
        assert cluster.stdout is not None
        try:
            yield cluster, json.loads(cluster.stdout.readline())
        finally:
            cluster.kill()


def test_the_line_says_where_everything_listens_and_sigterm_ends_it(tmp_path: Path) -> None:
    with as_process(tmp_path, "--cluster-name", "here", "--cpus", "1.5", "--memory-mb", "512") as (
        cluster,
        line,
    ):
        assert (line["cluster"], line["pid"]) == ("here", cluster.pid)
        assert [
            get(url, "/health").status for url in (line["scheduler"], line["master"], *line["agents"])
        ] == [200] * 3
        (agent,) = get(line["master"], "/slaves").json()["slaves"]
        assert (agent["resources"]["cpus"], agent["resources"]["mem"]) == (1.5, 512)
        pids = started(Probe(line["scheduler"]), tmp_path)
        cluster.send_signal(signal.SIGTERM)
        assert cluster.wait(timeout=60) == 0
    assert not any(map(alive, pids))
    assert executors(tmp_path) == []


def test_sigkill_of_the_cluster_leaves_nothing(tmp_path: Path) -> None:
    with as_process(tmp_path) as (cluster, line):
        pids = started(Probe(line["scheduler"]), tmp_path)
        assert executors(tmp_path)
        cluster.kill()
        cluster.wait(timeout=60)
        gone(pids)
    until(lambda: not executors(tmp_path))


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    module = "airavata_mesos_plugin.minicluster"
    script = f"{sys.executable} -m {module} --work-dir {tmp_path} --exit-with-parent & read; :"
    with subprocess.Popen(
        ["/bin/bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        line = json.loads(parent.stdout.readline())
        pids = started(Probe(line["scheduler"]), tmp_path)
        parent.kill()
    gone([line["pid"], *pids])
    until(lambda: not executors(tmp_path))


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with as_process(tmp_path) as (_, line):
        port = line["scheduler"].rpartition(":")[2]
        command = [sys.executable, "-m", "airavata_mesos_plugin.minicluster", "--work-dir", str(tmp_path)]
        second = subprocess.run(
            [*command, "--scheduler-port", port], capture_output=True, text=True, timeout=60
        )
    assert (second.returncode, second.stdout) == (1, "")
    assert "minicluster: cannot start: " in second.stderr
    assert port in second.stderr


def test_leaving_the_context_ends_everything(tmp_path: Path) -> None:
    with ThreadedCluster(ClusterSettings(work_dir=tmp_path, stop_grace=0.3)) as cluster:
        pids = started(Probe(cluster.scheduler_url), tmp_path)
    assert not any(map(alive, pids))
    assert executors(tmp_path) == []


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mini")


@pytest.fixture(scope="module")
def probe(work_dir: Path) -> Iterator[Probe]:
    with ThreadedCluster(ClusterSettings(work_dir=work_dir, stop_grace=0.3)) as cluster:
        yield Probe(cluster.scheduler_url)


@pytest.mark.parametrize("which", ["guardian", "runner"])
def test_an_executor_that_dies_fails_its_task_and_leaves_nothing(
    probe: Probe, work_dir: Path, which: str
) -> None:
    pids = started(probe, work_dir, which, maxTaskFailures=2)
    (first,) = probe.tasks(which)
    (directory,) = work_dir.glob(
        f"slaves/*/frameworks/*/executors/thermos-{first.assignedTask.taskId}/runs/latest"
    )
    guardian, runner = sorted(executors(directory.resolve()))
    os.kill(guardian if which == "guardian" else runner, signal.SIGKILL)
    until(lambda: len(probe.tasks(which)) == 2)
    # A replacement must never run beside what it replaces.
    assert not any(map(alive, [*pids, guardian, runner]))
    failed, replacement = probe.tasks(which)
    assert events(failed)[-1] == ("FAILED", "Abnormal executor termination")
    assert (replacement.ancestorId, replacement.failureCount) == (failed.assignedTask.taskId, 1)
    probe.kill(which)
    assert [task.status for task in probe.wait(which)] == [S.FAILED, S.KILLED]


def test_sigterm_to_the_executor_ends_the_task_in_order(probe: Probe, work_dir: Path) -> None:
    data = thermos(process("main", "touch ready; sleep 600"), process("last", "touch finalized", final=True))
    probe.create(job("terminated", data))
    (task,) = probe.wait("terminated", S.RUNNING)
    directory = run_dir(work_dir, task).resolve()
    until((directory / "sandbox" / "ready").exists)
    os.kill(min(executors(directory)), signal.SIGTERM)
    until(lambda: len(probe.tasks("terminated")) == 2)
    first = probe.tasks("terminated")[0]
    assert events(first)[-1] == ("KILLED", "Told to shut down executor.")
    assert (directory / "sandbox" / "finalized").exists()
    probe.kill("terminated")
    probe.wait("terminated")
