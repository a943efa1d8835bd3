"""Real MPI programs over the nodes of a job: Open MPI and MPICH find the nodes and start there by themselves.

All nodes are on this host but do not know it, so every rank of another node comes over `remote-start`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.parallel.conftest import Job

PROGRAM = r"""
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **words) {
    int rank, size, mine[2], all[64];
    long sum = 0, part = 0;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (long number = rank; number < 100000; number += size) part += number;
    MPI_Reduce(&part, &sum, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    mine[0] = rank;
    mine[1] = getppid();  /* what started the rank: each node has one of its own */
    MPI_Gather(mine, 2, MPI_INT, all, 2, MPI_INT, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("sum %ld of %d ranks by", sum, size);
        for (int one = 0, starters = 0; one < size; one++) {
            if (one == 0 || all[2 * one + 1] != all[2 * one - 1]) starters++;
            printf(" %d", starters);
        }
        printf("\n");
    }
    MPI_Finalize();
    return 0;
}
"""

SETTINGS = """
# Nodes that are one host after all must not take memory of each other for shared.
export OMPI_MCA_btl=self,tcp OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
"""


def missing(kind: str) -> bool:
    """Whether a tool is not installed; with CI=true that is a failure, not a skip."""
    if shutil.which(f"mpicc.{kind}") and shutil.which(f"mpirun.{kind}"):
        return False
    assert os.environ.get("CI") != "true", f"{kind} is not installed"
    return True


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_a_program_over_three_nodes(jobs: list[Job], tmp_path: Path, kind: str) -> None:
    from tests.integration.parallel.conftest import Job

    if missing(kind):
        pytest.skip(f"{kind} is not installed")
    job = Job(tmp_path, SETTINGS + f"mpirun.{kind} ./program\n")
    jobs.append(job)
    (tmp_path / "program.c").write_text(PROGRAM)
    subprocess.run(
        [f"mpicc.{kind}", tmp_path / "program.c", "-o", tmp_path / "program"], check=True, timeout=100
    )
    for sandbox in job.sandboxes:
        shutil.copy(tmp_path / "program", sandbox)
    job.start()
    assert job.wait() == [0, 0, 0], job.text("err")
    assert job.text("out") == "sum 4999950000 of 6 ranks by 1 1 2 2 3 3\n", job.text("err")
    assert job.left() == []
