"""The fixtures for developers, used as a developer uses them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airavata_mesos_plugin.clock import ManualClock, SystemClock
from airavata_mesos_plugin.config import ClusterSettings, FetchSettings
from airavata_mesos_plugin.errors import (
    AlreadyExists,
    NotFound,
    OutcomeUnknown,
    SandboxGone,
    TransferError,
    Unreachable,
)
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from airavata_mesos_plugin.testing.compute_resource import ComputeResource
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster
from airavata_mesos_plugin.testing.sandbox_agent import SandboxAgent
from airavata_mesos_plugin.testing.scripted import Look, ScriptedScheduler
from airavata_mesos_plugin.testing.stage import ProviderStage

KEY = JobKey("airavata", "prod", "one")


# A scheduler that follows a script


def test_a_job_goes_as_the_script_says(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    scripted_scheduler.jobs_go("PENDING", "ASSIGNED", "RUNNING", "FINISHED")
    job_id = scripted_provider.submit()
    seen = []
    for _ in range(5):
        scripted_provider.turn()
        seen.append(scripted_provider.job(job_id).native_state)
    assert seen == ["PENDING", "ASSIGNED", "RUNNING", "FINISHED", "FINISHED"]
    assert scripted_provider.phases(job_id) == [
        JobPhase.ACCEPTED,
        JobPhase.SUBMITTING,
        JobPhase.QUEUED,
        JobPhase.RUNNING,
        JobPhase.FETCHING,
        JobPhase.COMPLETED,
    ]


def test_outputs_come_back_from_its_sandbox(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    job_id = scripted_provider.submit()
    scripted_provider.wait_for_phase(job_id, JobPhase.RUNNING)
    sandbox = scripted_scheduler.sandbox(scripted_provider.job(job_id).key)
    (sandbox / "energy.txt").write_text("-76.4\n")
    scripted_provider.wait_for_phase(job_id, JobPhase.COMPLETED)
    assert (scripted_provider.work(job_id) / "energy.txt").read_text() == "-76.4\n"


def test_one_job_has_a_script_of_its_own(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    one, other = scripted_provider.submit(), scripted_provider.submit()
    scripted_scheduler.job_goes(scripted_provider.job(one).key, "RUNNING", Look("FAILED", exit_code=7))
    record = scripted_provider.wait_for_phase(one, JobPhase.FAILED)
    assert (record.exit_code, record.reason) == (7, "exit code 7")
    scripted_provider.wait_for_phase(other, JobPhase.COMPLETED)


def test_a_lost_task_that_runs_again_is_another_run(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    scripted_scheduler.jobs_go("RUNNING", Look("RUNNING", run=1), Look("FINISHED", run=1))
    job_id = scripted_provider.submit()
    assert scripted_provider.wait_for_phase(job_id, JobPhase.COMPLETED).run == 1


def test_a_lost_answer_makes_no_second_job(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    scripted_scheduler.answer_next_create(OutcomeUnknown("the connection broke"), carried_out=True)
    job_id = scripted_provider.submit()
    scripted_provider.turn()
    assert scripted_provider.phase(job_id) is JobPhase.SUBMITTING
    scripted_provider.restart()
    scripted_provider.wait_for_phase(job_id, JobPhase.COMPLETED)
    assert scripted_scheduler.created == [scripted_provider.job(job_id).key]


def test_a_create_that_was_not_carried_out_is_sent_again(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    scripted_scheduler.answer_next_create(OutcomeUnknown("the connection broke"))
    job_id = scripted_provider.submit()
    scripted_provider.turn()
    assert scripted_scheduler.created == []
    scripted_provider.wait_for_phase(job_id, JobPhase.COMPLETED)
    assert scripted_scheduler.mock.submit.call_count == 2


def test_a_scheduler_that_is_down_loses_no_job(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    scripted_scheduler.down = Unreachable("nobody listens")
    job_id = scripted_provider.submit()
    scripted_provider.turn()
    assert scripted_provider.job(job_id).pending_reason == "nobody listens"
    scripted_scheduler.down = None
    scripted_provider.wait_for_phase(job_id, JobPhase.COMPLETED)


def test_an_error_in_a_script_is_one_look_that_failed(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage
) -> None:
    scripted_scheduler.jobs_go("RUNNING", Unreachable("nobody listens"), "FINISHED")
    job_id = scripted_provider.submit()
    for expected in (JobPhase.RUNNING, JobPhase.RUNNING, JobPhase.COMPLETED):
        scripted_provider.turn()
        assert scripted_provider.phase(job_id) is expected


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_a_job_is_cancelled(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage, state: str
) -> None:
    scripted_scheduler.jobs_go(state)
    job_id = scripted_provider.submit()
    scripted_provider.turn()
    record = scripted_provider.job(job_id)
    scripted_provider.provider.request_cancel(job_id, "alice", record.request.uid)
    assert scripted_provider.wait_for_phase(job_id, JobPhase.CANCELLED).reason == "cancelled by alice"


def test_a_job_that_the_scheduler_forgets_is_lost(
    scripted_scheduler: ScriptedScheduler,
    make_provider: Callable[..., ProviderStage],
    manual_clock: ManualClock,
) -> None:
    provider = make_provider(scripted_scheduler, clusters={"absence_seconds": 60})
    scripted_scheduler.jobs_go("PENDING", None)
    job_id = provider.submit()
    began = manual_clock.now()
    provider.wait_for_phase(job_id, JobPhase.LOST)
    assert manual_clock.now() - began >= 60


def test_scripts_of_states_that_aurora_has_not_are_refused(scripted_scheduler: ScriptedScheduler) -> None:
    with pytest.raises(ValueError, match="no state 'DONE'; it has INIT"):
        scripted_scheduler.jobs_go("DONE")
    with pytest.raises(ValueError, match="one step"):
        scripted_scheduler.job_goes(KEY)


def test_the_mock_has_the_real_signatures(scripted_scheduler: ScriptedScheduler) -> None:
    with pytest.raises(TypeError):
        scripted_scheduler.mock.cancel([KEY])
    with pytest.raises(AttributeError):
        scripted_scheduler.mock.submit_all([])
    submission = Submission(KEY, {})
    assert scripted_scheduler.mock.submit([submission])[0].error is None
    assert isinstance(scripted_scheduler.mock.submit([submission])[0].error, AlreadyExists)


def test_a_job_that_does_not_get_there_shows_its_history(scripted_provider: ProviderStage) -> None:
    job_id = scripted_provider.submit()
    with pytest.raises(AssertionError, match="is not failed but completed") as caught:
        scripted_provider.wait_for_phase(job_id, JobPhase.FAILED)
    assert "submitting provider" in str(caught.value)


# An agent with sandboxes


def test_a_sandbox_is_read_and_breaks_as_it_is_told(sandbox_agent: SandboxAgent) -> None:
    path, address = sandbox_agent.sandbox()
    (path / "out.txt").write_bytes(b"0123456789")
    client = FilesClient(FetchSettings())
    try:
        assert [entry.name for entry in client.browse(address, "")] == ["out.txt"]
        assert client.read(address, "out.txt", 4) == b"456789"
        for switch in (sandbox_agent.faults.drop_before, sandbox_agent.faults.tear):
            switch("read", count=None)
            with pytest.raises(TransferError):
                client.read(address, "out.txt", 0)
            sandbox_agent.clear_faults()
        sandbox_agent.faults.answer_status(500, "browse")
        with pytest.raises(TransferError):
            client.browse(address, "")
        sandbox_agent.faults.delay(0.01, "read")
        assert client.read(address, "out.txt", 0) == b"0123456789"
        with pytest.raises(NotFound):
            client.read(address, "gone.txt", 0)
        sandbox_agent.remove(address)
        with pytest.raises(SandboxGone):
            client.browse(address, "")
    finally:
        client.close()
    assert sandbox_agent.calls["read"] >= 5
    with pytest.raises(ValueError, match="not upload"):
        sandbox_agent.faults.drop_before("upload")


def test_a_torn_download_is_fetched_again(
    scripted_scheduler: ScriptedScheduler, scripted_provider: ProviderStage, sandbox_agent: SandboxAgent
) -> None:
    job_id = scripted_provider.submit()
    scripted_provider.wait_for_phase(job_id, JobPhase.RUNNING)
    content = b"x" * 300_000
    sandbox = scripted_scheduler.sandbox(scripted_provider.job(job_id).key)
    (sandbox / "big").write_bytes(content)
    sandbox_agent.faults.tear("download", count=2)
    scripted_provider.wait_for_phase(job_id, JobPhase.COMPLETED)
    assert (scripted_provider.work(job_id) / "big").read_bytes() == content


# A cluster with faults


def adapter_of(cluster: EmbeddedCluster) -> AuroraScheduler:
    settings = ClusterSettings(
        name="c",
        schedulers=[cluster.scheduler_url],
        mesos_masters=[cluster.master_url],
        call_timeout_seconds=20,
    )
    return AuroraScheduler(settings, SystemClock())


def test_faults_of_the_api_are_met(minicluster: EmbeddedCluster) -> None:
    faults = minicluster.faults
    call = "getTasksWithoutConfigs"
    switches: list[Callable[[], None]] = [
        lambda: faults.drop_before(call),
        lambda: faults.drop_after(call),
        lambda: faults.tear(call),
        lambda: faults.delay(0.01, call),
        lambda: faults.not_ready(call),
        lambda: faults.answer_status(503, call),
        lambda: faults.wrong_leader(minicluster.scheduler_url, call),
    ]
    adapter = adapter_of(minicluster)
    try:
        for number, switch in enumerate(switches, start=1):
            switch()
            assert adapter.poll([KEY]) == {}
            assert minicluster.faults_met == number
    finally:
        adapter.close()
    with pytest.raises(ValueError, match="400 to 599"):
        faults.answer_status(200)


def test_a_job_runs_on_real_servers_in_spite_of_faults(
    minicluster: EmbeddedCluster, minicluster_provider: ProviderStage
) -> None:
    minicluster.faults.drop_after("createJob")
    job_id = minicluster_provider.submit("#!/bin/sh\necho hello > hello.txt\n")
    minicluster_provider.wait_for_phase(job_id, JobPhase.COMPLETED)
    assert (minicluster_provider.work(job_id) / "hello.txt").read_text() == "hello\n"
    assert minicluster.faults_met == 1


def test_agents_are_lost_and_come_back(make_minicluster: Callable[..., EmbeddedCluster]) -> None:
    cluster = make_minicluster(flapping_threshold=0.0)
    adapter = adapter_of(cluster)
    try:
        cluster.lose_agent("127.0.0.1")
        assert [node.name for node in adapter.capacity() if node.active] == []
        cluster.return_agent("127.0.0.1")
        assert [node.name for node in adapter.capacity() if node.active] == ["127.0.0.1"]
    finally:
        adapter.close()


# The whole door


def test_airavata_types_its_commands(
    compute_resource: ComputeResource,
    minicluster: EmbeddedCluster,
    airavata_script: Callable[..., JobScript],
) -> None:
    minicluster.faults.drop_after("createJob")
    job = compute_resource.airavata.submit(airavata_script("echo 42 > answer.txt"))
    compute_resource.finished(job, "COMPLETE", seconds=60)
    assert (job.directory / "answer.txt").read_text() == "42\n"
    failing = compute_resource.accepted("exit 3")
    assert compute_resource.finished(failing, "FAILED", seconds=60)["exit_code"] == 3
    waiting = compute_resource.accepted("sleep 600")
    compute_resource.wait_for_phase(waiting, "running")
    compute_resource.airavata.cancel(waiting.job_id)
    compute_resource.finished(waiting, "CANCELED", seconds=60)
