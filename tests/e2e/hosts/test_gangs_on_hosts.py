"""Jobs over several nodes that have nothing in common but the network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.airavata_caller import Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.hosts.conftest import Hosts, running_hosts
from tests.support.site import lines
from tests.support.waiting import wait_for

PROGRAM = r"""
#include <mpi.h>
#include <stdio.h>

int main(int count, char **words) {
    int rank, size, length;
    long sum = 0, part = 0;
    char here[MPI_MAX_PROCESSOR_NAME] = "", all[16 * MPI_MAX_PROCESSOR_NAME];
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (long number = rank; number < 100000; number += size) part += number;
    MPI_Reduce(&part, &sum, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Get_processor_name(here, &length);
    MPI_Gather(here, sizeof here, MPI_CHAR, all, sizeof here, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        for (int one = 0; one < size; one++) printf("%.*s\n", (int)sizeof here, all + one * sizeof here);
        printf("%ld\n", sum);
        fflush(stdout);
    }
    MPI_Finalize();
    return 0;
}
"""

RUN = {
    "openmpi": "mpirun.openmpi ./program >told",
    # MPICH 4.0 over TCP may hang in MPI_Finalize (pmodels/mpich#6596), whoever starts it.
    "mpich": "mpirun.mpich ./program >told & until grep -q '^[0-9]' told; do sleep 0.05; done; kill $!; wait",
}
AS_ROOT = "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
NODES = [f"node{number}.cluster.example" for number in (1, 2, 3)]

FLEEING = "srun bash -c 'exec </dev/null >/dev/null 2>&1; setsid sleep 1001 & (setsid setsid sleep 1002 &)'"
"""Six ranks that end and leave two processes each in other sessions."""

DEAF = """srun bash -c 'exec </dev/null >/dev/null 2>&1; trap "" HUP TERM; setsid sleep 1003 &'"""


def script(hosts: Hosts, command: str, wall_time: str = "10:0:00") -> JobScript:
    """Six ranks on three nodes."""
    directives = ("#SBATCH -N 3", "#SBATCH -n 6")
    return JobScript(hosts.site.work(), command, wall_time=wall_time, directives=directives, realtime=False)


@pytest.fixture(scope="module")
def hosts(
    own_hosts: bool, real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    assert own_hosts
    queue = {"max_nodes": 3}
    with running_hosts(tmp_path_factory, real_mesos_build, master_flags=(), queues=queue) as running:
        yield running


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_a_real_mpi_program(hosts: Hosts, kind: str) -> None:
    job = script(hosts, f"{AS_ROOT}\nhostname >first\n{RUN[kind]}")
    work = job.directory
    (work / "program.c").write_text(PROGRAM)
    subprocess.run([f"mpicc.{kind}", work / "program.c", "-o", work / "program"], check=True, timeout=100)
    hosts.site.finished(hosts.site.accepted(job), "COMPLETE")
    *names, total = lines(work / "told")[:7]  # MPICH writes there that it was ended
    assert total == "4999950000"
    assert names[::2] == names[1::2], "two ranks on each node"
    assert sorted(names[::2]) == NODES
    assert names[:1] == lines(work / "first")
    hosts.nothing_left()


def test_nodes_know_their_sandboxes_by_one_path(hosts: Hosts) -> None:
    """It leads to another directory on each of them, and is gone after the job."""
    look = "srun -N 3 -n 3 --ntasks-per-node=1 bash -c 'echo $PWD; pwd -P; cat given; ls -d /tmp/airavata*'"
    job = script(hosts, f"{look} >seen; ls -d /tmp/airavata*")
    (job.directory / "given").write_text("given\n")
    hosts.site.finished(hosts.site.accepted(job), "COMPLETE")
    seen = lines(job.directory / "seen")
    places = {line for line in seen if line.startswith("/tmp/airavata-mesos.")}
    sandboxes = {line for line in seen if f"{hosts.cluster.directory}/agent" in line}
    assert len(sandboxes) == 3, seen
    assert seen.count("given") == 3
    (folder,) = lines(job.directory / "App.stdout")
    assert places == {folder, f"{folder}/job"}, seen
    hosts.nothing_left()
    for host in hosts.cluster.hosts:
        assert "airavata" not in host.run("ls", "/tmp"), host.name


def test_the_end_of_the_script_ends_what_ran_away(hosts: Hosts) -> None:
    command = f"{FLEEING}\n{DEAF}\ntouch {hosts.file('begun')}\n{hosts.until('go')}"
    job = fled(hosts, script(hosts, command), 1001, 1002, 1003)
    hosts.file("go").touch()
    hosts.site.finished(job, "COMPLETE")
    hosts.nothing_left()


def test_a_cancel_ends_what_ran_away(hosts: Hosts) -> None:
    job = fled(hosts, script(hosts, f"{FLEEING}\ntouch {hosts.file('begun')}\nsrun sleep 1004"), 1001, 1002)
    hosts.site.airavata.cancel(job.job_id)
    hosts.site.finished(job, "CANCELED")
    hosts.nothing_left()


def test_the_wall_time_ends_what_ran_away(hosts: Hosts) -> None:
    ready = hosts.until("up")
    command = f"{FLEEING}\ntouch {hosts.file('begun')}\n{ready}\ntouch up\nsrun sleep 1004"
    job = fled(hosts, script(hosts, command, wall_time="00:1:00"), 1001, 1002)
    hosts.file("up").touch()
    document = hosts.site.finished(job, "FAILED")
    assert document["reason"] == "wall time limit of 60 s reached"
    hosts.nothing_left()


def fled(hosts: Hosts, job: JobScript, *seconds: int) -> Submission:
    """The job, which runs and has left processes on all nodes, two for each number of seconds."""
    hosts.file("begun").unlink(missing_ok=True)
    submission = hosts.site.accepted(job)
    wait_for(hosts.file("begun").exists, bool, "begun", context=lambda: str(hosts.site.show(submission)))
    left = sorted(f"{node}: sleep {number} " for node in NODES for number in seconds for _ in "ab")
    wait_for(lambda: sorted(line for line in hosts.at_work() if line in left), left.__eq__, "away")
    return submission
