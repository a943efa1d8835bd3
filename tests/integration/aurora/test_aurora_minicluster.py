"""The adapter against a whole cluster: real scheduler, agent and task processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import AlreadyExists, InvalidRequest
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.minicluster.settings import AgentSettings
from airavata_mesos_plugin.minicluster.settings import ClusterSettings as MiniSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Submission, TaskObservation
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedCluster]:
    agent = AgentSettings(host="127.0.0.1", cpus=2.0, memory_mb=1024, disk_mb=4096)
    settings = MiniSettings(work_dir=tmp_path_factory.mktemp("cluster"), agents=(agent,))
    with ThreadedCluster(settings) as running:
        yield running


@pytest.fixture(params=["binary", "json"])
def adapter(cluster: ThreadedCluster, request: pytest.FixtureRequest) -> Iterator[AuroraScheduler]:
    settings = ClusterSettings(
        name="c",
        schedulers=(cluster.scheduler_url,),
        mesos_masters=(cluster.master_url,),
        protocol=request.param,
    )
    made = AuroraScheduler(settings, SystemClock())
    yield made
    made.close()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> JobKey:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return JobKey("airavata", "prod", f"{name}.{time.time_ns()}")


def document(key: JobKey, cmdline: str, **changes: Any) -> dict[str, Any]:
    return {
        "role": key.role,
        "cluster": "c",
        "environment": key.environment,
        "name": key.name,
        "tier": "preemptible",
        "task": {
            "processes": [{"name": "run", "cmdline": cmdline, "min_duration": 0}],
            "resources": {"cpu": 0.1, "ram": 16 * 2**20, "disk": 16 * 2**20},
            "finalization_wait": 5,
        },
        **changes,
    }


def submit(adapter: AuroraScheduler, key: JobKey, cmdline: str, **changes: Any) -> None:
    (result,) = adapter.submit([Submission(key, document(key, cmdline, **changes))])
    assert result.error is None, result.error


def wait(adapter: AuroraScheduler, key: JobKey, until: Callable[[TaskObservation], bool]) -> TaskObservation:
    found = wait_for(
        lambda: adapter.poll([key]).get(key), lambda seen: seen is not None and until(seen), f"{key}"
    )
    assert found is not None
    return found


def ended(observation: TaskObservation) -> bool:
    return observation.phase.final


def test_job_runs_and_its_sandbox_is_found(adapter: AuroraScheduler, key: JobKey) -> None:
    submit(adapter, key, "echo hello > out.txt")
    done = wait(adapter, key, ended)
    assert (done.phase, done.native_state, done.run) == (JobPhase.COMPLETED, "FINISHED", 0)
    assert done.message == "Task finished."
    assert done.host == "127.0.0.1"
    assert done.queued_at is not None
    assert done.started_at is not None
    assert done.queued_at <= done.started_at <= done.changed_at
    address = adapter.sandboxes([done])[key]
    answer = requests.get(
        f"{address.agent_url}/files/download", params={"path": f"{address.path}/out.txt"}, timeout=60
    )
    assert answer.text == "hello\n"


def test_job_fails(adapter: AuroraScheduler, key: JobKey) -> None:
    submit(adapter, key, "exit 3")
    failed = wait(adapter, key, ended)
    assert (failed.phase, failed.message) == (JobPhase.FAILED, "Task failed.")
    assert not failed.kill_seen


def test_failed_job_is_tried_again_as_a_new_run(
    adapter: AuroraScheduler, key: JobKey, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    submit(adapter, key, f"test -e {mark} || {{ touch {mark}; exit 1; }}", max_task_failures=2)
    done = wait(adapter, key, lambda seen: seen.phase is JobPhase.COMPLETED)
    assert done.run == 1


def test_running_job_is_cancelled(adapter: AuroraScheduler, key: JobKey) -> None:
    submit(adapter, key, "sleep 600")
    wait(adapter, key, lambda seen: seen.phase is JobPhase.RUNNING)
    (result,) = adapter.cancel([key], "cancelled by alice")
    assert result.error is None
    killed = wait(adapter, key, ended)
    assert (killed.phase, killed.kill_seen) == (JobPhase.CANCELLED, True)
    for _ in range(2):
        assert adapter.cancel([key], "again")[0].error is None


def test_waiting_job_gives_a_reason_and_vanishes_when_cancelled(
    adapter: AuroraScheduler, key: JobKey
) -> None:
    resources = {"cpu": 64, "ram": 2**24, "disk": 2**24}
    task = {"processes": [{"name": "run", "cmdline": "true"}], "resources": resources}
    submit(adapter, key, "", task=task)
    reasons = wait_for(lambda: adapter.pending_reasons([key]), bool, "a reason")
    assert reasons == {key: "Insufficient: CPU"}
    assert adapter.poll([key])[key].phase is JobPhase.QUEUED
    assert adapter.sandboxes([adapter.poll([key])[key]]) == {}
    assert adapter.cancel([key], "x")[0].error is None
    assert adapter.poll([key]) == {}


def test_second_create_of_an_active_job_says_so(adapter: AuroraScheduler, key: JobKey) -> None:
    submit(adapter, key, "sleep 600")
    (result,) = adapter.submit([Submission(key, document(key, "true"))])
    assert isinstance(result.error, AlreadyExists)
    adapter.cancel([key], "")
    wait(adapter, key, ended)


def test_refusal_carries_the_schedulers_words(adapter: AuroraScheduler, key: JobKey) -> None:
    (result,) = adapter.submit([Submission(key, document(key, "true", tier="golden"))])
    assert isinstance(result.error, InvalidRequest)
    assert "Invalid tier 'golden' in TaskConfig." in str(result.error)


def test_unknown_jobs_are_missing(adapter: AuroraScheduler, key: JobKey) -> None:
    assert adapter.poll([key]) == {}
    assert adapter.cancel([key], "x")[0].error is None
    assert adapter.pending_reasons([key]) == {}


def test_other_reads_answer(adapter: AuroraScheduler, key: JobKey) -> None:
    submit(adapter, key, "sleep 600")
    assert key.name in {job.key.name for job in adapter.client.jobs(key.role)}
    assert key.name in {summary.job.key.name for summary in adapter.client.job_summary(key.role)}
    assert adapter.client.quota(key.role).quota is not None
    adapter.cancel([key], "")
    wait(adapter, key, ended)


def test_capacity_and_check(adapter: AuroraScheduler) -> None:
    (node,) = adapter.capacity()
    assert (node.total.cpus, node.total.memory_mb, node.total.disk_mb) == (2.0, 1024, 4096)
    assert node.active
    checks = adapter.check()
    assert all(check.ok for check in checks), checks
    assert any("leads cluster minicluster" in check.detail for check in checks)
