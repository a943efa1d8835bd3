"""Cron entries, their times and their collisions, with time moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import events, job, job_key
from airavata_mesos_plugin.minicluster.scheduler.cron import BadCron, checked_expression, next_run_ms
from tests.unit.minicluster.bench import Bench, code, messages

MakeBench = Callable[..., Bench]
KILL_EXISTING, CANCEL_NEW, RUN_OVERLAP = 0, 1, 2


def cron(schedule: str | None, policy: int = KILL_EXISTING, instances: int = 1, **task: Any) -> Any:
    made = job("j", "{}", instances=instances, **task)
    return api.JobConfiguration(**{**made.__dict__, "cronSchedule": schedule, "cronCollisionPolicy": policy})


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * 1000)


@pytest.mark.parametrize(
    ("schedule", "after", "next_run"),
    [
        ("* * * * *", "2023-11-14T22:13:20", "2023-11-14T22:14:00"),
        ("*/15 * * * *", "2023-11-14T22:13:20", "2023-11-14T22:15:00"),
        ("0 0 1 * *", "2023-11-14T22:13:20", "2023-12-01T00:00:00"),
        ("30 4 * * SUN", "2023-11-14T22:13:20", "2023-11-19T04:30:00"),
        ("30 4 * * 0", "2023-11-14T22:13:20", "2023-11-19T04:30:00"),
        ("0 12 29 FEB *", "2023-11-14T22:13:20", "2024-02-29T12:00:00"),
        ("5,10-12/2 1 * jan-mar *", "2023-11-14T22:13:20", "2024-01-01T01:05:00"),
    ],
)
def test_times(schedule: str, after: str, next_run: str) -> None:
    expression = checked_expression(cron(schedule))
    assert next_run_ms(expression, ms(after), timezone.utc) == ms(next_run)


@pytest.mark.parametrize(
    "schedule",
    ["@daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7",
     "* * 1 * 1", "5/2 * * * *", "*/0 * * * *", "9-3 * * * *", "a * * * *", "-1 * * * *", "1,,2 * * * *",
     "* * L * *", "* * ? * *", "H * * * *", "1- * * * *"],
)  # fmt: skip
def test_schedules_that_are_refused(schedule: str) -> None:
    with pytest.raises(BadCron, match=r"^Invalid cron schedule: "):
        checked_expression(cron(schedule))


@pytest.mark.parametrize(
    ("description", "text"),
    [
        (cron(None), "Job www/devel/j has no cron schedule"),
        (cron(""), "Job has an empty cron schedule."),
        (cron("x"), "Invalid cron schedule: x"),
        (cron("* * * * *", RUN_OVERLAP), "The RUN_OVERLAP collision policy has been removed (AURORA-38)."),
        (cron("* * * * *", instances=9), "Instance count must be between 1 and 5 inclusive."),
        (cron("* * * * *", tier="preferred"), "Insufficient resource quota: CPU quota exceeded by "
         "0.10 core(s); RAM quota exceeded by 16.00 MB; disk quota exceeded by 16.00 MB"),
        (cron("* * * * *", isService=True), "A service task may not be run on a cron schedule: * * * * *"),
    ],
)  # fmt: skip
def test_entries_that_are_refused(bench: MakeBench, description: Any, text: str) -> None:
    b = bench(max_instances_per_job=5)
    answer = b.call("scheduleCronJob", description=description)
    assert (code(answer), messages(answer)) == ("INVALID_REQUEST", [text])
    assert not b.scheduler.cron.entries


def test_a_run_at_its_time_and_nothing_before(bench: MakeBench) -> None:
    b = bench()  # the bench begins at 22:13:20
    b.ok("scheduleCronJob", description=cron("*/15 * * * *", instances=2))
    assert b.of() == []
    b.clock.advance(99)
    assert b.of() == []
    b.clock.advance(2)
    assert [t.status.name for t in b.of()] == ["ASSIGNED", "ASSIGNED"]
    b.run()
    for task in b.active():
        b.report(task, "FINISHED")
    b.clock.advance(900)
    assert len(b.of()) == 4


def test_collision_kills_what_runs_and_waits_for_its_end(bench: MakeBench) -> None:
    b = bench(cron_start_backoff_first=5.0, cron_start_backoff_max=8.0)
    b.ok("scheduleCronJob", description=cron("*/15 * * * *"))
    b.ok("startCronJob", job=job_key("j"))
    b.clock.advance(1)
    (task,) = b.run()
    b.clock.advance(100)
    assert events(task.struct())[-1] == ("KILLING", "Killed by cronScheduler")
    b.clock.advance(20)
    assert len(b.of()) == 1
    b.report(task, "KILLED")
    b.clock.advance(8)
    assert [t.status.name for t in b.of()] == ["KILLED", "ASSIGNED"]
    assert b.of()[1].ancestor_id is None


def test_collision_can_drop_the_new_run(bench: MakeBench) -> None:
    b = bench()
    b.ok("scheduleCronJob", description=cron("*/15 * * * *", CANCEL_NEW))
    b.ok("startCronJob", job=job_key("j"))
    b.clock.advance(1)
    b.run()
    b.clock.advance(1000)
    assert [t.status.name for t in b.of()] == ["RUNNING"]


def test_waiting_tasks_of_a_run_make_room_at_once(bench: MakeBench) -> None:
    b = bench()
    b.ok("scheduleCronJob", description=cron("*/15 * * * *", cpus=100))
    b.clock.advance(101)
    (first,) = b.of()
    b.clock.advance(900)
    (second,) = b.of()
    assert (first.task_id != second.task_id, second.status.name) == (True, "PENDING")


def test_replaced_and_removed_entries(bench: MakeBench) -> None:
    b = bench()
    missing = b.call("replaceCronTemplate", config=cron("* * * * *"))
    assert messages(missing) == ["No cron job found for www/devel/j."]
    started = b.call("startCronJob", job=job_key("j"))
    assert messages(started) == ["Failed to start cron job - No cron job found for www/devel/j."]
    b.ok("scheduleCronJob", description=cron("0 0 1 1 *"))
    b.ok("replaceCronTemplate", config=cron("*/15 * * * *"))
    b.clock.advance(101)
    (task,) = b.run()
    assert messages(b.ok("descheduleCronJob", job=job_key("j"))) == []
    b.clock.advance(1000)
    assert b.of() == [task]
    assert task.status.name == "RUNNING"
    assert messages(b.ok("descheduleCronJob", job=job_key("j"))) == [
        "Job www/devel/j is not scheduled with cron"
    ]


def test_jobs_and_entries_exclude_each_other(bench: MakeBench) -> None:
    b = bench()
    b.created()
    assert messages(b.call("scheduleCronJob", description=cron("* * * * *"))) == [
        "Job www/devel/j already exists"
    ]
    b.call("killTasks", job=job_key("j"), instances=None, message=None)
    b.kills_take_effect()
    b.ok("scheduleCronJob", description=cron("0 0 1 1 *"))
    assert messages(b.create(job("j", "{}"))) == ["Job www/devel/j already exists"]
    key = api.InstanceKey(jobKey=job_key("j"), instanceId=0)
    assert messages(b.call("addInstances", key=key, count=1)) == ["Instances may not be added to cron jobs."]


def test_what_is_told_of_entries(bench: MakeBench) -> None:
    b = bench(quotas={"www": (1.0, 100, 100)})
    b.ok("scheduleCronJob", description=cron("*/15 * * * *", instances=3, tier="preferred"))
    (config,) = b.ok("getJobs", ownerRole="www").result.getJobsResult.configs
    assert (config.cronSchedule, config.instanceCount) == ("*/15 * * * *", 3)
    (summary,) = b.ok("getJobSummary", role=None).result.jobSummaryResult.summaries
    assert summary.nextCronRunMs == ms("2023-11-14T22:15:00")
    (role,) = b.ok("getRoleSummary").result.roleSummaryResult.summaries
    assert (role.jobCount, role.cronJobCount) == (0, 1)
    used = b.ok("getQuota", ownerRole="www").result.getQuotaResult.prodSharedConsumption.resources
    assert api.Resource(numCpus=0.3) in used


def test_a_day_that_never_comes_has_no_next_run(bench: MakeBench) -> None:
    b = bench()
    b.ok("scheduleCronJob", description=cron("0 0 30 FEB *"))
    (summary,) = b.ok("getJobSummary", role=None).result.jobSummaryResult.summaries
    assert summary.nextCronRunMs is None
