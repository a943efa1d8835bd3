"""Every call with its arguments on the wire and its result as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TFrozenDict
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import InvalidRequest, NotFound
from airavata_mesos_plugin.gen.aurora import ttypes as t
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.client import AuroraClient, Selection
from airavata_mesos_plugin.schedulers.aurora.codec import METHODS
from airavata_mesos_plugin.schedulers.aurora.conversion import to_thrift
from airavata_mesos_plugin.schedulers.aurora.jobform import parse
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.aurora.updates import (
    Strategy,
    UpdateKey,
    UpdateQuery,
    UpdateSettings,
    as_spans,
)
from airavata_mesos_plugin.schedulers.aurora.views import Amounts, HostMode, RoleSummary
from airavata_mesos_plugin.schedulers.retry import RetryPolicy
from tests.integration.aurora.thrift_server import ThriftServer, ok, refused, serving

KEY = JobKey("www", "prod", "hello")
WIRE = t.JobKey(role="www", environment="prod", name="hello")
UPDATE = UpdateKey(KEY, "u-1")
WIRE_UPDATE = t.JobUpdateKey(job=WIRE, id="u-1")


def configuration(**changes: Any) -> Any:
    document: dict[str, Any] = {
        "role": "www",
        "cluster": "c",
        "environment": "prod",
        "name": "hello",
        "service": True,
        "instances": 3,
        "task": {
            "processes": [{"name": "p", "cmdline": "serve {{thermos.ports[http]}}"}],
            "resources": {"cpu": 1.5, "ram": 2**27, "disk": 2**28},
        },
        **changes,
    }
    return to_thrift(parse(document), KEY, "alice")


CONFIG = configuration()


class Script:
    """Answers by name of the call; anything else is refused."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}

    def __call__(self, name: str, arguments: Any) -> Any:
        answer = self.answers.get(name, refused(t.ResponseCode.ERROR, f"no answer for {name}"))
        return answer(arguments) if callable(answer) else answer


Calls = tuple[AuroraClient, ThriftServer, Script]


@pytest.fixture(params=["binary", "json"])
def calls(request: pytest.FixtureRequest) -> Iterator[Calls]:
    script = Script()
    with serving(script) as server:
        settings = ClusterSettings(
            name="c", schedulers=[server.url], mesos_masters=["http://127.0.0.1:1"], protocol=request.param
        )
        retry = RetryPolicy(attempts=2, first_pause_seconds=0.01)
        adapter = AuroraScheduler(settings, SystemClock(), retry=retry)
        yield adapter.client, server, script
        adapter.close()


def arguments(server: ThriftServer) -> dict[str, Any]:
    """Those of the last call that were set."""
    return {name: value for name, value in vars_of(server.calls[-1][1]).items() if value is not None}


def vars_of(struct: Any) -> dict[str, Any]:
    return {spec[2]: getattr(struct, spec[2]) for spec in struct.thrift_spec if spec is not None}


