"""Quota, states by force, pruning, backups, reconciliation, maintenance and preemption."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import AuroraAdmin, AuroraSchedulerManager, ReadOnlyScheduler
from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import events, job, job_key
from airavata_mesos_plugin.minicluster.scheduler.access import METHODS, Access
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from tests.unit.minicluster.bench import Bench, code, messages

MakeBench = Callable[..., Bench]
S = api.ScheduleStatus


def aggregate(*resources: dict[str, Any]) -> Any:
    return api.ResourceAggregate(resources=frozenset(api.Resource(**r) for r in resources))


def quota(cpus: float, ram: int, disk: int) -> Any:
    return aggregate({"numCpus": cpus}, {"ramMb": ram}, {"diskMb": disk})


def test_quota_is_granted_and_replaced(bench: MakeBench) -> None:
    b = bench()
    b.ok("setQuota", ownerRole="www", quota=quota(1.0, 100, 100))
    assert code(b.create(job("j", "{}", tier="preferred", cpus=0.9))) == "OK"
    less = b.call("setQuota", ownerRole="www", quota=quota(0.5, 100, 100))
    assert messages(less) == [
        "Quota: {CPUS=0.5, RAM_MB=100.0, DISK_MB=100.0} is less then current prod reservation: "
        "{CPUS=0.9, RAM_MB=16.0, DISK_MB=16.0}"
    ]
    b.ok("setQuota", ownerRole="www", quota=quota(2.0, 50, 50))
    got = b.ok("getQuota", ownerRole="www").result.getQuotaResult.quota.resources
    assert got == quota(2.0, 50, 50).resources


@pytest.mark.parametrize(
    ("role", "given", "answer", "text"),
    [
        (" ", quota(1.0, 1, 1), "ERROR", None),
        (None, quota(1.0, 1, 1), "ERROR", None),
        ("www", None, "ERROR", None),
        (
            "www",
            aggregate({"numCpus": 1.0}, {"ramMb": 1}, {"diskMb": 1}, {"numGpus": 1}),
            "ERROR",
            "Too many resource values in quota.",
        ),
        (
            "www",
            aggregate({"numCpus": 1.0}, {"ramMb": 1}),
            "ERROR",
            "Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]",
        ),
        (
            "www",
            aggregate({"numCpus": 1.0}, {"ramMb": 1}, {"numGpus": 1}),
            "ERROR",
            "Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]",
        ),
        (
            "www",
            quota(-1.0, 1, 1),
            "INVALID_REQUEST",
            "Negative values in: {CPUS=-1.0, RAM_MB=1.0, DISK_MB=1.0}",
        ),
    ],
)
def test_quota_that_is_refused(
    bench: MakeBench, role: str | None, given: Any, answer: str, text: str | None
) -> None:
    refused = bench().call("setQuota", ownerRole=role, quota=given)
    assert (code(refused), messages(refused)) == (answer, [text])


def test_states_by_force(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    b.ok("forceTaskState", taskId=task.task_id, status=S.FAILED)
    assert events(task.struct())[-1] == ("FAILED", "Transition forced by UNSECURE")
    b.ok("forceTaskState", taskId=task.task_id, status=S.PENDING)
    b.ok("forceTaskState", taskId="nobody", status=S.LOST)
    assert task.status is Status.FAILED
    for bad in (
        {"taskId": " ", "status": S.LOST},
        {"taskId": "x", "status": None},
        {"taskId": None, "status": 3},
    ):
        assert code(b.call("forceTaskState", **bad)) == "ERROR"
    assert code(b.call("forceTaskState", taskId=task.task_id, status=-1)) == "ERROR"


def test_pruning_by_hand(bench: MakeBench) -> None:
    b = bench()
    for _ in range(3):
        b.created()
        b.report(b.of()[-1], "FINISHED")
    b.created()
    refused = b.call("pruneTasks", query=api.TaskQuery(statuses=frozenset({S.RUNNING, S.FAILED})))
    assert (code(refused), messages(refused)) == (
        "ERROR", ["Tasks in non-terminal state cannot be pruned."],
    )  # fmt: skip
    assert code(b.call("pruneTasks", query=None)) == "ERROR"
    b.ok("pruneTasks", query=api.TaskQuery(role="www", limit=1))
    assert len(b.of()) == 3
    b.ok("pruneTasks", query=api.TaskQuery(statuses=frozenset({S.FAILED})))
    assert len(b.of()) == 3
    b.ok("pruneTasks", query=api.TaskQuery())
    assert [t.status.name for t in b.of()] == ["ASSIGNED"]


def test_backups_hold_what_there_is(bench: MakeBench, tmp_path: Path) -> None:
    b = bench(work_dir=tmp_path)
    assert b.ok("listBackups").result.listBackupsResult.backups == frozenset()
    b.created(instances=3)
    b.ok("setQuota", ownerRole="www", quota=quota(1.0, 1, 1))
    b.ok("performBackup")
    b.ok("snapshot")
    assert b.ok("listBackups").result.listBackupsResult.backups == {"scheduler-backup-2023-11-14-22-13"}
    with sqlite3.connect(tmp_path / "backups" / "scheduler-backup-2023-11-14-22-13") as connection:
        kinds = connection.execute("SELECT kind, count(*) FROM things GROUP BY kind ORDER BY kind").fetchall()
    connection.close()
    assert kinds == [("host", 1), ("quota", 1), ("task", 3)]


def test_a_backup_that_cannot_be_written_is_an_error(bench: MakeBench, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("in the way")
    b = bench(work_dir=tmp_path)
    assert code(b.call("performBackup")) == "ERROR"


def recovered(b: Bench, **query: Any) -> list[str]:
    """Names of the jobs that the loaded backup has tasks of."""
    result = b.ok("queryRecovery", query=api.TaskQuery(**query)).result
    return sorted(task.assignedTask.task.job.name for task in result.queryRecoveryResult.tasks)


def test_recovery_is_prepared_in_steps(bench: MakeBench, tmp_path: Path) -> None:
    b = bench(work_dir=tmp_path)
    for call, arguments in (
        ("queryRecovery", {"query": api.TaskQuery()}),
        ("deleteRecoveryTasks", {"query": api.TaskQuery()}),
        ("commitRecovery", {}),
    ):
        refused = b.call(call, **arguments)
        assert (code(refused), messages(refused)) == ("ERROR", ["No backup loaded."])
    refused = b.call("stageRecovery", backupId="scheduler-backup-1")
    assert (code(refused), messages(refused)) == ("ERROR", ["Backup scheduler-backup-1 does not exist."])
    b.created("one", instances=2)
    b.created("two")
    b.ok("performBackup")
    b.created("three")
    (name,) = b.ok("listBackups").result.listBackupsResult.backups
    b.ok("stageRecovery", backupId=name)
    refused = b.call("stageRecovery", backupId=name)
    assert (code(refused), messages(refused)) == ("ERROR", ["Another backup is already loaded."])
    assert recovered(b) == ["one", "one", "two"]
    b.ok("deleteRecoveryTasks", query=api.TaskQuery(role="www", environment="devel", jobName="one"))
    assert recovered(b) == ["two"]
    assert recovered(b, statuses=frozenset({S.RUNNING})) == []
    b.ok("unloadRecovery")
    b.ok("unloadRecovery")
    b.ok("stageRecovery", backupId=name)
    assert recovered(b) == ["one", "one", "two"], "the backup itself is as it was"
    assert sorted(str(key) for key in b.scheduler.store.jobs()) == [
        *("www/devel/one", "www/devel/three", "www/devel/two")
    ], "the storage changes with the commit only"


@pytest.mark.parametrize("name", ["../scheduler.db", "scheduler-backup-../../x", "other", "", None])
def test_only_backups_can_be_loaded(bench: MakeBench, tmp_path: Path, name: str | None) -> None:
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "other").write_text("")
    (tmp_path / "scheduler.db").write_text("")
    assert code(bench(work_dir=tmp_path).call("stageRecovery", backupId=name)) == "ERROR"


def test_a_damaged_backup_is_an_error(bench: MakeBench, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "scheduler-backup-1").write_text("not a database")
    (said,) = messages(bench(work_dir=tmp_path).call("stageRecovery", backupId="scheduler-backup-1"))
    assert said is not None
    assert said.startswith("Backup scheduler-backup-1 cannot be read: ")


def test_what_is_committed_is_the_storage_of_the_next_leader(bench: MakeBench, tmp_path: Path) -> None:
    b = bench(work_dir=tmp_path)
    b.created("one")
    b.ok("setQuota", ownerRole="www", quota=quota(1.0, 1, 1))
    b.ok("performBackup")
    (name,) = b.ok("listBackups").result.listBackupsResult.backups
    b.ok("stageRecovery", backupId=name)
    handed_on: list[tuple[str, str]] = []

    def full(_: object) -> None:
        raise OSError("no space")

    b.scheduler.on_recovery = full
    refused = b.call("commitRecovery")
    assert (code(refused), messages(refused)) == ("ERROR", ["no space"])
    b.scheduler.on_recovery = lambda entries: handed_on.extend((kind, key) for kind, key, _ in entries)
    b.ok("commitRecovery")
    (task,) = b.of("one")
    assert handed_on == [("host", "node1"), ("quota", "www"), ("task", task.task_id)]


def test_reconciliation_asks_for_every_placed_task(bench: MakeBench) -> None:
    b = bench(reconciliation_interval=600.0)
    (task,) = b.created()
    b.created("waits", cpus=100)
    b.ok("triggerExplicitTaskReconciliation", settings=api.ExplicitReconciliationSettings())
    b.ok("triggerImplicitTaskReconciliation")
    b.clock.advance(0)
    assert [list(call.args[0]) for call in b.driver.reconcile.call_args_list] == [[("S0", task.task_id)]] * 2
    b.clock.advance(600)
    assert b.driver.reconcile.call_count == 3
    assert code(b.call("triggerExplicitTaskReconciliation", settings=None)) == "ERROR"
    bad = api.ExplicitReconciliationSettings(batchSize=0)
    assert messages(b.call("triggerExplicitTaskReconciliation", settings=bad)) == [
        "Batch size must be greater than zero."
    ]


# Maintenance


def hosts(*names: str) -> Any:
    return api.Hosts(hostNames=frozenset(names))


def modes(answer: Any) -> dict[str, str]:
    (result,) = [value for value in vars(answer.result).values() if value is not None]
    return {s.host: api.MaintenanceMode._VALUES_TO_NAMES[s.mode] for s in result.statuses}


def test_maintenance_from_end_to_end(bench: MakeBench) -> None:
    b = bench()
    b.add_host(1)
    (task,) = b.created(cpus=1.5)
    b.run()
    every = hosts("node1", "node2", "unknown")
    assert modes(b.ok("maintenanceStatus", hosts=every)) == {"node1": "NONE", "node2": "NONE"}
    assert modes(b.ok("startMaintenance", hosts=hosts("node1"))) == {"node1": "SCHEDULED"}
    (also,) = b.created("also", cpus=0.5)
    assert also.host == "node1"
    b.report(also, "FINISHED")
    assert modes(b.ok("drainHosts", hosts=hosts("node1"))) == {"node1": "DRAINING"}
    assert events(task.struct())[-1] == ("DRAINING", "Draining machine for maintenance.")
    b.report(task, "KILLED")
    assert modes(b.ok("maintenanceStatus", hosts=every)) == {"node1": "DRAINED", "node2": "NONE"}
    (again,) = b.run()
    assert (again.host, again.ancestor_id) == ("node2", task.task_id)
    (waits,) = b.created("waits", cpus=1.5)
    query = api.TaskQuery(taskIds=frozenset({waits.task_id}))
    (reason,) = b.ok("getPendingReason", query=query).result.getPendingReasonResult.reasons
    assert reason.reason == "Insufficient: CPU"
    assert modes(b.ok("drainHosts", hosts=hosts("node2"))) == {"node2": "DRAINING"}
    b.clock.advance(1)
    (reason,) = b.ok("getPendingReason", query=query).result.getPendingReasonResult.reasons
    assert reason.reason in ("Host drained for maintenance", "Host draining for maintenance")
    assert modes(b.ok("endMaintenance", hosts=hosts("node1"))) == {"node1": "NONE"}
    b.clock.advance(1)
    assert waits.host == "node1"
    assert code(b.call("drainHosts", hosts=None)) == "ERROR"


COUNT = api.SlaPolicy(countSlaPolicy=api.CountSlaPolicy(count=2, durationSecs=0))
PERCENTAGE = api.SlaPolicy(percentageSlaPolicy=api.PercentageSlaPolicy(percentage=60.0, durationSecs=0))
GREEDY = api.SlaPolicy(countSlaPolicy=api.CountSlaPolicy(count=99, durationSecs=0))
COORDINATOR = api.SlaPolicy(coordinatorSlaPolicy=api.CoordinatorSlaPolicy(coordinatorUrl="http://x"))


@pytest.mark.parametrize(
    ("policy", "moved"), [(COUNT, 1), (PERCENTAGE, 1), (GREEDY, 1), (COORDINATOR, 0), (None, 3)]
)
def test_a_gentle_drain_keeps_what_was_promised(bench: MakeBench, policy: Any, moved: int) -> None:
    b = bench(quotas={"www": (9.0, 9999, 9999)}, sla_min_instances=2)
    b.created(instances=3, tier="preferred")
    b.run()
    answer = b.ok("slaDrainHosts", hosts=hosts("node1"), defaultSlaPolicy=policy, timeoutSecs=600)
    assert modes(answer) == {"node1": "DRAINING"}
    assert [t.status.name for t in b.active()] == ["RUNNING"] * 3
    b.clock.advance(61)
    assert [t.status.name for t in b.active()].count("DRAINING") == moved
    b.clock.advance(560)
    assert [t.status.name for t in b.of()].count("RUNNING") == 0


def test_a_job_that_is_small_or_not_production_has_nothing_to_keep(bench: MakeBench) -> None:
    b = bench(sla_min_instances=2)
    b.created(instances=3)
    b.run()
    b.ok("slaDrainHosts", hosts=hosts("node1"), defaultSlaPolicy=COUNT, timeoutSecs=600)
    b.clock.advance(61)
    assert {t.status.name for t in b.active()} == {"DRAINING"}


@pytest.mark.parametrize(
    ("policy", "instances", "text"),
    [
        (COUNT, 19, "Job with fewer than 20 instances cannot have Percentage/Count SlaPolicy."),
        (
            api.SlaPolicy(countSlaPolicy=api.CountSlaPolicy(count=20, durationSecs=1)),
            20,
            "Current CountSlaPolicy: count=20 will not allow any instances to be killed. Must be less than "
            "instanceCount=20.",
        ),
        (
            api.SlaPolicy(percentageSlaPolicy=api.PercentageSlaPolicy(percentage=96.0, durationSecs=1)),
            20,
            "Current PercentageSlaPolicy: percentage=96.000000 will not allow any instances to be killed. "
            "Must be less than 95.000000.",
        ),
        (
            api.SlaPolicy(countSlaPolicy=api.CountSlaPolicy(count=1, durationSecs=7201)),
            20,
            "CountSlaPolicy: durationSecs=7201 must be less than cluster-wide maximum of 7200 secs.",
        ),
        (
            api.SlaPolicy(percentageSlaPolicy=api.PercentageSlaPolicy(percentage=95.0, durationSecs=7201)),
            20,
            "PercentageSlaPolicy: durationSecs=7201 must be less than cluster-wide maximum of 7200 secs.",
        ),
    ],
)
def test_policies_that_are_refused(bench: MakeBench, policy: Any, instances: int, text: str) -> None:
    b = bench(quotas={"www": (9.0, 9999, 9999)})
    answer = b.create(job("j", "{}", instances=instances, tier="preferred", slaPolicy=policy))
    assert (code(answer), messages(answer)) == ("INVALID_REQUEST", [text])


# Preemption


def test_production_takes_the_place_of_others_after_a_while(bench: MakeBench) -> None:
    b = bench(quotas={"www": (9.0, 9999, 9999)}, preemption_delay=180.0, preemption_interval=60.0)
    small, large = b.created("small", cpus=0.5)[0], b.created("large", cpus=1.5)[0]
    b.run("small")
    b.run("large")
    b.create(job("prod", "{}", cpus=1, tier="preferred"))
    b.clock.advance(170)
    assert [large.status.name, small.status.name] == ["RUNNING", "RUNNING"]
    b.clock.advance(71)
    (prod,) = b.of("prod")
    assert events(large.struct())[-1] == ("PREEMPTING", f"Preempting in favor of {prod.task_id}")
    assert small.status.name == "RUNNING"
    b.report(large, "KILLED")
    assert prod.status.name == "ASSIGNED"
    (back,) = b.active("large")
    assert (back.status.name, back.ancestor_id) == ("PENDING", large.task_id)


@pytest.mark.parametrize(
    ("running", "waiting", "taken"),
    [
        ({}, {"priority": 1}, True),
        ({"priority": 1}, {"priority": 1}, False),
        ({"tier": "preferred"}, {"priority": 9}, False),
        ({"tier": "preferred"}, {"tier": "preferred", "priority": 1}, True),
        ({"priority": 9}, {"tier": "preferred"}, True),
    ],
)
def test_who_may_preempt_whom(
    bench: MakeBench, running: dict[str, Any], waiting: dict[str, Any], taken: bool
) -> None:
    b = bench(quotas={"www": (9.0, 9999, 9999)})
    (victim,) = b.created("runs", cpus=2, **running)
    b.run("runs")
    b.created("waits", cpus=2, **waiting)
    b.clock.advance(300)
    assert victim.status.name == ("PREEMPTING" if taken else "RUNNING")


def test_nobody_is_preempted_in_vain(bench: MakeBench) -> None:
    b = bench(quotas={"www": (9.0, 9999, 9999)})
    (victim,) = b.created("runs", cpus=2)
    b.run("runs")
    b.created("waits", cpus=3, tier="preferred")
    b.clock.advance(600)
    assert victim.status.name == "RUNNING"


def test_the_table_of_calls_is_that_of_the_handler_and_of_the_api(bench: MakeBench) -> None:
    b = bench()
    assert set(b.handler._methods) == set(METHODS)
    read = {name for name in vars(ReadOnlyScheduler.Iface) if not name.startswith("_")}
    jobs = {name for name in vars(AuroraSchedulerManager.Iface) if not name.startswith("_")}
    admin = {name for name in vars(AuroraAdmin.Iface) if not name.startswith("_")}
    assert {name for name, entry in METHODS.items() if entry.access is Access.READ} == read
    assert {name for name, entry in METHODS.items() if entry.access is Access.JOB} == jobs
    assert {name for name, entry in METHODS.items() if entry.access is Access.ADMIN} == admin
    key = METHODS["addInstances"].job_key
    assert key is not None
    arguments = type("Arguments", (), {"key": api.InstanceKey(jobKey=job_key("j"))})
    assert key(arguments) == job_key("j")
    assert key(type("Arguments", (), {"key": None})) is None
