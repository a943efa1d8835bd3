"""Real MPI programs over the nodes of a job: Open MPI and MPICH find the nodes and start there by themselves.

All nodes are on this host but do not know it, so every rank of another node comes over `remote-start`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.mpi import SETTINGS, SUM, compile_program

if TYPE_CHECKING:
    from tests.integration.parallel.conftest import Job


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
    compile_program(kind, tmp_path / "program")
    for sandbox in job.sandboxes:
        shutil.copy(tmp_path / "program", sandbox)
    job.start()
    assert job.wait() == [0, 0, 0], job.text("err")
    assert job.text("out") == f"{SUM}\n", job.text("err")
    assert job.left() == []