ORDERS: list[tuple[str, Callable[[AuroraClient], Any], dict[str, Any]]] = [
    ("createJob", lambda c: c.create_job(CONFIG), {"description": CONFIG}),
    ("killTasks", lambda c: c.kill_tasks(KEY, "why"), {"job": WIRE, "message": "why"}),
    (
        "killTasks",
        lambda c: c.kill_tasks(KEY, "why", [1, 2]),
        {"job": WIRE, "message": "why", "instances": frozenset({1, 2})},
    ),
    ("restartShards", lambda c: c.restart(KEY, [0, 2]), {"job": WIRE, "shardIds": frozenset({0, 2})}),
    (
        "addInstances",
        lambda c: c.add_instances(KEY, 1, 4),
        {"key": t.InstanceKey(jobKey=WIRE, instanceId=1), "count": 4},
    ),
    ("scheduleCronJob", lambda c: c.schedule_cron(CONFIG), {"description": CONFIG}),
    ("replaceCronTemplate", lambda c: c.replace_cron(CONFIG), {"config": CONFIG}),
    ("descheduleCronJob", lambda c: c.deschedule_cron(KEY), {"job": WIRE}),
    ("startCronJob", lambda c: c.start_cron(KEY), {"job": WIRE}),
    ("pauseJobUpdate", lambda c: c.updates.pause(UPDATE, "m"), {"key": WIRE_UPDATE, "message": "m"}),
    ("resumeJobUpdate", lambda c: c.updates.resume(UPDATE), {"key": WIRE_UPDATE}),
    ("abortJobUpdate", lambda c: c.updates.abort(UPDATE, "m"), {"key": WIRE_UPDATE, "message": "m"}),
    ("rollbackJobUpdate", lambda c: c.updates.rollback(UPDATE, "m"), {"key": WIRE_UPDATE, "message": "m"}),
    (
        "setQuota",
        lambda c: c.admin.set_quota("www", Amounts(2.5, 1024, 2048)),
        {
            "ownerRole": "www",
            "quota": t.ResourceAggregate(
                resources=frozenset(
                    {t.Resource(numCpus=2.5), t.Resource(ramMb=1024), t.Resource(diskMb=2048)}
                )
            ),
        },
    ),
    (
        "forceTaskState",
        lambda c: c.admin.force_state("task-1", "LOST"),
        {"taskId": "task-1", "status": t.ScheduleStatus.LOST},
    ),
    (
        "triggerExplicitTaskReconciliation",
        lambda c: c.admin.reconcile(50),
        {"settings": t.ExplicitReconciliationSettings(batchSize=50)},
    ),
    ("triggerImplicitTaskReconciliation", lambda c: c.admin.reconcile_all(), {}),
    ("performBackup", lambda c: c.admin.back_up(), {}),
    ("snapshot", lambda c: c.admin.snapshot(), {}),
]


@pytest.mark.parametrize(("name", "call", "expected"), ORDERS, ids=[order[0] for order in ORDERS])
def test_calls_without_result(
    calls: Calls, name: str, call: Callable[[AuroraClient], Any], expected: dict[str, Any]
) -> None:
    client, server, script = calls
    script.answers[name] = ok()
    assert call(client) is None
    assert server.calls[-1][0] == name
    assert arguments(server) == expected


def test_every_call_of_the_table_is_made_by_some_method() -> None:
    made = {name for name, _, _ in ORDERS}
    reads = {name for name in METHODS if name.startswith("get") or name in RESULTS}
    assert made | reads == set(METHODS)


RESULTS = frozenset(
    {
        *("populateJobConfig", "startJobUpdate", "pulseJobUpdate", "listBackups", "pruneTasks"),
        *("startMaintenance", "drainHosts", "slaDrainHosts", "maintenanceStatus", "endMaintenance"),
    }
)


def test_killing_no_instances_kills_nothing(calls: Calls) -> None:
    client, server, _ = calls
    client.kill_tasks(KEY, "why", [])
    assert server.calls == []


