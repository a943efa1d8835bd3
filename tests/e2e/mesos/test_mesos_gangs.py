"""Jobs over several nodes on Mesos without Aurora: real MPI, and more gangs than there is room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.contract.airavata_caller import Submission
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.scheduler import Scheduler, task
from tests.support import mpi
from tests.support.mesos_site import MesosSite, running_mesos_site
from tests.support.processes import marked
from tests.support.site import lines
from tests.support.waiting import wait_for

AGENTS, CPUS = 4, 4
GANGS, SERIAL_JOBS = 20, 10
NEVER = 100_000.0


@pytest.fixture(scope="module")
def site(real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MesosSite]:
    """Four agents with four CPUs each. What we decline is offered again only when we ask for it."""
    mesos = RealMesosCluster(tmp_path_factory.mktemp("mesos"), real_mesos_build, agents=AGENTS)
    own = {"refuse_seconds": NEVER, "reservation_after_seconds": NEVER}
    settings = {"queues": {"max_nodes": AGENTS}, "clusters": {"mesos": own}}
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


def gang(site: MesosSite, nodes: int, cpus: int, command: str) -> Submission:
    """A job with a task of so many CPUs on each of so many nodes."""
    directives = (f"#SBATCH -N {nodes}", f"#SBATCH -n {nodes}", f"#SBATCH -c {cpus}")
    return site.accepted(JobScript(site.work(), command, directives=directives))


def offered(scheduler: Scheduler) -> dict[str, Any]:
    """Wait until all that all agents have is offered to another framework; the offers by agent."""
    found: dict[str, Any] = {}
    while len(found) < AGENTS:
        for offer in scheduler.wait(lambda event: event["type"] == "OFFERS")["offers"]["offers"]:
            assert [r["scalar"]["value"] for r in offer["resources"] if r["name"] == "cpus"] == [CPUS], offer
            found[offer["hostname"]] = offer
    return found


def test_more_gangs_than_there_is_room_for_all_end_once(site: MesosSite) -> None:
    ranks = site.directory / "ranks"
    jobs: list[Submission] = []
    wanted: Counter[str] = Counter()
    asked = 0
    for number in range(GANGS):
        nodes, cpus = 1 + number % AGENTS, 1 + number // AGENTS % 2
        asked += nodes * cpus
        wanted.update(f"gang{number} {node}" for node in range(nodes))
        command = f"srun bash -c 'echo gang{number} $SLURM_NODEID >>{ranks}'; sleep 0.3; echo ok >result"
        jobs.append(gang(site, nodes, cpus, command))
        if number * SERIAL_JOBS // GANGS < (number + 1) * SERIAL_JOBS // GANGS:
            wanted[f"serial{number}"] = 1
            asked += 1
            jobs.append(site.accepted(f"echo serial{number} >>{ranks}; sleep 0.3; echo ok >result"))
    assert asked >= 3 * AGENTS * CPUS
    for job in jobs:
        site.finished(job, "COMPLETE", seconds=200)
        assert lines(job.directory / "result") == ["ok"]
    assert Counter(lines(ranks)) == wanted
    wait_for(site.tasks, {}.__eq__, "no task left")
    mark = f"REALMESOS_CLUSTER={site.mesos.directory}"
    wait_for(lambda: marked(mark), [].__eq__, "no process left")
    with Scheduler(site.mesos) as other:
        offered(other)


def test_a_gang_starts_when_others_have_left_enough_nodes(site: MesosSite) -> None:
    def waits(told: str) -> None:
        wait_for(lambda: site.show(job)["reason"], told.__eq__, told, context=lambda: site.daemon.log)

    with Scheduler(site.mesos, name="others") as other:
        offers = offered(other)
        other.call("SUPPRESS")
        for host, offer in offers.items():
            endless = f"while [ ! -e {site.directory}/{host} ]; do sleep 0.05; done"
            other.launch(offer, task(offer, host, endless, cpus=CPUS - 1))
        for host in offers:
            other.state(host, "TASK_RUNNING")
        job = gang(site, 3, 2, "srun bash -c 'echo $SLURM_NODEID >rank'; echo ok >result")
        for number, host in enumerate(sorted(offers)[:3]):
            waits(f"{number} free nodes are large enough, the job needs 3")
            (site.directory / host).touch()
            other.state(host, "TASK_FINISHED")
        site.finished(job, "COMPLETE")
        assert lines(job.directory / "result") == ["ok"]
