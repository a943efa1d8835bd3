"""A small MPI program that says where its ranks ran, and what it needs when all nodes are one host."""

from __future__ import annotations

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
