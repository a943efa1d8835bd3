"""Leaders change while jobs are submitted: none is lost and none runs twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.discovery import find_leaders
from airavata_mesos_plugin.errors import AiravataMesosError, AlreadyExists
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.minicluster.settings import ClusterSettings as MiniSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Submission
from tests.support.waiting import wait_for
from tests.support.zookeeper import ensemble

JOBS = 200


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ThreadedCluster, AuroraScheduler]]:
    directory = tmp_path_factory.mktemp("change")
    with ensemble(directory) as (server,):
        mini = MiniSettings(
            directory / "cluster",
            zookeeper=server.address,
            schedulers=2,
            stop_grace=0.3,
            agents=(AgentSettings(host="127.0.0.1", cpus=8, memory_mb=8192, disk_mb=8192),),
        )
        with ThreadedCluster(mini) as running:
            settings = ClusterSettings(
                name="c",
                zookeeper={"hosts": [server.address]},
                mesos_masters=[running.master_url],
                call_timeout_seconds=20,
            )
            clock = SystemClock()
            leader, masters = find_leaders(settings, clock)
            adapter = AuroraScheduler(settings, clock, leader=leader, master_leader=masters)
            yield running, adapter
            adapter.close()


def submission(key: JobKey, mark: Path) -> Submission:
    task = {
        "processes": [{"name": "run", "cmdline": f"echo ran >> {mark}", "min_duration": 0}],
        "resources": {"cpu": 0.1, "ram": 2**24, "disk": 2**24},
        "finalization_wait": 1,
    }
    document = {
        "role": key.role,
        "cluster": "c",
        "environment": key.environment,
        "name": key.name,
        "tier": "preemptible",
        "task": task,
    }
    return Submission(key, document)


def submit_once(adapter: AuroraScheduler, wanted: Submission) -> None:
    """As the provider does it: whatever is doubtful is looked up before it is sent again."""
    pause = threading.Event()
    for _ in range(300):
        error: AiravataMesosError | None = adapter.submit([wanted])[0].error
        if error is None:
            return
        assert error.transient or error.outcome_unknown or isinstance(error, AlreadyExists), error
        while True:
            try:
                if wanted.key in adapter.poll([wanted.key]):
                    return
                break
            except AiravataMesosError as trouble:
                if not trouble.transient and not trouble.outcome_unknown:
                    raise
                pause.wait(0.1)
    raise AssertionError(f"{wanted.key} could not be submitted: {error}")


@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_runs_twice(
    cluster: tuple[ThreadedCluster, AuroraScheduler], tmp_path: Path
) -> None:
    running, adapter = cluster
    keys = [JobKey("www", "prod", f"change-{number}") for number in range(JOBS)]
    troubles: list[BaseException] = []
    done = threading.Event()

    def work(mine: list[JobKey]) -> None:
        try:
            for key in mine:
                submit_once(adapter, submission(key, tmp_path / key.name))
        except BaseException as error:
            troubles.append(error)

    wait_for(running.leading, lambda now: now is not None, "a leader")
    threads = [threading.Thread(target=work, args=(keys[number::3],)) for number in range(3)]
    for thread in threads:
        thread.start()
    leaders: list[int] = []
    while any(thread.is_alive() for thread in threads) or len(leaders) < 3:
        number = wait_for(running.leading, lambda now: now is not None, "a leader")
        assert number is not None
        if leaders[-1:] != [number]:
            leaders.append(number)
        (running.expire_session if len(leaders) % 2 else running.resign)(number)
        done.wait(0.3)
    for thread in threads:
        thread.join()
    assert troubles == []

    def phases() -> list[JobPhase]:
        try:
            seen = adapter.poll(keys)
        except AiravataMesosError:
            return []
        return [seen[key].phase for key in keys if key in seen]

    wait_for(phases, lambda now: now == [JobPhase.COMPLETED] * JOBS, "all over", seconds=200)
    assert [(tmp_path / key.name).read_text() for key in keys] == ["ran\n"] * JOBS
