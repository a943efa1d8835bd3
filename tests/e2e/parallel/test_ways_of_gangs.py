"""The ways of files to and from agents, for a job over several nodes: which node each of them means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster, roomy
from tests.e2e.parallel.conftest import QUEUE, agents
from tests.support.ssh_agents import agents_sshd

Settings = Mapping[str, Mapping[str, object]]


@contextmanager
def site_of(directory: Path, settings: Settings) -> Iterator[ComputeResource]:
    with EmbeddedCluster(roomy(directory / "cluster", agents=agents(2), allow_fetcher=True)) as cluster:
        merged = {**settings, "queues": {**QUEUE, **settings["queues"]}}
        site = ComputeResource(directory, cluster, merged)
        site.start()
        try:
            site.install()
            yield site
        finally:
            site.stop()


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
