"""srun of a job over several nodes: where tasks run and what they find (SLURM 22.05)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.parallel.conftest import Job

TELL = "'echo $SLURM_PROCID $SLURM_LOCALID $SLURM_NODEID $SLURMD_NODENAME $SLURM_GTIDS'"


@pytest.fixture
def ran(jobs: list[Job], tmp_path: Path) -> Job:
    """One job that tries everything; each part of its output is between marks."""
    from tests.integration.parallel.conftest import Job

    script = f"""
    part() {{ echo "== $1"; echo "== $1" >&2; }}
    part all; srun -l bash -c {TELL}
    part four; srun -n 4 bash -c {TELL}
    part two; srun -N 2 -n 3 bash -c 'echo $SLURM_NTASKS $SLURM_TASKS_PER_NODE $SLURM_STEP_NODELIST'
    part forms; srun -N 3 --ntasks-per-node=1 bash -c 'echo $SLURM_TASKS_PER_NODE $SLURM_STEP_NODELIST'
    part codes; srun -n 6 bash -c 'exit $SLURM_PROCID'; echo $?
    part signal; srun -n 6 bash -c '[[ $SLURM_PROCID != 4 ]] || kill -SEGV $$'; echo $?
    part toomany; srun -n 7 true; echo $?
    part nonodes; srun -N 4 true; echo $?
    part input; echo word | srun -n 3 bash -c 'read line; echo "$SLURM_PROCID:$line"'
    part sessions; srun --ntasks-per-node=1 bash -c 'echo $SLURM_NODEID ${{OMPI_MCA_orte_tmpdir_base-none}}'
    part stop; srun -K -n 6 bash -c '[[ $SLURM_PROCID != 5 ]] || exit 9; exec sleep 1000'; echo $?
    """
    job = Job(tmp_path, script)
    jobs.append(job)
    job.start()
    assert job.wait() == [0, 0, 0]
    return job


def parts(text: str) -> dict[str, list[str]]:
    """The lines of each part, in an order that does not depend on who was quicker."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("== "):
            lines = found[line[3:]] = []
        else:
            lines.append(line)
    return {name: sorted(lines) for name, lines in found.items()}


def test_srun(ran: Job) -> None:
    out, err = parts(ran.text("out")), parts(ran.text("err"))
    assert out["all"] == [
        "0: 0 0 0 agent-1 0,1",
        "1: 1 1 0 agent-1 0,1",
        "2: 2 0 1 agent-2 2,3",
        "3: 3 1 1 agent-2 2,3",
        "4: 4 0 2 agent-3 4,5",
        "5: 5 1 2 agent-3 4,5",
    ]
    assert out["four"] == ["0 0 0 agent-1 0,1", "1 1 0 agent-1 0,1", "2 0 1 agent-2 2", "3 0 2 agent-3 3"]
    assert out["two"] == ["3 2,1 agent-1,agent-2"] * 3
    assert out["forms"] == ["1(x3) agent-[1-3]"] * 3
    assert out["codes"] == ["5"]
    assert err["codes"] == [
        "srun: error: agent-1: task 1: Exited with exit code 1",
        "srun: error: agent-2: task 2: Exited with exit code 2",
        "srun: error: agent-2: task 3: Exited with exit code 3",
        "srun: error: agent-3: task 4: Exited with exit code 4",
        "srun: error: agent-3: task 5: Exited with exit code 5",
    ]
    assert (out["signal"], err["signal"]) == (["139"], ["srun: error: agent-3: task 4: Segmentation fault"])
    assert out["toomany"] == ["1"]
    assert "More processors requested than permitted" in err["toomany"][0]
    assert out["nonodes"] == ["1"]
    assert "Requested node configuration is not available" in err["nonodes"][0]
    assert out["input"] == ["0:word", "1:", "2:"]
    assert out["stop"] == ["143"]
    # All nodes are one host: only the first one keeps Open MPI's files in the usual place.
    first, *others = (line.split()[1] for line in out["sessions"])
    assert first == "none"
    assert len({*others}) == 2
    assert not any(Path(directory).exists() for directory in others)
    assert ran.left() == []
