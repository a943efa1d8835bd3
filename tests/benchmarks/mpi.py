"""The start of a job over three nodes: from the call of sbatch to the first rank's output.

Ours on real Mesos and on the minicluster's Aurora, beside SLURM with three node daemons, in turns. All nodes
are this host, so that one clock times everything.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.realmesos.build import build
from tests.realmesos.cluster import RealMesosCluster
from tests.support.mesos_site import running_mesos_site
from tests.support.mini_site import running_mini_site

from .measure import BenchmarkFailed, Figures, job_directory, print_table, run_process, wait_until
from .slurm_peer import SlurmPeer

NODES = 3
ROUNDS = 10
WARMUPS = 2
LONGEST_SECONDS = 120.0
SETTINGS = {"queues": {"max_nodes": NODES, "default_memory_mb_per_cpu": 32, "disk_mb": 32}}


@dataclass(frozen=True)
class _Side:
    """One of the systems: how its sbatch and squeue are called."""

    name: str
    commands: Mapping[str, str]
    environment: Mapping[str, str]


def run() -> None:
    """Raises BenchmarkFailed when a job does not start all its ranks."""
    with ExitStack() as stack:
        sides = [stack.enter_context(side) for side in (_on_mesos(), _on_aurora(), _on_slurm())]
        directory = stack.enter_context(job_directory())
        figures = {(side.name, nodes): Figures(side.name) for nodes in (NODES, 1) for side in sides}
        for turn in range(-WARMUPS, ROUNDS):
            for nodes in (NODES, 1):
                for side in sides:
                    seconds = _start(side, directory / f"{nodes}-{turn}-{sides.index(side)}", nodes)
                    if turn >= 0:
                        figures[side.name, nodes].seconds.append(seconds)
        peer = sides[-1].name
        for nodes in (NODES, 1):
            print_table(
                f"From sbatch to the first rank's output, one rank on each of {nodes} node(s)",
                ["", "median s", "least", "most", f"ratio to {peer}"],
                [_row(figures[side.name, nodes], figures[peer, nodes]) for side in sides],
            )


def _row(figures: Figures, peer: Figures) -> list[str]:
    values = (figures.median, min(figures.seconds), max(figures.seconds))
    return [figures.name, *[f"{value:.2f}" for value in values], f"{figures.median / peer.median:.2f}"]


@contextmanager
def _on_mesos() -> Iterator[_Side]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-mpi-") as name,
        RealMesosCluster(Path(name) / "mesos", build(), agents=NODES) as cluster,
        running_mesos_site(Path(name), cluster, SETTINGS) as site,
    ):
        yield _side("real Mesos", site.commands)


@contextmanager
def _on_aurora() -> Iterator[_Side]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-mpi-") as name,
        running_mini_site(Path(name), NODES, SETTINGS) as site,
    ):
        yield _side("the minicluster's Aurora", site.commands)


@contextmanager
def _on_slurm() -> Iterator[_Side]:
    with SlurmPeer(NODES) as slurm:
        names = {name: slurm.command(name) for name in ("sbatch", "squeue")}
        yield _Side(slurm.version, names, slurm.environment)


def _side(name: str, commands: Path) -> _Side:
    names = {name: str(commands / name) for name in ("sbatch", "squeue")}
    return _Side(name, names, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})


def _start(side: _Side, directory: Path, nodes: int) -> float:
    """Submit a job of which each rank says where and when it began; seconds until the first one has."""
    directory.mkdir()
    script = directory / "job.sh"
    script.write_text(
        f"""#!/bin/bash
#SBATCH -N {nodes}
#SBATCH -n {nodes}
#SBATCH -t 5
#SBATCH -D {directory}
srun bash -c 'echo $SLURM_NODEID $EPOCHREALTIME >{directory}/rank-$SLURM_PROCID'
"""
    )
    begin = time.time()
    submitted = run_process([side.commands["sbatch"], str(script)], side.environment)
    found = re.fullmatch(rb"Submitted batch job (\d+)\n", submitted.stdout)
    if found is None:
        raise BenchmarkFailed(f"sbatch of {side.name}: {submitted.describe()}")
    said = [directory / f"rank-{number}" for number in range(nodes)]
    wait_until(
        f"the ranks of {side.name}",
        lambda: all(path.exists() and path.read_text().endswith("\n") for path in said),
        LONGEST_SECONDS,
    )
    ranks = [path.read_text().split() for path in said]
    if {int(node) for node, _ in ranks} != set(range(nodes)):
        raise BenchmarkFailed(f"{side.name}: the ranks ran on the nodes {[node for node, _ in ranks]}")
    # The next job has the nodes to itself.
    question = [side.commands["squeue"], "-h", "-j", found[1].decode(), "-o", "%T"]
    wait_until(
        f"the end of a job of {side.name}",
        lambda: run_process(question, side.environment).stdout.strip() in (b"", b"COMPLETED"),
        LONGEST_SECONDS,
    )
    return min(float(when) for _, when in ranks) - begin
