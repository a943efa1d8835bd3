"""The ways of files to and from agents, for a job over several nodes: which node each of them means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from tests.e2e.parallel.conftest import QUEUE, ParallelSite
from tests.support.mini_site import running_mini_site
from tests.support.ssh_agents import agents_sshd
from tests.support.waiting import wait_for

Settings = Mapping[str, Mapping[str, object]]


def site_of(directory: Path, settings: Settings) -> AbstractContextManager[ComputeResource]:
    merged = {**settings, "queues": {**QUEUE, **settings["queues"]}}
    return running_mini_site(directory, 2, merged, allow_fetcher=True)


def fetcher(_directory: Path) -> Iterator[Settings]:
    yield {"queues": {"inputs": {"method": "mesos_fetcher"}}}


def push(_directory: Path) -> Iterator[Settings]:
    yield {"queues": {"outputs": {"method": "push"}}}


def shared(_directory: Path) -> Iterator[Settings]:
    yield {"queues": {"inputs": {"method": "shared"}, "outputs": {"method": "shared", "nodes": "all"}}}


def sftp(directory: Path) -> Iterator[Settings]:
    with agents_sshd(directory / "ssh") as settings:
        yield {
            "clusters": {"sftp": settings},
            "queues": {"outputs": {"method": "sftp", "nodes": "all"}},
        }


OTHERS: Mapping[Callable[[Path], Iterator[Settings]], set[str]] = {
    fetcher: set(),
    push: set(),
    shared: {"from-1"},
    sftp: {"nodes/127-0-0-1-1/from-1"},
}
"""What comes back of the second node, where each writes a file into its own sandbox."""


@pytest.mark.parametrize("way", OTHERS, ids=lambda way: way.__name__)
def test_which_nodes_are_meant(tmp_path: Path, way: Callable[[Path], Iterator[Settings]]) -> None:
    enter = "" if way is shared else "cd /proc/$PPID/cwd;"
    for settings in way(tmp_path):
        with site_of(tmp_path, settings) as site:
            work = site.work()
            (work / "input").write_text("given\n")
            script = JobScript(
                work,
                f"srun bash -c '{enter} cat input; cat input >from-$SLURM_NODEID'; exit 3",
                directives=("#SBATCH -N 2", "#SBATCH -n 2"),
            )
            job = site.accepted(script)
            document = site.finished(job, "FAILED")
            assert document["exit_code"] == 3, document
            assert (work / "App.stdout").read_text() == "given\ngiven\n"
            found = {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()}
            assert {name for name in found if "/" in name or "from" in name} == {"from-0", *OTHERS[way]}


def test_looks_at_a_running_job_mean_its_first_node(three: ParallelSite, tmp_path: Path) -> None:
    work, go, taken = three.work(), tmp_path / "go", tmp_path / "taken"
    (work / "input").write_text("as submitted\n")
    command = f"""
    srun bash -c 'cd /proc/$PPID/cwd; echo $SLURM_NODEID $(cat input) >rank; echo $SLURM_NODEID'
    until [ -e {go} ]; do sleep 0.05; done
    """
    (work / "job.sh").write_text(f"#!/bin/bash\n#SBATCH -N 2\n#SBATCH -n 2\n{command}")
    done = three.cli("submit", "--hold", "job.sh", cwd=work)
    job = done.stdout.split()[-1]
    (tmp_path / "input").write_text("put\n")
    three.cli("put", job, "input", cwd=tmp_path)
    assert three.airavata.execute(f"scontrol release {job}").exit_code == 0

    def said() -> str:
        return three.cli("logs", job, code=None).stdout

    wait_for(said, lambda text: sorted(text.split()) == ["0", "1"], "both ranks")
    assert "rank" in three.cli("browse", job).stdout
    three.cli("get", job, "rank", "--to", str(taken))
    assert (taken / "rank").read_text() == "0 put\n"
    three.cli("outputs", "--live", job, "rank", cwd=work)
    assert (work / "rank").read_text() == "0 put\n"
    go.touch()
    wait_for(lambda: three.airavata.state(job), "COMPLETE".__eq__, "the end")
    assert (work / "rank").read_text() == "0 put\n"
    assert not (work / "nodes").exists()