def test_reads_of_jobs(calls: Calls) -> None:
    client, server, script = calls
    cron = t.JobConfiguration(
        key=WIRE,
        taskConfig=CONFIG.taskConfig,
        instanceCount=2,
        cronSchedule="0 1 * * *",
        cronCollisionPolicy=t.CronCollisionPolicy.CANCEL_NEW,
    )
    script.answers["getJobs"] = ok(getJobsResult=t.GetJobsResult(configs=frozenset({cron})))
    (job,) = client.jobs("www")
    assert arguments(server) == {"ownerRole": "www"}
    assert (job.key, job.instances, job.cron_schedule, job.cron_collision_policy) == (
        *(KEY, 2),
        *("0 1 * * *", "CANCEL_NEW"),
    )
    assert job.config.amounts == Amounts(1.5, 128, 256, ports=("http",))
    assert (job.config.user, job.config.service, job.config.executor) == ("alice", True, "AuroraExecutor")
    stats = t.JobStats(activeTaskCount=1, finishedTaskCount=2, failedTaskCount=3, pendingTaskCount=4)
    summary = t.JobSummary(job=cron, stats=stats, nextCronRunMs=1500)
    script.answers["getJobSummary"] = ok(jobSummaryResult=t.JobSummaryResult(summaries=frozenset({summary})))
    (counted,) = client.job_summary()
    assert arguments(server) == {}
    assert (counted.pending, counted.active, counted.finished, counted.failed, counted.next_cron_run) == (
        *(4, 1, 2, 3),
        1.5,
    )
    roles = frozenset({t.RoleSummary(role="www", jobCount=1, cronJobCount=2)})
    script.answers["getRoleSummary"] = ok(roleSummaryResult=t.RoleSummaryResult(summaries=roles))
    assert client.role_summary() == [RoleSummary("www", 1, 2)]
    group = t.ConfigGroup(
        config=CONFIG.taskConfig,
        instances=frozenset({t.Range(first=3, last=3), t.Range(first=0, last=1)}),
    )
    script.answers["getConfigSummary"] = ok(
        configSummaryResult=t.ConfigSummaryResult(
            summary=t.ConfigSummary(key=WIRE, groups=frozenset({group}))
        )
    )
    (found,) = client.config_summary(KEY)
    assert found.instances == ((0, 1), (3, 3))
    script.answers["populateJobConfig"] = ok(
        populateJobResult=t.PopulateJobResult(taskConfig=CONFIG.taskConfig)
    )
    assert client.populate(CONFIG).key == KEY


def test_reads_of_tasks(calls: Calls) -> None:
    client, server, script = calls
    task = t.ScheduledTask(
        assignedTask=t.AssignedTask(
            taskId="task-1",
            slaveId="S1",
            slaveHost="agent1",
            task=CONFIG.taskConfig,
            assignedPorts=TFrozenDict({"http": 31000}),
            instanceId=2,
        ),
        status=99,
        failureCount=1,
        timesPartitioned=2,
        taskEvents=[t.TaskEvent(timestamp=1500, status=t.ScheduleStatus.PENDING, message="m", scheduler="s")],
        ancestorId="task-0",
    )
    found = ok(scheduleStatusResult=t.ScheduleStatusResult(tasks=[task]))
    script.answers["getTasksStatus"] = found
    selection = Selection(role="www", states=["RUNNING"], instances=[2], hosts=["agent1"])
    # The server has no answer to the call without configurations, so the other one is made.
    (seen,) = client.tasks(selection)
    assert [name for name, _ in server.calls] == ["getTasksWithoutConfigs", "getTasksStatus"]
    query = arguments(server)["query"]
    assert (query.role, query.statuses, query.instanceIds, query.slaveHosts) == (
        *("www", frozenset({t.ScheduleStatus.RUNNING})),
        *(frozenset({2}), frozenset({"agent1"})),
    )
    assert (seen.task_id, seen.instance, seen.state, seen.active) == ("task-1", 2, "UNKNOWN_99", True)
    assert (seen.host, seen.ports, seen.ancestor, seen.failures) == (
        *("agent1", (("http", 31000),)),
        *("task-0", 1),
    )
    assert [(event.time, event.state, event.message) for event in seen.events] == [(1.5, "PENDING", "m")]
    assert seen.config.data is not None
    reason = frozenset({t.PendingReason(taskId="task-1", reason="Insufficient: CPU")})
    script.answers["getPendingReason"] = ok(getPendingReasonResult=t.GetPendingReasonResult(reasons=reason))
    assert client.why_pending(Selection(keys=[KEY])) == {"task-1": "Insufficient: CPU"}


def test_selection_of_everything_is_refused(calls: Calls) -> None:
    client, server, _ = calls
    with pytest.raises(InvalidRequest, match="every task"):
        client.tasks(Selection(states=["RUNNING"]))
    with pytest.raises(InvalidRequest, match="no state"):
        client.tasks(Selection(role="www", states=["WALKING"]))
    assert server.calls == []


