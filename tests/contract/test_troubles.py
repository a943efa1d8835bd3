"""What goes wrong on the way: wall times and lost agents. Airavata still concludes the truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.airavata_process import Experiment, Output, Process
from tests.contract.door import Door, door_of, usual_site
from tests.contract.losing_cluster import LosingCluster
from tests.support.hasty_wrapper import hasty_templates
from tests.support.site import Site, lines
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Behind this door a minute of wall time is over soon: -t knows nothing below a minute."""
    directory = tmp_path_factory.mktemp("hasty")
    slow = usual_site(directory, template_directories=[hasty_templates(directory)])
    with door_of(slow, directory) as door:
        yield door


@pytest.fixture(scope="module")
def losing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, LosingCluster]]:
    """A door before a cluster that can lose agents."""
    directory = tmp_path_factory.mktemp("losing")
    cluster = LosingCluster(directory)

    @contextmanager
    def make(settings: dict[str, object]) -> Iterator[Site]:
        site = Site(directory, cluster, settings)
        cluster.start()
        try:
            site.start()
            try:
                site.install()
                yield site
            finally:
                site.stop()
        finally:
            cluster.stop()

    with door_of(make, directory) as door:
        yield door, cluster


TOO_LONG = Experiment(
    "echo begun; echo half > part; : > up; sleep 600", outputs=(Output("part"),), wall_time="00:1:00"
)


def test_develop_hears_of_a_job_that_reached_its_wall_time(hasty: Door) -> None:
    process = hasty.develop.launch(TOO_LONG)
    assert hasty.follow(hasty.develop, process)[-1] == "FAILED"
    assert process.verified
    assert hasty.develop.caller.letters(str(process.job_id)) == "TO"
    assert process.files["part"].read_text() == "half\n"
    assert process.files["App.stdout"].read_text() == "begun\n"
    assert "TIME LIMIT" in process.files["App.stderr"].read_text()


def test_master_sees_a_job_that_reached_its_wall_time(hasty: Door) -> None:
    process = hasty.master.run(TOO_LONG)
    assert process.errors == [f"job {process.job_id} is FAILED"]
    assert (process.guesses, process.experiment_state) == ([], "FAILED")
    assert hasty.master.caller.accounted_word(str(process.job_id)) == "TIMEOUT"


def rerun(door: Door) -> tuple[Experiment, Path]:
    """A job that waits for a file, and tells outside of its sandbox that it began."""
    go = door.site.directory / f"go-{door.site.count()}"
    body = f"echo began >> {go}.runs; while [ ! -e {go} ]; do sleep 0.1; done; echo done > result"
    return Experiment(body, outputs=(Output("result"),)), go


def lose(door: Door, cluster: LosingCluster, process: Process, go: Path) -> None:
    wait_for(lambda: lines(Path(f"{go}.runs")), ["began"].__eq__, "begun")
    door.in_phase(process, "running")
    assert cluster.lose_running_tasks() == 1
    wait_for(lambda: lines(Path(f"{go}.runs")), ["began", "began"].__eq__, "begun again")


def test_develop_hears_of_a_job_that_began_again(losing: tuple[Door, LosingCluster]) -> None:
    door, cluster = losing
    experiment, go = rerun(door)
    process = door.develop.launch(experiment)
    lose(door, cluster, process, go)
    wait_for(lambda: door.document(process)["run"], (1).__eq__, "the second run")
    go.touch()
    told = door.follow(door.develop, process)
    assert process.dropped == []
    assert told[-1] == "COMPLETE"
    assert process.job_states.count("COMPLETE") == 1
    assert process.experiment_state == "COMPLETED"
    assert process.files["result"].read_text() == "done\n"


def test_master_never_sees_an_end_that_is_none(losing: tuple[Door, LosingCluster]) -> None:
    door, cluster = losing
    experiment, go = rerun(door)
    master = door.master
    process = Process(experiment, master.scratch, realtime=False)
    for task in (master.set_up, master.stage_inputs, master.submit):
        assert master.attempt(process, task)
    lose(door, cluster, process, go)
    for _ in range(5):
        assert master.look(process) in ("QUEUED", "ACTIVE")
    go.touch()
    master.execute(process)
    assert (process.guesses, process.errors) == ([], [])
    assert process.experiment_state == "COMPLETED"
    assert process.files["result"].read_text() == "done\n"
    assert door.document(process)["run"] == 1
