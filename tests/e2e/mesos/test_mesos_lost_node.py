"""The node of a job is cut off: the job is lost, begins again elsewhere if it may, and never runs twice."""

from __future__ import annotations

import signal
from pathlib import Path

from airavata_mesos_plugin.testing.airavata_script import JobScript
from tests.support.mesos_site import running_mesos_site
from tests.support.real_mesos import RealMesosFactory
from tests.support.site import lines
from tests.support.waiting import wait_for

SOON = ("--agent_ping_timeout=2secs", "--max_agent_ping_timeouts=4")
"""Flags of masters that take an agent for unreachable that stands still, but not one that only stalls."""


def test_a_lost_node(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    cluster = own_real_mesos(agents=2, master_flags=SOON)
    settings = {"clusters": {"mesos": {"unreachable_seconds": 1}}}
    with running_mesos_site(tmp_path, cluster, settings) as site:
        runs, go = tmp_path / "runs", tmp_path / "go"
        waits = f"while [ ! -e {go} ]; do sleep 0.05; done"
        script = JobScript(site.work(), f"echo run >> {runs}; {waits}", directives=("#SBATCH --requeue",))
        again = site.accepted(script)
        wait_for(lambda: lines(runs), bool, "run")
        first = site.in_phase(again, "running")["host"]
        script = JobScript(site.work(), "sleep 600", directives=(f"#SBATCH -w {first}",))
        gone = site.accepted(script)
        site.in_phase(gone, "running")
        (agent,) = [one for one in cluster.agents if one.ip == first]
        agent.send(signal.SIGSTOP)
        wait_for(lambda: lines(runs), lambda found: len(found) == 2, "run again")
        assert site.in_phase(again, "running")["host"] not in ("", first)
        document = site.finished(gone, "FAILED")
        assert site.airavata.letters(gone.job_id) == "NF"
        assert "cannot be reached" in document["reason"]
        agent.send(signal.SIGCONT)
        wait_for(site.tasks, lambda found: len(found) == 1, "one task only")
        go.touch()
        site.finished(again, "COMPLETE")
        assert lines(runs) == ["run", "run"]