def test_quota_and_tiers(calls: Calls) -> None:
    client, server, script = calls
    part = t.ResourceAggregate(
        resources=frozenset({t.Resource(numCpus=1.0), t.Resource(ramMb=2), t.Resource(diskMb=3)})
    )
    script.answers["getQuota"] = ok(getQuotaResult=t.GetQuotaResult(quota=part, prodSharedConsumption=part))
    quota = client.quota("www")
    assert arguments(server) == {"ownerRole": "www"}
    assert (quota.quota, quota.prod_shared, quota.nonprod_shared) == (
        *(Amounts(1.0, 2, 3), Amounts(1.0, 2, 3)),
        Amounts(),
    )
    tier = t.TierConfig(name="preferred", settings=TFrozenDict({"revocable": "false"}))
    script.answers["getTierConfigs"] = ok(
        getTierConfigResult=t.GetTierConfigResult(defaultTierName="preferred", tiers=frozenset({tier}))
    )
    tiers = client.tiers()
    assert (tiers.default, tiers.tiers) == ("preferred", {"preferred": {"revocable": "false"}})


def test_hosts_go_in_chunks(calls: Calls) -> None:
    client, server, script = calls

    def modes(asked: Any) -> frozenset[Any]:
        return frozenset(t.HostStatus(host=name, mode=3) for name in asked.hosts.hostNames)

    members = {
        "startMaintenance": lambda a: ok(startMaintenanceResult=t.StartMaintenanceResult(statuses=modes(a))),
        "drainHosts": lambda a: ok(drainHostsResult=t.DrainHostsResult(statuses=modes(a))),
        "slaDrainHosts": lambda a: ok(drainHostsResult=t.DrainHostsResult(statuses=modes(a))),
        "maintenanceStatus": lambda a: ok(
            maintenanceStatusResult=t.MaintenanceStatusResult(statuses=modes(a))
        ),
        "endMaintenance": lambda a: ok(endMaintenanceResult=t.EndMaintenanceResult(statuses=modes(a))),
    }
    script.answers.update(members)
    hosts = [f"host{n:04}" for n in range(1200)]
    admin = client.admin
    for call in (admin.start_maintenance, admin.drain, admin.maintenance, admin.end_maintenance):
        before = len(server.calls)
        assert list(call(hosts)) == [HostMode(host, "DRAINING") for host in hosts]
        assert len(server.calls) == before + 3
    assert admin.sla_drain(["a"], timeout_seconds=60, percentage=80.0, duration_seconds=10)
    sent = arguments(server)
    assert (sent["timeoutSecs"], sent["defaultSlaPolicy"].percentageSlaPolicy.percentage) == (60, 80.0)
    assert admin.drain([]) == []


def test_backups_and_pruning(calls: Calls) -> None:
    client, server, script = calls
    script.answers["listBackups"] = ok(listBackupsResult=t.ListBackupsResult(backups=frozenset({"b", "a"})))
    assert client.admin.backups() == ["a", "b"]
    script.answers["pruneTasks"] = ok()
    client.admin.prune([])  # would mean all of them
    assert [name for name, _ in server.calls] == ["listBackups"]
    client.admin.prune(["t1"])
    assert arguments(server)["query"].taskIds == frozenset({"t1"})
    with pytest.raises(InvalidRequest):
        client.admin.force_state("t1", "DEAD")


def summary(update: str = "u-1", status: int | None = t.JobUpdateStatus.ROLLING_FORWARD) -> Any:
    return t.JobUpdateSummary(
        key=t.JobUpdateKey(job=WIRE, id=update),
        user="alice",
        state=t.JobUpdateState(status=status, createdTimestampMs=1000, lastModifiedTimestampMs=2000),
        metadata=frozenset({t.Metadata(key="k", value="v")}),
    )


