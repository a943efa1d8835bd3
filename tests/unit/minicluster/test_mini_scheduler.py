"""The scheduler without processes and sockets: a fake way to the agents, and time that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import events, job, job_key
from airavata_mesos_plugin.minicluster.scheduler import queue
from airavata_mesos_plugin.minicluster.scheduler.core import Driver
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from tests.unit.minicluster.bench import Bench

MakeBench = Callable[..., Bench]


@pytest.fixture
def bench(mocker: MockerFixture) -> MakeBench:
    return lambda **settings: Bench(mocker.create_autospec(Driver, instance=True), **settings)


def statuses(tasks: list[Task]) -> list[str]:
    return [task.status.name for task in tasks]


def test_a_job_is_placed_launched_and_finished(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    assert (task.status, task.host, task.agent_id) == (Status.ASSIGNED, "node1", "S0")
    (agent_id, launch), _ = b.driver.launch.call_args
    assert agent_id == "S0"
    assert (launch.task_id, launch.executor_id) == (task.task_id, f"thermos-{task.task_id}")
    assert (launch.source, launch.hostname, launch.data) == ("www.devel.j.0", "node1", "{}")
    b.report(task, "STARTING", "RUNNING", "FINISHED")
    assert [name for name, _ in events(task.struct())] == [
        "PENDING", "ASSIGNED", "STARTING", "RUNNING", "FINISHED",
    ]  # fmt: skip
    times = [event.timestamp for event in task.events]
    assert times == sorted(times)
    assert {event.scheduler for event in task.events} == {"scheduler-1"}
    assert len(b.of()) == 1


def test_task_ids_follow_aurora(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created("a.b")
    assert task.task_id.startswith("www-devel-a-b-0-")


def test_resources_come_back_and_the_next_task_takes_them(bench: MakeBench) -> None:
    b = bench()
    (first,) = b.created("first", cpus=2)
    (second,) = b.created("second", cpus=1.5)
    assert statuses([second]) == ["PENDING"]
    b.report(first, "STARTING", "RUNNING", "FINISHED")
    assert statuses([second]) == ["ASSIGNED"]
    assert b.scheduler.hosts["S0"].free.cpu == 500


def test_a_large_task_does_not_hold_up_small_ones_and_priority_goes_first(bench: MakeBench) -> None:
    b = bench()
    (running,) = b.created("running", cpus=1.5)
    (large,) = b.created("large", cpus=1)
    (low,) = b.created("low", cpus=1.5, priority=1)
    (high,) = b.created("high", cpus=1.5, priority=2)
    (small,) = b.created("small", cpus=0.5)
    assert statuses([large, low, high, small]) == ["PENDING", "PENDING", "PENDING", "ASSIGNED"]
    b.report(running, "FINISHED")
    assert statuses([large, low, high]) == ["PENDING", "PENDING", "ASSIGNED"]


def test_ports_are_given_by_name_and_returned(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created(ports=["http", "debug"])
    assert set(task.ports) == {"http", "debug"}
    assert len(set(task.ports.values())) == 2
    assert task.struct().assignedTask.assignedPorts == task.ports
    b.report(task, "FINISHED")
    assert b.scheduler.hosts["S0"].free.ports == 10


def test_a_failed_task_is_retried_with_its_history(bench: MakeBench) -> None:
    b = bench()
    (first,) = b.created(maxTaskFailures=2)
    b.report(first, "STARTING", "RUNNING")
    b.report(first, "FAILED", message="Task failed.")
    first, second = b.of()
    assert (first.status, first.failures) == (Status.FAILED, 1)
    assert (second.ancestor_id, second.failures, second.instance) == (first.task_id, 1, 0)
    assert events(second.struct())[0] == ("PENDING", "Rescheduled")
    assert second.status is Status.ASSIGNED
    b.report(second, "FAILED")
    assert statuses(b.of()) == ["FAILED", "FAILED"]


@pytest.mark.parametrize("state", ["LOST", "KILLED"])
def test_what_nobody_asked_for_is_replaced(bench: MakeBench, state: str) -> None:
    b = bench()
    (first,) = b.created()
    b.report(first, "STARTING", "RUNNING", state)
    assert statuses(b.of()) == [state, "ASSIGNED"]
    assert b.of()[1].failures == 0


def test_a_service_is_replaced_after_success(bench: MakeBench) -> None:
    b = bench()
    (first,) = b.created(isService=True)
    b.report(first, "STARTING", "RUNNING", "FINISHED")
    assert statuses(b.of()) == ["FINISHED", "ASSIGNED"]


def test_flapping_tasks_wait_and_the_first_replacement_does_not(bench: MakeBench) -> None:
    b = bench(flapping_penalty_min=40.0, flapping_penalty_first_max=40.0)
    b.created(maxTaskFailures=-1)
    for _ in range(2):
        b.report(b.of()[-1], "STARTING", "RUNNING", "FAILED")
    first, second, third = b.of()
    assert (first.status, second.status, third.status) == (Status.FAILED, Status.FAILED, Status.THROTTLED)
    assert events(third.struct())[0] == ("THROTTLED", "Rescheduled, penalized for 40000 ms for flapping")
    b.clock.advance(39)
    assert third.status is Status.THROTTLED
    b.clock.advance(42)
    assert third.events[1].status == Status.PENDING
    assert third.events[1].message is None


def test_the_penalty_grows_with_each_flapping_ancestor_up_to_a_limit(bench: MakeBench) -> None:
    b = bench(flapping_penalty_min=40.0, flapping_penalty_first_max=40.0, flapping_penalty_max=90.0)
    b.created(maxTaskFailures=-1)
    found = []
    for _ in range(12):
        b.report(b.of()[-1], "STARTING", "RUNNING", "FAILED")
        message = b.of()[-1].events[0].message
        found.append(int(message.split()[3]) / 1000 if "penalized" in message else 0.0)
        b.clock.advance(91)
    assert found[:2] == [0.0, 40.0]
    assert 40.0 <= found[2] <= 80.0
    assert max(found) == 90.0


def test_a_kill_of_a_pending_task_leaves_no_trace(bench: MakeBench) -> None:
    b = bench()
    b.created(cpus=100)
    answer = b.call("killTasks", job=job_key("j"), instances=None, message=None)
    assert (answer.responseCode, answer.details) == (api.ResponseCode.OK, ())
    assert b.of() == []
    assert len(b.scheduler.queue) == 0
    b.driver.kill.assert_not_called()


def test_kill_of_a_running_task_and_a_second_kill(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    b.report(task, "STARTING", "RUNNING")
    b.call("killTasks", job=job_key("j"), instances=frozenset(), message="enough")
    assert events(task.struct())[-1] == ("KILLING", "Killed by UNSECURE.\nenough")
    b.driver.kill.assert_called_once_with("S0", task.task_id)
    again = b.call("killTasks", job=job_key("j"), instances=None, message=None)
    assert again.responseCode == api.ResponseCode.OK
    assert [detail.message for detail in again.details] == ["No tasks to kill."]
    b.report(task, "KILLED", message="Instructed to kill task.")
    assert statuses(b.of()) == ["KILLED"]


def test_kill_of_some_instances_ignores_unknown_ones(bench: MakeBench) -> None:
    b = bench()
    b.created(instances=3, cpus=0.1)
    b.call("killTasks", job=job_key("j"), instances=frozenset({1, 77}), message=None)
    assert statuses(b.of()) == ["ASSIGNED", "KILLING", "ASSIGNED"]


def test_an_assigned_task_without_news_is_lost_and_replaced(bench: MakeBench) -> None:
    b = bench(transient_timeout=300.0)
    (task,) = b.created()
    b.clock.advance(301)
    assert events(task.struct())[-1] == ("LOST", "Task timed out")
    b.driver.kill.assert_called_once_with("S0", task.task_id)
    assert statuses(b.of()) == ["LOST", "ASSIGNED"]


def test_starting_has_no_timeout(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    b.report(task, "STARTING")
    b.clock.advance(10_000)
    assert task.status is Status.STARTING


def test_a_launch_that_fails_is_lost(bench: MakeBench) -> None:
    b = bench()
    b.driver.launch.side_effect = [OSError("no more processes"), None]
    b.created()
    first, second = b.of()
    assert events(first.struct())[-1] == ("LOST", "Unknown exception attempting to schedule task.")
    assert second.status is Status.ASSIGNED
    assert b.scheduler.hosts["S0"].free.cpu == 1900


def test_life_signs_of_a_dead_task_are_answered_with_a_kill(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    b.report(task, "FAILED", "RUNNING")
    assert task.status is Status.FAILED
    b.driver.kill.assert_called_once_with("S0", task.task_id)


def test_partition_without_policy_is_lost_at_once(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    b.report(task, "STARTING", "RUNNING", "UNREACHABLE")
    assert [name for name, _ in events(task.struct())[-2:]] == ["PARTITIONED", "LOST"]
    assert (task.times_partitioned, len(b.of())) == (1, 2)


def test_partition_policy_waits_for_the_agent(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created(partitionPolicy=api.PartitionPolicy(reschedule=True, delaySecs=60))
    b.report(task, "STARTING", "RUNNING", "UNREACHABLE")
    b.clock.advance(30)
    b.report(task, "RUNNING")
    b.clock.advance(60)
    assert task.status is Status.RUNNING
    b.report(task, "UNREACHABLE")
    b.clock.advance(61)
    assert events(task.struct())[-1] == ("LOST", "Task partitioned for too long.")


def test_history_is_pruned_by_number_and_by_age(bench: MakeBench) -> None:
    b = bench(history_max_per_job=2, history_min_age=3600.0, history_max_age=100_000.0, prune_interval=60.0)
    for _ in range(4):
        b.created()
        b.report(b.of()[-1], "FINISHED")
    newest = b.of()[2:]
    b.clock.advance(3500)
    assert len(b.of()) == 4
    b.clock.advance(200)
    assert b.of() == newest
    b.clock.advance(100_000)
    assert b.of() == []
    assert len(b.scheduler.store) == 0


def test_a_job_exists_until_it_ended(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    refused = b.create(job("j", "{}"))
    assert refused.responseCode == api.ResponseCode.INVALID_REQUEST
    assert [detail.message for detail in refused.details] == ["Job www/devel/j already exists"]
    b.report(task, "FINISHED")
    assert b.create(job("j", "{}")).responseCode == api.ResponseCode.OK


def test_answers_carry_the_server_and_no_details(bench: MakeBench) -> None:
    answer = bench(cluster_name="here").create(job("j", "{}"))
    assert answer.serverInfo == api.ServerInfo(clusterName="here", statsUrlPrefix="")
    assert (answer.result, answer.details) == (None, ())


@pytest.mark.parametrize("key", [None, api.JobKey(role="a b", environment="devel", name="x"), api.JobKey()])
def test_bad_keys_as_arguments_are_errors_without_message(bench: MakeBench, key: Any) -> None:
    b = bench()
    for answer in (
        b.call("killTasks", job=key, instances=None, message=None),
        b.call("getConfigSummary", job=key),
    ):
        assert answer.responseCode == api.ResponseCode.ERROR
        assert [detail.message for detail in answer.details] == [None]


def test_instance_limit_and_cron_are_refused(bench: MakeBench) -> None:
    b = bench(max_instances_per_job=5)
    text = b.create(job("j", "{}", instances=6)).details[0].message
    assert text == "Instance count must be between 1 and 5 inclusive."
    cron = job("j", "{}")
    cron = api.JobConfiguration(**{**cron.__dict__, "cronSchedule": ""})
    text = b.create(cron).details[0].message
    assert text == "Cron jobs may only be created/updated by calling scheduleCronJob."


def test_production_needs_quota(bench: MakeBench) -> None:
    b = bench()
    answer = b.create(job("j", "{}", tier="preferred"))
    expected = (
        "Insufficient resource quota: CPU quota exceeded by 0.10 core(s); "
        "RAM quota exceeded by 16.00 MB; disk quota exceeded by 16.00 MB"
    )
    assert (answer.responseCode, answer.details[0].message) == (api.ResponseCode.INVALID_REQUEST, expected)
    granted = bench(quotas={"www": (1.0, 1024, 1024)})
    assert granted.create(job("j", "{}", tier="preferred")).responseCode == api.ResponseCode.OK
    used = granted.call("getQuota", ownerRole="www").result.getQuotaResult
    assert api.Resource(numCpus=0.1) in used.prodSharedConsumption.resources
    assert api.Resource(numCpus=0.0) in used.nonProdSharedConsumption.resources
    assert len(used.quota.resources) == 3


def test_pending_reason_and_its_refused_filters(bench: MakeBench) -> None:
    b = bench()
    large = {api.Resource(numCpus=100.0), api.Resource(ramMb=9999), api.Resource(diskMb=1)}
    (task,) = b.created(resources=large)
    query = api.TaskQuery(jobKeys=frozenset({job_key("j")}))
    reasons = b.call("getPendingReason", query=query).result.getPendingReasonResult.reasons
    assert reasons == {api.PendingReason(taskId=task.task_id, reason="Insufficient: CPU,Insufficient: RAM")}
    for field, text in (("slaveHosts", "SlaveHosts are"), ("statuses", "Statuses is")):
        refused = b.call("getPendingReason", query=api.TaskQuery(role="www", **{field: frozenset({1})}))
        assert refused.responseCode == api.ResponseCode.INVALID_REQUEST
        assert refused.details[0].message == f"{text} not supported in TaskQuery({field}:[1], role:www)"


def test_summaries_count_what_is_there(bench: MakeBench) -> None:
    b = bench()
    (done,) = b.created("done")
    b.report(done, "FINISHED")
    b.created("waiting", cpus=100)
    b.created("busy", instances=3)
    roles = b.call("getRoleSummary").result.roleSummaryResult.summaries
    assert roles == {api.RoleSummary(role="www", jobCount=3, cronJobCount=0)}
    jobs = {s.job.key.name: s for s in b.call("getJobSummary", role="www").result.jobSummaryResult.summaries}
    assert jobs["done"].stats.finishedTaskCount == 1
    assert jobs["waiting"].stats.pendingTaskCount == 1
    assert (jobs["busy"].stats.activeTaskCount, jobs["busy"].job.instanceCount) == (3, 3)
    listed = b.call("getJobs", ownerRole=None).result.getJobsResult.configs
    assert {config.key.name for config in listed} == {"waiting", "busy"}
    assert not b.call("getJobs", ownerRole="other").result.getJobsResult.configs
    groups = b.call("getConfigSummary", job=job_key("busy")).result.configSummaryResult.summary.groups
    (group,) = groups
    assert group.instances == {api.Range(first=0, last=2)}


def test_executor_overhead_is_a_setting(bench: MakeBench) -> None:
    b = bench(executor_cpus=0.25, executor_ram_mb=128)
    (task,) = b.created(cpus=1.9)
    assert task.status is Status.PENDING
    (small,) = b.created("small", cpus=1.0)
    assert small.status is Status.ASSIGNED
    assert b.scheduler.hosts["S0"].free[:2] == (750, 4096 - 16 - 128)


def test_a_round_tries_equal_requests_once(bench: MakeBench, mocker: MockerFixture) -> None:
    b = bench()
    (running,) = b.created("running", cpus=2)
    for number in range(300):
        b.create(job(f"waiting-{number}", "{}", cpus=1 + number % 2))
    looked = mocker.spy(queue, "first_fit")
    b.clock.advance(0.01)
    assert len(b.scheduler.queue) == 300
    assert looked.call_count == 2
    b.report(running, "FINISHED")
    assert len(b.scheduler.queue) == 298
    assert b.scheduler.hosts["S0"].free.cpu == 0


def test_a_round_has_a_budget_and_the_next_one_follows(bench: MakeBench) -> None:
    b = bench(max_assignments_per_round=2)
    b.create(job("j", "{}", instances=5, cpus=0.1))
    b.clock.advance(0.001)
    assert statuses(b.of()).count("ASSIGNED") == 2
    b.clock.advance(0.002)
    assert statuses(b.of()).count("ASSIGNED") == 5


def test_prepared_answers_follow_changes(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    before = task.struct()
    assert task.struct() is before
    assert task.struct_without_config().assignedTask.task.executorConfig == api.ExecutorConfig(
        name="AuroraExecutor"
    )
    assert before.assignedTask.task.executorConfig.data == "{}"
    b.report(task, "RUNNING")
    assert (before.status, task.struct().status, task.struct_without_config().status) == (9, 2, 2)
