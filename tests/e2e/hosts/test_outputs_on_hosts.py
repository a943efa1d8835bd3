"""Outputs of nodes with file systems of their own: ranks write where they are started."""

from __future__ import annotations

from pathlib import Path

import pytest

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.hosts.conftest import running_hosts
from tests.support.site import lines


def test_what_each_rank_wrote_comes_back(
    own_hosts: bool, real_mesos_build: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert own_hosts
    queue = {"max_nodes": 3, "outputs": {"nodes": "all"}}
    with running_hosts(tmp_path_factory, real_mesos_build, master_flags=(), queues=queue) as hosts:
        work = hosts.site.work()
        (work / "input").write_text("given\n")
        script = JobScript(
            work,
            "echo $SLURM_JOB_NODELIST >list; srun bash -c 'mkdir -p out; hostname >out/rank$SLURM_NODEID'",
            directives=("#SBATCH -N 3", "#SBATCH -n 3"),
            realtime=False,
        )
        hosts.site.finished(hosts.site.accepted(script), "COMPLETE")
        first = lines(work / "out" / "rank0")[0].partition(".")[0]
        found = {first: sorted(path.name for path in (work / "out").iterdir())}
        for place in (work / "nodes").iterdir():
            found[place.name] = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
            (rank,) = (place / "out").iterdir()
            assert lines(rank)[0].partition(".")[0] == place.name
        assert set(found) == {"node1", "node2", "node3"}
        assert sorted(names[-1] for names in found.values()) == ["out/rank1", "out/rank2", "rank0"]
        assert sorted(map(len, found.values())) == [1, 2, 2]