@pytest.mark.parametrize(
    ("strategy", "member"),
    [
        (Strategy("queue", (2,)), "queueStrategy"),
        (Strategy("batch", (2,), autopause=True), "batchStrategy"),
        (Strategy("batch", (2, 4)), "varBatchStrategy"),
    ],
)
def test_update_starts(calls: Calls, strategy: Strategy, member: str) -> None:
    client, server, script = calls
    script.answers["startJobUpdate"] = ok(
        startJobUpdateResult=t.StartJobUpdateResult(key=WIRE_UPDATE, updateSummary=summary(status=None))
    )
    settings = UpdateSettings(strategy, watch_seconds=0.5, instances=((0, 1),), pulse_seconds=60)
    started = client.updates.start(CONFIG, settings, "why", {"k": "v"})
    assert started is not None
    assert (started.key, started.status, started.active) == (UPDATE, "", True)
    sent = arguments(server)
    request = sent["request"]
    assert (sent["message"], request.instanceCount, request.taskConfig) == ("why", 3, CONFIG.taskConfig)
    wire = request.settings
    assert getattr(wire.updateStrategy, member) is not None
    # What schedulers before 0.22 read instead.
    assert (wire.updateGroupSize, wire.waitForBatchCompletion) == (2, strategy.kind == "batch")
    assert (wire.minWaitInInstanceRunningMs, wire.blockIfNoPulsesAfterMs) == (500, 60000)
    assert wire.updateOnlyTheseInstances == frozenset({t.Range(first=0, last=1)})


def test_update_that_changes_nothing(calls: Calls) -> None:
    client, _, script = calls
    script.answers["startJobUpdate"] = ok()
    assert client.updates.start(CONFIG, UpdateSettings()) is None


def test_updates_are_read_in_pages(calls: Calls) -> None:
    client, server, script = calls
    many = [summary(f"u-{n}") for n in range(1500)]

    def page(asked: Any) -> Any:
        query = asked.jobUpdateQuery
        some = many[query.offset : query.offset + query.limit]
        result = t.GetJobUpdateSummariesResult(updateSummaries=some)
        return ok(getJobUpdateSummariesResult=result)

    script.answers["getJobUpdateSummaries"] = page
    found = client.updates.summaries(UpdateQuery(role="www", statuses=["ROLLING_FORWARD"]))
    assert [one.key.id for one in found] == [f"u-{n}" for n in range(1500)]
    assert (found[0].created, found[0].modified, found[0].metadata) == (1.0, 2.0, (("k", "v"),))
    assert arguments(server)["jobUpdateQuery"].updateStatuses == frozenset({0})
    with pytest.raises(InvalidRequest, match="no status"):
        client.updates.summaries(UpdateQuery(statuses=["ROLLING"]))


def details(status: int) -> Any:
    instance = t.InstanceTaskConfig(task=CONFIG.taskConfig, instances=frozenset({t.Range(first=0, last=2)}))
    return t.JobUpdateDetails(
        update=t.JobUpdate(
            summary=summary(status=status),
            instructions=t.JobUpdateInstructions(
                initialState=frozenset(), desiredState=instance, settings=t.JobUpdateSettings()
            ),
        ),
        updateEvents=[t.JobUpdateEvent(status=0, timestampMs=1000, user="alice", message="go")],
        instanceEvents=[
            t.JobInstanceUpdateEvent(instanceId=1, timestampMs=3000, action=1),
            t.JobInstanceUpdateEvent(instanceId=1, timestampMs=2000, action=3),
        ],
    )


def test_update_details(calls: Calls) -> None:
    client, _, script = calls
    one = details(t.JobUpdateStatus.ROLLING_FORWARD)

    def new(asked: Any) -> Any:
        assert asked.query.key == WIRE_UPDATE
        return ok(getJobUpdateDetailsResult=t.GetJobUpdateDetailsResult(detailsList=[one]))

    script.answers["getJobUpdateDetails"] = new
    found = client.updates.details(UPDATE)
    assert [event.what for event in found.events] == [
        *("ROLLING_FORWARD", "INSTANCE_UPDATING"),
        "INSTANCE_UPDATED",
    ]
    assert found.done() == (1, 3)

    def old(asked: Any) -> Any:
        # A scheduler before 0.16 does not know the query.
        if asked.key is None:
            return refused(t.ResponseCode.ERROR, "")
        return ok(getJobUpdateDetailsResult=t.GetJobUpdateDetailsResult(details=one))

    script.answers["getJobUpdateDetails"] = old
    assert client.updates.details(UPDATE) == found
    script.answers["getJobUpdateDetails"] = ok(
        getJobUpdateDetailsResult=t.GetJobUpdateDetailsResult(detailsList=[])
    )
    with pytest.raises(NotFound):
        client.updates.details(UPDATE)


