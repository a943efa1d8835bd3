"""restartShards, addInstances, and what the calls refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import events, job_key
from tests.unit.minicluster.bench import Bench, code, messages

MakeBench = Callable[..., Bench]


def add(b: Bench, instance: int, count: int, name: str = "j") -> Any:
    return b.call("addInstances", key=api.InstanceKey(jobKey=job_key(name), instanceId=instance), count=count)


def restart(b: Bench, *instances: int) -> Any:
    return b.call("restartShards", job=job_key("j"), shardIds=frozenset(instances))


def test_restarted_instances_are_replaced(bench: MakeBench) -> None:
    b = bench()
    b.created(instances=3)
    b.run()
    assert code(restart(b, 0, 2)) == "OK"
    assert [t.status.name for t in b.active()] == ["RESTARTING", "RUNNING", "RESTARTING"]
    assert events(b.active()[0].struct())[-1] == ("RESTARTING", "Restarted by UNSECURE")
    b.kills_take_effect()
    assert [t.status.name for t in b.active()] == ["ASSIGNED", "RUNNING", "ASSIGNED"]
    assert all(t.failures == 0 for t in b.of())


def test_a_restart_needs_every_instance_active(bench: MakeBench) -> None:
    b = bench()
    b.created(instances=2)
    b.run()
    refused = restart(b, 0, 5)
    assert (code(refused), messages(refused)) == ("INVALID_REQUEST", ["Not all requested shards are active."])
    assert [t.status.name for t in b.active()] == ["RUNNING", "RUNNING"]
    blank = restart(b)
    assert (code(blank), messages(blank)) == ("ERROR", ["Argument cannot be blank"])


def test_a_restart_of_a_waiting_task_leaves_it_waiting(bench: MakeBench) -> None:
    b = bench()
    b.created(cpus=100)
    assert code(restart(b, 0)) == "OK"
    assert [t.status.name for t in b.active()] == ["PENDING"]


def test_instances_are_added_behind_the_last_one(bench: MakeBench) -> None:
    b = bench()
    b.created(instances=2)
    b.run()
    assert code(add(b, 1, 2)) == "OK"
    assert [t.instance for t in b.active()] == [0, 1, 2, 3]
    assert len({t.config for t in b.active()}) == 1


@pytest.mark.parametrize(
    ("instance", "count", "text"),
    [
        (0, 0, "Instance count must be positive."),
        (0, -1, "Instance count must be positive."),
        (7, 1, "No active task found for a given instance ID."),
        (0, 5, "Instance count must be between 1 and 5 inclusive."),
    ],
)
def test_additions_that_are_refused(bench: MakeBench, instance: int, count: int, text: str) -> None:
    b = bench(max_instances_per_job=5)
    b.created()
    answer = add(b, instance, count)
    assert (code(answer), messages(answer)) == ("INVALID_REQUEST", [text])
    assert len(b.of()) == 1


def test_additions_need_quota(bench: MakeBench) -> None:
    b = bench(quotas={"www": (0.3, 48, 48)})
    b.created(tier="preferred", instances=2)
    assert messages(add(b, 0, 2)) == [
        "Insufficient resource quota: CPU quota exceeded by 0.10 core(s); RAM quota exceeded by 16.00 MB; "
        "disk quota exceeded by 16.00 MB"
    ]
    assert code(add(b, 0, 1)) == "OK"


@pytest.mark.parametrize("key", [None, api.InstanceKey(), api.InstanceKey(jobKey=api.JobKey(), instanceId=0)])
def test_bad_keys_are_errors(bench: MakeBench, key: Any) -> None:
    answer = bench().call("addInstances", key=key, count=1)
    assert (code(answer), messages(answer)) == ("ERROR", [None])


def test_the_user_of_a_call_stands_in_its_messages(bench: MakeBench) -> None:
    b = bench()
    (task,) = b.created()
    arguments = type("Arguments", (), {"job": job_key("j"), "instances": None, "message": "why"})
    b.handler.call("killTasks", arguments, "alice")
    assert events(task.struct())[-1] == ("KILLING", "Killed by alice.\nwhy")
