"""Jobs over several nodes by the Thrift service, as sbatch would have made them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport

from airavata_mesos_plugin.gen.provider import ttypes
from airavata_mesos_plugin.gen.provider.MesosProvider import Client
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.parallel.conftest import ParallelSite
from tests.support.waiting import wait_for


@pytest.fixture
def peer(three: ParallelSite) -> Iterator[Any]:
    transport = TFramedTransport(TSocket(unix_socket=str(three.home / "provider.sock")))
    transport.open()
    yield Client(TBinaryProtocol(transport))
    transport.close()


def submit(peer: Any, directory: Path, command: str, **members: Any) -> ttypes.JobInfo:
    script = f"#!/bin/bash\n{command}\n"
    spec = ttypes.JobSpec(name="job", workingDirectory=str(directory), script=script, **members)
    return peer.submit(str(uuid.uuid4()), spec)


def look(peer: Any, job_id: int) -> ttypes.JobInfo:
    return peer.follow([ttypes.Cursor(jobId=job_id)])[0]


def sbatch(three: ParallelSite, directives: Sequence[str]) -> Any:
    lines = tuple(f"#SBATCH {directive}" for directive in directives)
    return three.airavata.submit(JobScript(three.work(), "true", directives=lines))


def test_a_job_runs_on_all_its_nodes(three: ParallelSite, peer: Any, tmp_path: Path) -> None:
    work, gate = three.work(), tmp_path / "gate"
    command = (
        f"while [ ! -e {gate} ]; do sleep 0.1; done; "
        "srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID' | sort >ranks; echo $SLURM_TASKS_PER_NODE >tasks"
    )
    job = submit(peer, work, command, nodes=3, tasks=6)
    assert (job.nodes, job.nodeNames) == (3, None)
    running = wait_for(lambda: look(peer, job.id), lambda info: info.airavataState == "ACTIVE", "running")
    assert running.nodeNames == ["127-0-0-1-0", "127-0-0-1-1", "127-0-0-1-2"]
    gate.touch()
    ended = wait_for(lambda: look(peer, job.id), lambda info: info.isFinal, "over")
    assert ended.phase == ttypes.Phase.COMPLETED, ended
    assert (work / "ranks").read_text().split("\n")[:-1] == ["0 0", "1 0", "2 1", "3 1", "4 2", "5 2"]
    assert (work / "tasks").read_text() == "2(x3)\n"


def test_a_peer_gets_what_sbatch_gives(three: ParallelSite, peer: Any) -> None:
    """Requests as the daemon keeps them, and refusals word by word."""
    (queue,) = peer.queues()
    assert queue.maxNodes == 4
    wishes: list[tuple[dict[str, int], tuple[str, ...]]] = [
        ({"tasks": 2}, ("-N 1", "-n 2")),
        ({"nodes": 3, "tasks": 1}, ("-N 3", "-n 1")),
        ({"nodes": 2, "tasks": 3, "cpusPerTask": 2}, ("-N 2", "-n 3", "-c 2")),
        ({"nodes": 1, "tasks": 3, "tasksPerNode": 1}, ("-N 1", "-n 3", "--ntasks-per-node=1")),
        ({"nodes": 2, "tasks": 2, "memoryMb": 300}, ("-N 2", "-n 2", "--mem=300M")),
    ]
    for members, directives in wishes:
        job = submit(peer, three.work(), "true", wallTimeSeconds=300, **members)
        ours = three.client.ask("show", str(job.id))["request"]
        theirs = three.show(sbatch(three, directives))["request"]
        counted = ("nodes", "tasks", "tasks_given", "cpus_per_task", "tasks_per_node", "memory_given")
        for name in (*counted, "resources", "wall_time_seconds"):
            assert ours.get(name) == theirs.get(name), (members, name)
    refusals: list[tuple[dict[str, int], tuple[str, ...], str]] = [
        ({"nodes": 5}, ("-N 5", "-n 5"), "on at most 4 nodes, not on 5"),
        ({"nodes": 4}, ("-N 4", "-n 4"), "has 3 nodes with 1 CPUs"),
        ({"nodes": 2, "tasks": 10}, ("-N 2", "-n 10"), "at most 4 CPUs, not 5"),
        ({"nodes": 2, "memoryMb": 99_999}, ("-N 2", "-n 2", "--mem=99999M"), "1M to 8G of memory"),
        ({"nodes": 2, "gpus": 1}, ("-N 2", "-n 2", "--gpus-per-node=1"), "1 CPUs, 1 GPUs"),
        ({"nodes": 2, "wallTimeSeconds": 8 * 86400}, ("-N 2", "-n 2", "-t 8-0"), "at most 7-00:00:00"),
    ]
    for members, directives, words in refusals:
        with pytest.raises(ttypes.InvalidRequest) as caught:
            submit(peer, three.work(), "true", **members)
        refused = sbatch(three, directives)
        assert refused.job_id == ""
        assert words in caught.value.message
        assert caught.value.message in refused.answer.stderr