def test_pulse_and_diff(calls: Calls) -> None:
    client, _, script = calls
    for status, expected in ((1, True), (2, False)):
        script.answers["pulseJobUpdate"] = ok(pulseJobUpdateResult=t.PulseJobUpdateResult(status=status))
        assert client.updates.pulse(UPDATE) is expected
    group = t.ConfigGroup(config=CONFIG.taskConfig, instances=frozenset({t.Range(first=0, last=2)}))
    script.answers["getJobUpdateDiff"] = ok(
        getJobUpdateDiffResult=t.GetJobUpdateDiffResult(add=frozenset({group}))
    )
    diff = client.updates.diff(CONFIG, UpdateSettings())
    assert [one.instances for one in diff.add] == [((0, 2),)]
    assert diff.remove == ()


def test_calls_that_would_act_twice_are_not_repeated(calls: Calls) -> None:
    client, server, _ = calls
    lost: list[str] = []

    def drop(_headers: Any) -> int:
        lost.append("x")
        return 502

    server.gate = drop
    orders: list[Callable[[], object]] = [
        lambda: client.restart(KEY, [0]),
        lambda: client.add_instances(KEY, 0, 1),
        lambda: client.start_cron(KEY),
        lambda: client.updates.start(CONFIG, UpdateSettings()),
        lambda: client.updates.resume(UPDATE),
    ]
    for call in orders:
        lost.clear()
        with pytest.raises(Exception, match="502"):
            call()
        assert len(lost) == 1
    lost.clear()
    with pytest.raises(Exception, match="502"):
        client.updates.abort(UPDATE)
    assert len(lost) == 2


def test_old_scheduler_gets_the_fields_that_it_demands(calls: Calls) -> None:
    client, server, script = calls

    def create(_asked: Any) -> Any:
        fields = fields_of_task(server.bodies[-1])
        if 8 not in fields:
            return refused(t.ResponseCode.INVALID_REQUEST, "Field numCpus is required.")
        return ok()

    script.answers["createJob"] = create
    client.create_job(CONFIG)
    assert len(server.calls) == 2
    fields = fields_of_task(server.bodies[-1])
    assert {number: fields[number] for number in (8, 9, 10, 21)} == {
        8: 1.5,
        9: 128,
        10: 256,
        21: ["http"],
    }
    # The rest is what it was, and from now on the fields are there at once.
    assert server.calls[0][1] == server.calls[1][1]
    client.create_job(CONFIG)
    assert len(server.calls) == 3


def fields_of_task(body: bytes) -> dict[int, Any]:
    """The fields 8, 9, 10 and 21 of the TaskConfig in a createJob message, read without an IDL."""
    reader = (TJSONProtocol if body[:1] == b"[" else TBinaryProtocol)(TMemoryBuffer(body))
    reader.readMessageBegin()
    found: dict[int, Any] = {}
    readers = {8: reader.readDouble, 9: reader.readI64, 10: reader.readI64}

    def struct(path: tuple[int, ...]) -> None:
        reader.readStructBegin()
        while True:
            _, kind, number = reader.readFieldBegin()
            if kind == 0:
                break
            if path == (1, 6) and number in readers:
                found[number] = readers[number]()
            elif path == (1, 6) and number == 21:
                _, size = reader.readSetBegin()
                found[21] = [reader.readString() for _ in range(size)]
                reader.readSetEnd()
            elif kind == 12 and (*path, number) in ((1,), (1, 6)):
                struct((*path, number))
            else:
                reader.skip(kind)
            reader.readFieldEnd()
        reader.readStructEnd()

    struct(())
    return found


def test_spans() -> None:
    assert as_spans({5, 0, 1, 2, 7, 8}) == ((0, 2), (5, 5), (7, 8))
    assert as_spans(()) == ()
