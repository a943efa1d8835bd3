"""Jobs over several nodes on Mesos without Aurora: real MPI, and more gangs than there is room for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.realmesos.cluster import RealMesosCluster
from tests.support import mpi
from tests.support.mesos_site import MesosSite, running_mesos_site
from tests.support.site import lines

AGENTS = 4


@pytest.fixture(scope="module")
def site(real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MesosSite]:
    """Four agents with four CPUs each."""
    mesos = RealMesosCluster(tmp_path_factory.mktemp("mesos"), real_mesos_build, agents=AGENTS)
    settings = {"queues": {"max_nodes": AGENTS}}
    with mesos, running_mesos_site(tmp_path_factory.mktemp("site"), mesos, settings) as running:
        yield running


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_a_real_mpi_program_over_three_nodes(site: MesosSite, kind: str) -> None:
    work = site.work()
    mpi.compile_program(kind, work / "program")
    # Debian gives its own name the address 127.0.1.1, so MPICH would start the ranks of that node by itself.
    elsewhere = "#SBATCH -x 127.0.1.1"
    script = JobScript(
        work,
        f"{mpi.SETTINGS}\nmpirun.{kind} ./program MESOS_AGENT_ENDPOINT >ranks",
        directives=("#SBATCH -N 3", "#SBATCH -n 6", elsewhere),
    )
    site.finished(site.accepted(script), "COMPLETE")
    said, *agents = lines(work / "ranks")
    assert said == mpi.SUM
    assert agents[::2] == agents[1::2]
    assert sorted(agents[::2]) == sorted(agent.address for agent in site.mesos.agents[1:])
