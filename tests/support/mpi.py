"""A small MPI program that says where its ranks ran, and what it needs when all nodes are one host."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROGRAM = r"""
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LENGTH 128

/* Launchers give their own variables to ranks, but not to the process that starts these on a node. */
static void tell_of_starter(const char *name, char *told) {
    static char text[262144];
    char path[64];
    size_t length, wanted = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/environ", getppid());
    FILE *file = fopen(path, "r");
    length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    for (char *one = text; one < text + length; one += strlen(one) + 1)
        if (!strncmp(one, name, wanted) && one[wanted] == '=') snprintf(told, LENGTH, "%s", one + wanted + 1);
    if (file) fclose(file);
}

int main(int count, char **words) {
    int rank, size, mine[2], all[64];
    long sum = 0, part = 0;
    char place[LENGTH] = "", places[32 * LENGTH];
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (long number = rank; number < 100000; number += size) part += number;
    MPI_Reduce(&part, &sum, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    mine[0] = rank;
    mine[1] = getppid();  /* what started the rank: each node has one of its own */
    MPI_Gather(mine, 2, MPI_INT, all, 2, MPI_INT, 0, MPI_COMM_WORLD);
    if (count > 1) tell_of_starter(words[1], place);
    MPI_Gather(place, LENGTH, MPI_CHAR, places, LENGTH, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("sum %ld of %d ranks by", sum, size);
        for (int one = 0, starters = 0; one < size; one++) {
            if (one == 0 || all[2 * one + 1] != all[2 * one - 1]) starters++;
            printf(" %d", starters);
        }
        printf("\n");
        for (int one = 0; count > 1 && one < size; one++) printf("%s\n", places + one * LENGTH);
    }
    MPI_Finalize();
    return 0;
}
"""
"""At most 32 ranks. With the name of a variable each tells what the process that started it has there."""

SETTINGS = """
# Nodes that are one host after all must not take memory of each other for shared.
export OMPI_MCA_btl=self,tcp OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
"""

SUM = "sum 4999950000 of 6 ranks by 1 1 2 2 3 3"
"""What six ranks on three nodes say."""


def compile_program(kind: str, target: Path) -> None:
    """Make the program with ``mpicc.openmpi`` or ``mpicc.mpich``."""
    source = target.with_suffix(".c")
    source.write_text(PROGRAM)
    subprocess.run([f"mpicc.{kind}", source, "-o", target], check=True, timeout=100)
