"""Updates from start to end, with agents that answer by hand and time that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import events, job, job_key
from airavata_mesos_plugin.minicluster.scheduler.updates.machine import ACTIVE, TRANSITIONS, UpdateStatus
from airavata_mesos_plugin.minicluster.scheduler.updates.plan import Portions
from tests.unit.minicluster.bench import Bench, code, messages

MakeBench = Callable[..., Bench]

ALLOWED = {
    "ROLLING_FORWARD": "ROLLING_BACK ROLL_FORWARD_PAUSED ROLL_FORWARD_AWAITING_PULSE ROLLED_FORWARD ABORTED "
    "FAILED ERROR",
    "ROLLING_BACK": "ROLL_BACK_PAUSED ROLL_BACK_AWAITING_PULSE ROLLED_BACK ABORTED ERROR FAILED",
    "ROLL_FORWARD_PAUSED": "ROLLING_BACK ROLLING_FORWARD ROLL_FORWARD_AWAITING_PULSE ABORTED ERROR",
    "ROLL_BACK_PAUSED": "ROLLING_BACK ROLL_BACK_AWAITING_PULSE ABORTED ERROR",
    "ROLL_FORWARD_AWAITING_PULSE": "ROLLING_BACK ROLLING_FORWARD ROLL_FORWARD_PAUSED ABORTED ERROR",
    "ROLL_BACK_AWAITING_PULSE": "ROLLING_BACK ROLL_BACK_PAUSED ABORTED ERROR",
}
PROTOTYPE: dict[str, Any] = {
    "updateGroupSize": 1,
    "maxPerInstanceFailures": 0,
    "maxFailedInstances": 0,
    "minWaitInInstanceRunningMs": 0,
    "rollbackOnFailure": True,
    "waitForBatchCompletion": False,
}


def config(version: str, **task: Any) -> Any:
    metadata = frozenset({api.Metadata(key="version", value=version)})
    return job("j", "{}", **{"isService": True, "cpus": 0.1, "metadata": metadata, **task}).taskConfig


def request(version: str = "2", count: int = 3, **settings: Any) -> Any:
    task = settings.pop("task", {})
    return api.JobUpdateRequest(
        taskConfig=config(version, **task),
        instanceCount=count,
        settings=api.JobUpdateSettings(**{**PROTOTYPE, **settings}),
        metadata=frozenset({api.Metadata(key="ticket", value="7")}),
    )


def start(b: Bench, *args: Any, **settings: Any) -> Any:
    return b.call("startJobUpdate", request=request(*args, **settings), message="go")


def service(b: Bench, count: int = 3) -> None:
    made = job("j", "{}", instances=count)
    assert code(b.create(api.JobConfiguration(**{**made.__dict__, "taskConfig": config("1")}))) == "OK"
    b.clock.advance(0.1)
    b.run()


def details(b: Bench) -> Any:
    query = api.JobUpdateQuery(jobKey=job_key("j"))
    found = b.ok("getJobUpdateDetails", key=None, query=query).result.getJobUpdateDetailsResult
    return found.detailsList[0]


def status(b: Bench) -> str:
    return UpdateStatus(details(b).update.summary.state.status).name


def versions(b: Bench) -> dict[int, str]:
    """Version of each active instance; a small `k` behind it while it is being killed."""
    return {
        t.instance: next(iter(t.config.metadata)).value + ("k" if t.status.name == "KILLING" else "")
        for t in b.active()
    }


def settle(b: Bench, rounds: int = 1) -> None:
    for _ in range(rounds):
        b.kills_take_effect()
        b.clock.advance(0.05)
        b.run()
        b.clock.advance(0.05)


def steer(b: Bench, call: str, message: str | None = None) -> Any:
    return b.call(call, key=details(b).update.summary.key, message=message)


@pytest.mark.parametrize(("before", "to"), list(product(UpdateStatus, UpdateStatus)))
def test_the_table_of_states(before: UpdateStatus, to: UpdateStatus) -> None:
    assert (to in TRANSITIONS[before]) == (to.name in ALLOWED.get(before.name, "").split())


def test_the_numbers_are_those_of_the_api() -> None:
    assert {s.name: int(s) for s in UpdateStatus} == dict(api.JobUpdateStatus._NAMES_TO_VALUES)
    assert {s.name for s in ACTIVE} == set(ALLOWED)


def test_a_queue_moves_one_instance_at_a_time(bench: MakeBench) -> None:
    b = bench()
    service(b)
    answer = start(b)
    result = answer.result.startJobUpdateResult
    assert (code(answer), result.updateSummary.state, result.key.job) == ("OK", None, job_key("j"))
    b.clock.advance(0.01)
    seen = []
    for _ in range(3):
        seen.append(versions(b))
        settle(b)
    assert seen == [
        {0: "1k", 1: "1", 2: "1"},
        {0: "2", 1: "1k", 2: "1"},
        {0: "2", 1: "2", 2: "1k"},
    ]
    assert (versions(b), status(b)) == ({0: "2", 1: "2", 2: "2"}, "ROLLED_FORWARD")
    told = details(b)
    assert [(e.status, e.user, e.message) for e in told.updateEvents] == [
        (0, "UNSECURE", "go"),
        (4, None, None),
    ]
    assert [(e.instanceId, e.action) for e in told.instanceEvents] == [
        (0, 3), (0, 1), (1, 3), (1, 1), (2, 3), (2, 1),
    ]  # fmt: skip
    killed = next(t for t in b.of() if t.status.name == "KILLED")
    assert ("KILLING", f"Killed for job update {result.key.id}") in events(killed.struct())
    assert told.update.summary.metadata == {api.Metadata(key="ticket", value="7")}
    (before,) = told.update.instructions.initialState
    assert before.instances == {api.Range(first=0, last=2)}
    assert told.update.instructions.desiredState.task.metadata == config("2").metadata


def test_an_update_makes_a_job_grows_and_shrinks_it(bench: MakeBench) -> None:
    b = bench()
    start(b, "1", 2, updateGroupSize=5)
    settle(b)
    assert (versions(b), status(b)) == ({0: "1", 1: "1"}, "ROLLED_FORWARD")
    start(b, "1", 4, updateGroupSize=5)
    settle(b)
    assert (len(versions(b)), status(b)) == (4, "ROLLED_FORWARD")
    start(b, "1", 1, updateGroupSize=5)
    settle(b, 2)
    assert (versions(b), status(b)) == ({0: "1"}, "ROLLED_FORWARD")
    assert details(b).update.instructions.desiredState is None


def test_an_instance_has_to_run_for_a_while(bench: MakeBench) -> None:
    b = bench()
    start(b, "1", 1, minWaitInInstanceRunningMs=10_000)
    settle(b)
    b.clock.advance(9)
    assert status(b) == "ROLLING_FORWARD"
    b.clock.advance(1.1)
    assert status(b) == "ROLLED_FORWARD"


def test_a_batch_waits_for_all_of_it(bench: MakeBench) -> None:
    b = bench()
    service(b, 4)
    strategy = api.JobUpdateStrategy(batchStrategy=api.BatchJobUpdateStrategy(groupSize=2))
    start(b, "2", 4, updateStrategy=strategy)
    b.clock.advance(0.01)
    first, second = (t for t in b.active() if t.status.name == "KILLING")
    b.report(first, "KILLED")
    b.run()
    b.clock.advance(0.1)
    assert versions(b) == {0: "2", 1: "1k", 2: "1", 3: "1"}
    b.report(second, "KILLED")
    b.run()
    b.clock.advance(0.1)
    assert versions(b) == {0: "2", 1: "2", 2: "1k", 3: "1k"}
    settle(b)
    assert status(b) == "ROLLED_FORWARD"


def test_variable_batches_pause_by_themselves(bench: MakeBench) -> None:
    b = bench()
    service(b, 5)
    strategy = api.JobUpdateStrategy(
        varBatchStrategy=api.VariableBatchJobUpdateStrategy(groupSizes=(1, 2), autopauseAfterBatch=True)
    )
    start(b, "2", 5, updateStrategy=strategy)
    b.clock.advance(0.01)
    settle(b, 2)
    assert (sorted(versions(b).values()), status(b)) == (["1"] * 4 + ["2"], "ROLL_FORWARD_PAUSED")
    assert details(b).updateEvents[-1].message == "Update auto paused"
    assert code(steer(b, "resumeJobUpdate")) == "OK"
    settle(b, 2)
    assert (sorted(versions(b).values()), status(b)) == (["1"] * 2 + ["2"] * 3, "ROLL_FORWARD_PAUSED")
    steer(b, "resumeJobUpdate")
    settle(b, 2)
    assert status(b) == "ROLLED_FORWARD"


def test_sizes_of_variable_batches_repeat_the_last() -> None:
    strategy = api.JobUpdateStrategy(varBatchStrategy=api.VariableBatchJobUpdateStrategy(groupSizes=(1, 2)))
    portions = Portions(api.JobUpdateSettings(updateStrategy=strategy))
    assert [portions.room(0, begun) for begun in (0, 1, 3, 5)] == [1, 2, 2, 2]
    assert portions.room(1, 3) == 0


def test_failures_roll_back_in_the_other_order(bench: MakeBench) -> None:
    b = bench(flapping_threshold=0.0)
    service(b)
    start(b)
    b.clock.advance(0.01)
    settle(b)
    b.kills_take_effect()
    b.clock.advance(0.05)
    new = next(t for t in b.active() if t.instance == 1)
    b.report(new, "FAILED")
    b.clock.advance(0.05)
    assert status(b) == "ROLLING_BACK"
    told = details(b)
    assert told.updateEvents[-1].message == "Latest failure: instance 1 exited."
    assert (1, 5) in [(e.instanceId, e.action) for e in told.instanceEvents]
    settle(b, 4)
    assert (versions(b), status(b)) == ({0: "1", 1: "1", 2: "1"}, "ROLLED_BACK")
    back = [e.instanceId for e in details(b).instanceEvents if e.action == 2]
    assert back == [2, 1, 0]


def test_failures_that_are_tolerated(bench: MakeBench) -> None:
    b = bench(flapping_threshold=0.0)
    start(b, "1", 2, maxPerInstanceFailures=1, maxFailedInstances=1, updateGroupSize=1)
    b.clock.advance(0.05)
    for _ in range(2):
        b.report(b.active()[0], "STARTING", "FAILED")
        b.clock.advance(0.05)
    assert status(b) == "ROLLING_FORWARD"
    settle(b)
    assert status(b) == "ROLLED_FORWARD"
    assert [(e.instanceId, e.action) for e in details(b).instanceEvents] == [
        (0, 3), (0, 5), (1, 3), (1, 1),
    ]  # fmt: skip


def test_without_rollback_too_many_failures_are_the_end(bench: MakeBench) -> None:
    b = bench()
    start(b, "1", 2, rollbackOnFailure=False)
    b.clock.advance(0.05)
    b.report(b.active()[0], "STARTING", "FAILED")
    b.clock.advance(0.05)
    assert (status(b), details(b).updateEvents[-1].message) == (
        "FAILED", "Latest failure: instance 0 exited.",
    )  # fmt: skip


def test_pause_resume_abort_and_rollback_by_hand(bench: MakeBench) -> None:
    b = bench()
    service(b)
    start(b)
    b.clock.advance(0.01)
    assert code(steer(b, "pauseJobUpdate", "wait")) == "OK"
    assert code(steer(b, "pauseJobUpdate", "again")) == "OK"
    settle(b, 2)
    assert (status(b), len(versions(b))) == ("ROLL_FORWARD_PAUSED", 2)
    assert [(e.status, e.message) for e in details(b).updateEvents] == [(0, "go"), (2, "wait")]
    steer(b, "resumeJobUpdate")
    b.clock.advance(0.05)
    assert versions(b)[0] == "2"
    steer(b, "rollbackJobUpdate")
    settle(b, 4)
    assert (versions(b), status(b)) == ({0: "1", 1: "1", 2: "1"}, "ROLLED_BACK")
    refused = steer(b, "pauseJobUpdate")
    assert code(refused) == "INVALID_REQUEST"
    assert messages(refused)[0] == "Cannot transition update from ROLLED_BACK to ROLL_FORWARD_PAUSED"
    start(b)
    b.clock.advance(0.01)
    steer(b, "abortJobUpdate", "enough")
    settle(b, 2)
    assert status(b) == "ABORTED"
    assert sorted(versions(b)) == [1, 2]


def test_pulses(bench: MakeBench) -> None:
    b = bench()
    service(b)
    start(b, "2", 3, blockIfNoPulsesAfterMs=10_000, minWaitInInstanceRunningMs=4000)
    b.clock.advance(1)
    assert (status(b), set(versions(b).values())) == ("ROLL_FORWARD_AWAITING_PULSE", {"1"})
    key = details(b).update.summary.key
    pulse = b.ok("pulseJobUpdate", key=key).result.pulseJobUpdateResult.status
    assert (pulse, status(b)) == (api.JobUpdatePulseStatus.OK, "ROLLING_FORWARD")
    settle(b)
    b.clock.advance(4)
    settle(b)
    b.clock.advance(6)
    assert status(b) == "ROLL_FORWARD_AWAITING_PULSE"
    assert details(b).updateEvents[-1].message == "Pulses from external service have timed out."
    for _ in range(4):
        b.ok("pulseJobUpdate", key=key)
        settle(b)
        b.clock.advance(5)
    assert status(b) == "ROLLED_FORWARD"
    for gone in (key, api.JobUpdateKey(job=job_key("other"), id="x")):
        answer = b.ok("pulseJobUpdate", key=gone).result.pulseJobUpdateResult.status
        assert answer == api.JobUpdatePulseStatus.FINISHED
    for bad in (None, api.JobUpdateKey(job=job_key("j"), id=" "), api.JobUpdateKey(job=api.JobKey(), id="x")):
        assert code(b.call("pulseJobUpdate", key=bad)) == "ERROR"


SLA = api.SlaPolicy(countSlaPolicy=api.CountSlaPolicy(count=1, durationSecs=0))


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (request(task={"isService": False}), "Updates are not supported for non-service tasks."),
        (
            request(updateStrategy=api.JobUpdateStrategy(
                varBatchStrategy=api.VariableBatchJobUpdateStrategy(groupSizes=(1, 0)))),
            "All update group sizes must be positive.",
        ),
        (request(updateGroupSize=0), "Update results in no instance being modified."),
        (request(maxPerInstanceFailures=-1), "maxPerInstanceFailures must be non-negative."),
        (request(maxFailedInstances=-1), "maxFailedInstances must be non-negative."),
        (
            request(maxPerInstanceFailures=10_000),
            "Your update allows too many failures to occur, consider decreasing the per-instance failures or "
            "maxFailedInstances.",
        ),
        (request(minWaitInInstanceRunningMs=-1), "minWaitInInstanceRunningMs must be non-negative."),
        (request(blockIfNoPulsesAfterMs=-1), "blockIfNoPulsesAfterMs must be positive."),
        (request(slaAware=True), "slaAware is true, but no task slaPolicy is specified."),
        (request(task={"tier": "gold"}), "Invalid tier 'gold' in TaskConfig."),
        (request(task={"slaPolicy": SLA}), "Tier 'preemptible' does not support SlaPolicy."),
        (
            request(updateOnlyTheseInstances=frozenset({api.Range(first=2, last=4)})),
            "The update request attempted to update specific instances, but some are irrelevant to the "
            "update and current job state: [3, 4]",
        ),
        (request(count=5000), "Instance count must be between 1 and 4000 inclusive."),
        (
            request(count=1, task={"tier": "preferred"}),
            "Insufficient resource quota: CPU quota exceeded by 0.10 core(s); RAM quota exceeded by "
            "16.00 MB; disk quota exceeded by 16.00 MB",
        ),
    ],
)  # fmt: skip
def test_requests_that_are_refused(bench: MakeBench, made: Any, text: str) -> None:
    b = bench()
    answer = b.call("startJobUpdate", request=made, message=None)
    assert (code(answer), messages(answer)) == ("INVALID_REQUEST", [text])


@pytest.mark.parametrize(
    "made",
    [None, api.JobUpdateRequest(), api.JobUpdateRequest(taskConfig=config("1"), instanceCount=1)],
)
def test_requests_without_their_parts_are_errors(bench: MakeBench, made: Any) -> None:
    assert code(bench().call("startJobUpdate", request=made, message=None)) == "ERROR"


def test_long_messages_are_errors(bench: MakeBench) -> None:
    b = bench()
    assert code(b.call("startJobUpdate", request=request(), message="x" * 1025)) == "ERROR"
    assert code(b.call("startJobUpdate", request=request(), message="x" * 1024)) == "OK"
    assert code(steer(b, "abortJobUpdate", "x" * 1025)) == "ERROR"


def test_nothing_to_do_and_one_at_a_time(bench: MakeBench) -> None:
    b = bench()
    service(b)
    same = start(b, "1")
    assert (code(same), messages(same), same.result) == (
        "OK", ["Job is unchanged by proposed update."], None,
    )  # fmt: skip
    first = start(b).result.startJobUpdateResult
    second = start(b, "3")
    assert code(second) == "INVALID_REQUEST"
    assert messages(second)[0].startswith("An active update already exists for this job, please terminate")  # type: ignore[union-attr]
    assert second.result.startJobUpdateResult.key == first.key
    assert second.result.startJobUpdateResult.updateSummary.state.status == 0


def test_other_calls_wait_for_the_update(bench: MakeBench) -> None:
    b = bench()
    service(b)
    start(b)
    key = job_key("j")
    for answer in (
        b.call("killTasks", job=key, instances=None, message=None),
        b.call("restartShards", job=key, shardIds=frozenset({0})),
        b.call("addInstances", key=api.InstanceKey(jobKey=key, instanceId=0), count=1),
        b.create(job("j", "{}")),
        b.call("descheduleCronJob", job=key),
    ):
        assert (code(answer), messages(answer)) == ("JOB_UPDATING_ERROR", ["Job is currently updating"])


def test_only_some_instances(bench: MakeBench) -> None:
    b = bench()
    service(b)
    start(b, "2", 3, updateOnlyTheseInstances=frozenset({api.Range(first=1, last=1)}))
    b.clock.advance(0.01)
    settle(b, 2)
    assert (versions(b), status(b)) == ({0: "1", 1: "2", 2: "1"}, "ROLLED_FORWARD")


def test_the_difference_that_an_update_would_make(bench: MakeBench) -> None:
    b = bench()
    service(b)
    diff = b.ok("getJobUpdateDiff", request=request("2", 4)).result.getJobUpdateDiffResult
    spans = {
        name: {(r.first, r.last) for group in getattr(diff, name) for r in group.instances}
        for name in ("add", "remove", "update", "unchanged")
    }
    assert spans == {"add": {(3, 3)}, "remove": set(), "update": {(0, 2)}, "unchanged": set()}
    (group,) = diff.update
    assert next(iter(group.config.metadata)).value == "1"
    diff = b.ok("getJobUpdateDiff", request=request("1", 2)).result.getJobUpdateDiffResult
    assert [{r.first for r in g.instances} for g in diff.remove] == [{2}]
    assert [{(r.first, r.last) for r in g.instances} for g in diff.unchanged] == [{(0, 1)}]


def test_queries_find_updates_newest_first(bench: MakeBench) -> None:
    b = bench()
    for version in ("1", "2", "3"):
        start(b, version, 1)
        settle(b, 3)
        b.clock.advance(1)

    def found(**query: Any) -> list[int]:
        asked = api.JobUpdateQuery(**query)
        result = b.ok("getJobUpdateSummaries", jobUpdateQuery=asked).result.getJobUpdateSummariesResult
        return [summary.state.lastModifiedTimestampMs for summary in result.updateSummaries]

    everything = found()
    assert (len(everything), everything) == (3, sorted(everything, reverse=True))
    assert found(offset=1, limit=1) == everything[1:2]
    assert found(role="nobody") == found(user="alice") == found(updateStatuses=frozenset({8})) == []
    assert (
        found(role="www", user="UNSECURE", updateStatuses=frozenset({4}), jobKey=job_key("j")) == everything
    )
    key = details(b).update.summary.key
    assert found(key=key) == everything[:1]
    told = b.ok("getJobUpdateDetails", key=key, query=None)
    assert told.result.getJobUpdateDetailsResult.details.update.summary.key == key
    assert messages(told) == ["The key argument is deprecated, use the query argument instead"]
    assert messages(b.call("getJobUpdateDetails", key=None, query=None)) == [
        "Either key or query must be set."
    ]
    unknown = api.JobUpdateKey(job=job_key("j"), id="x")
    (text,) = messages(b.call("getJobUpdateDetails", key=unknown, query=None))
    assert str(text).startswith("Invalid update: ")
    (text,) = messages(b.call("abortJobUpdate", key=unknown, message=None))
    assert str(text).startswith("Update does not exist")


def test_history_of_updates_is_pruned(bench: MakeBench) -> None:
    b = bench(update_history_max_per_job=2, update_history_max_age=3600.0)
    for version in ("1", "2", "3"):
        start(b, version, 1)
        settle(b, 3)
    assert len(b.scheduler.updates.all()) == 3
    b.clock.advance(61)
    assert len(b.scheduler.updates.all()) == 2
    b.clock.advance(3600)
    assert b.scheduler.updates.all() == []


def test_an_update_that_keeps_the_sla_waits(bench: MakeBench) -> None:
    b = bench(quotas={"www": (9.0, 9999, 9999)}, sla_min_instances=2, sla_retry_interval=5.0)
    policy = api.SlaPolicy(countSlaPolicy=api.CountSlaPolicy(count=1, durationSecs=60))
    task = {"tier": "preferred", "slaPolicy": policy}
    start(b, "1", 2, updateGroupSize=2, task=task)
    settle(b)
    assert status(b) == "ROLLED_FORWARD"
    start(b, "2", 2, updateGroupSize=2, slaAware=True, task=task)
    b.clock.advance(30)
    assert versions(b) == {0: "1", 1: "1"}
    b.clock.advance(35)
    assert sorted(versions(b).values()) == ["1", "1k"]
