"""Everything ends, one after the other, while jobs come and go: each job runs once and ends once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.contract.airavata_caller import Submission
from tests.support.mesos_framework import PATIENT_AGENTS
from tests.support.mesos_site import MesosSite, running_mesos_site
from tests.support.real_mesos import RealMesosFactory
from tests.support.site import lines
from tests.support.waiting import wait_for

JOBS_IN_A_WAVE = 5


def wave(site: MesosSite, name: str) -> dict[str, Submission]:
    """Jobs that tell, outside of their sandbox, that they ran."""
    runs = site.directory / "runs"
    return {
        f"{name}-{number}": site.accepted(f"echo {name}-{number} >> {runs}; sleep 0.3; echo ok > result")
        for number in range(JOBS_IN_A_WAVE)
    }


def test_each_job_runs_once_whatever_ends(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    cluster = own_real_mesos(masters=3, agents=2, zookeeper=True, agent_flags=PATIENT_AGENTS)
    cluster.replicated()
    keeper = {"hosts": [cluster.zookeeper_address], "mesos_path": "/mesos", "aurora_path": None}
    settings = {"clusters": {"zookeeper": keeper, "mesos_masters": []}}
    with running_mesos_site(tmp_path, cluster, settings) as site:
        jobs = wave(site, "first")
        wait_for(lambda: len(lines(tmp_path / "runs")), lambda count: count >= 3, "some run")
        cluster.kill_master(cluster.leader())
        jobs |= wave(site, "second")
        site.kill()
        site.start()
        cluster.agents[0].kill()
        jobs |= wave(site, "third")
        cluster.agents[0].start()
        for job in jobs.values():
            site.finished(job, "COMPLETE", seconds=90)
            assert lines(job.directory / "result") == ["ok"]
        assert Counter(lines(tmp_path / "runs")) == Counter(dict.fromkeys(jobs, 1))
        wait_for(site.tasks, {}.__eq__, "no task left")
