"""The daemon goes and comes back while jobs run, and Airavata does not stop asking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.airavata_process import Experiment, Output, Process
from tests.contract.door import Door, door_of, usual_site
from tests.contract.release_017 import Release017
from tests.contract.release_master import Master


@pytest.fixture
def restarting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp("restarting")
    with door_of(usual_site(directory), directory) as door:
        yield door


def test_a_daemon_that_is_killed_and_comes_back_changes_nothing(restarting: Door) -> None:
    """master keeps polling all the time, also while nobody answers."""
    door = restarting
    go = door.site.directory / "go"
    experiment = Experiment(
        f"while [ ! -e {go} ]; do sleep 0.1; done; echo done > result", outputs=(Output("result"),)
    )
    processes = []
    for gateway in (door.develop, door.gateway(Release017)):
        processes.append((gateway, gateway.launch(experiment)))
    master = door.gateway(Master)
    polled = Process(experiment, master.scratch, realtime=False)
    for task in (master.set_up, master.stage_inputs, master.submit):
        assert master.attempt(polled, task)
    door.in_phase(polled, "running")

    door.site.kill()
    for _ in range(3):
        assert master.look(polled) in ("QUEUED", "ACTIVE")
    refused = door.develop.launch(Experiment("true"))
    assert refused.experiment_state == "FAILED"
    assert "airavata-mesos serve" in refused.job_error
    go.touch()
    assert master.look(polled) in ("QUEUED", "ACTIVE")
    door.site.start()

    master.execute(polled)
    for launched, process in processes:
        door.follow(launched, process)
    for process in (polled, *(process for _, process in processes)):
        assert process.experiment_state == "COMPLETED", vars(process)
        assert process.files["result"].read_text() == "done\n"
        assert process.guesses == []
    assert door.site.count() == 3  # the one that could not be submitted did not come later
