"""Ways for inputs and outputs that need something of the task work on Mesos without Aurora."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.realmesos.cluster import RealMesosCluster
from tests.support.mesos_site import running_mesos_site
from tests.support.site import lines
from tests.support.waiting import wait_for


@pytest.mark.parametrize(("inputs", "outputs"), [("mesos_fetcher", "files_api"), ("http", "push")])
def test_inputs_go_there_and_outputs_come_back(
    real_mesos: RealMesosCluster, tmp_path: Path, inputs: str, outputs: str
) -> None:
    queue = {"inputs": {"method": inputs}, "outputs": {"method": outputs}}
    with running_mesos_site(tmp_path, real_mesos, {"queues": queue}) as site:
        work = site.work()
        (work / "in.txt").write_text("words\n")
        job = site.accepted("cat in.txt; echo more > result; exit 3", work)
        assert site.finished(job, "FAILED")["exit_code"] == 3
        assert lines(work / "App.stdout") == ["words"]
        assert lines(work / "result") == ["more"]
        if outputs == "push":
            begun = tmp_path / "begun"
            job = site.accepted(f"echo part > part; touch {begun}; sleep 600")
            wait_for(begun.exists, bool, "begun")
            site.airavata.cancel(job.job_id)
            site.finished(job, "CANCELED")
            assert lines(job.directory / "part") == ["part"]
