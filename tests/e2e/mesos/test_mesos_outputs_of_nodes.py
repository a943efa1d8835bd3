"""Outputs of all nodes of a job on Mesos without Aurora, from real agents; then one of them is gone."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.e2e.mesos.test_mesos_lost_node import SOON
from tests.support.mesos_site import running_mesos_site
from tests.support.real_mesos import RealMesosFactory
from tests.support.site import lines
from tests.support.waiting import wait_for

TWO = ("#SBATCH -N 2", "#SBATCH -n 2")
WRITE = "srun bash -c 'cd /proc/$PPID/cwd; mkdir out; echo $SLURM_NODEID >out/rank; echo >>input'"


def came(work: Path) -> dict[str, str]:
    """What lies in directories of the working directory."""
    return {str(path.relative_to(work)): path.read_text() for path in work.glob("*/**/*") if path.is_file()}


def test_outputs_of_two_nodes(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    cluster = own_real_mesos(agents=2, master_flags=SOON)
    settings = {
        "clusters": {"mesos": {"unreachable_seconds": 1}},
        "queues": {"max_nodes": 2, "outputs": {"nodes": "all"}},
        "fetch": {"attempts": 2, "retry_seconds": 0},
    }
    with running_mesos_site(tmp_path, cluster, settings) as site:
        work = site.work()
        (work / "data").mkdir()
        (work / "data" / "given").write_text("given\n")
        site.finished(site.accepted(JobScript(work, WRITE, directives=TWO)), "COMPLETE")
        (node,) = [path.name for path in (work / "nodes").iterdir()]
        assert came(work) == {
            "data/given": "given\n",
            "out/rank": "0\n",
            f"nodes/{node}/out/rank": "1\n",
            f"nodes/{node}/input": "\n",
        }

        where, go = tmp_path / "where", tmp_path / "go"
        script = f"""{WRITE}
        srun bash -c 'echo $SLURM_NODEID $MESOS_AGENT_ENDPOINT' | grep ^1 >{where}
        while [ ! -e {go} ]; do sleep 0.05; done
        """
        job = site.accepted(JobScript(site.work(), script, directives=TWO))
        (said,) = wait_for(lambda: lines(where) if where.exists() else [], bool, "the second node")
        (agent,) = [one for one in cluster.agents if one.address == said.split()[1]]
        agent.kill()
        go.touch()
        document = site.finished(job, "FAILED")
        assert document["exit_code"] == 0
        assert document["reason"].startswith("outputs are missing of node "), document
        assert came(job.directory) == {"out/rank": "0\n"}
