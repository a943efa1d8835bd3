"""The adapter above a client and a master whose signatures are real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import (
    AlreadyExists,
    InvalidRequest,
    NotReady,
    OutcomeUnknown,
    Unreachable,
)
from airavata_mesos_plugin.gen.aurora import ttypes as t
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.aurora.client import AuroraClient, keys_query
from airavata_mesos_plugin.schedulers.aurora.responses import CallFailed, JobUpdating
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import SandboxAddress, Submission, TaskObservation
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster


def key(name: str, role: str = "www") -> JobKey:
    return JobKey(role, "prod", name)


def document(name: str) -> dict[str, Any]:
    return {
        "role": "www",
        "cluster": "c",
        "environment": "prod",
        "name": name,
        "task": {
            "processes": [{"name": "p", "cmdline": "true"}],
            "resources": {"cpu": 1, "ram": 2**27, "disk": 2**27},
        },
    }


@pytest.fixture
def client(mocker: MockerFixture) -> Any:
    return mocker.create_autospec(AuroraClient, instance=True)


@pytest.fixture
def master(mocker: MockerFixture) -> Any:
    return mocker.create_autospec(MesosMaster, instance=True)


@pytest.fixture
def adapter(client: Any, master: Any) -> Iterator[AuroraScheduler]:
    settings = ClusterSettings(name="c", schedulers=["http://a.invalid"], mesos_masters=["http://m.invalid"])
    made = AuroraScheduler(settings, ManualClock())
    made.client, made.master = client, master
    yield made
    made.close()
    made.close()


def scheduled(job: JobKey) -> Any:
    wire = t.JobKey(role=job.role, environment=job.environment, name=job.name)
    assigned = t.AssignedTask(taskId=f"id-{job.name}", task=t.TaskConfig(job=wire), instanceId=0)
    return t.ScheduledTask(assignedTask=assigned, status=t.ScheduleStatus.RUNNING)


def test_submit_gives_one_result_each_in_order(adapter: AuroraScheduler, client: Any) -> None:
    client.create_job.side_effect = [None, AlreadyExists("taken"), None]
    submissions = [Submission(key(name), document(name)) for name in "abc"]
    submissions.insert(1, Submission(key("x"), document("y")))
    results = adapter.submit(submissions)
    assert [result.key for result in results] == [item.key for item in submissions]
    assert [type(result.error) for result in results] == [
        type(None),
        InvalidRequest,
        AlreadyExists,
        type(None),
    ]
    assert client.create_job.call_args.args[0].key == t.JobKey(role="www", environment="prod", name="c")


@pytest.mark.parametrize("error", [Unreachable("away"), OutcomeUnknown("silent"), NotReady("starting")])
def test_submit_stops_sending_when_the_scheduler_is_away(
    adapter: AuroraScheduler, client: Any, error: Exception
) -> None:
    client.create_job.side_effect = [None, error]
    results = adapter.submit([Submission(key(name), document(name)) for name in "abcd"])
    assert [result.error for result in results[:2]] == [None, error]
    for result in results[2:]:
        assert type(result.error) is NotReady
        assert not result.error.outcome_unknown
    assert client.create_job.call_count == 2


def test_trouble_of_one_job_does_not_stop_the_others(adapter: AuroraScheduler, client: Any) -> None:
    client.kill_tasks.side_effect = [JobUpdating("a"), None]
    results = adapter.cancel([key("a"), key("b")], "why")
    assert isinstance(results[0].error, JobUpdating)
    assert results[1].error is None
    client.kill_tasks.assert_called_with(key("b"), "why")


def test_validate_names_the_wrong_member(adapter: AuroraScheduler, client: Any) -> None:
    adapter.validate(document("a"))
    with pytest.raises(InvalidRequest, match="constraint rack="):
        adapter.validate({**document("a"), "constraints": {"rack": ""}})
    with pytest.raises(InvalidRequest, match="task: Field required"):
        adapter.validate({})
    assert not client.mock_calls


def test_poll_makes_one_call_per_role(adapter: AuroraScheduler, client: Any) -> None:
    client.tasks_without_configs.side_effect = lambda keys: [scheduled(job) for job in keys]
    keys = [key("a"), key("b", "other"), key("c"), key("a")]
    found = adapter.poll(keys)
    assert set(found) == set(keys)
    assert found[key("a")].phase is JobPhase.RUNNING
    assert [call.args[0] for call in client.tasks_without_configs.call_args_list] == [
        [key("b", "other")],
        [key("a"), key("c")],
    ]


def test_poll_splits_long_lists(adapter: AuroraScheduler, client: Any) -> None:
    client.tasks_without_configs.side_effect = lambda keys: [scheduled(job) for job in keys]
    keys = [key(f"j{n}") for n in range(2001)]
    assert len(adapter.poll(keys)) == 2001
    assert [len(call.args[0]) for call in client.tasks_without_configs.call_args_list] == [1000, 1000, 1]


def test_poll_asks_nothing_for_nothing(adapter: AuroraScheduler, client: Any) -> None:
    assert adapter.poll([]) == {}
    assert adapter.poll([key("a b"), key("a\n"), key("")]) == {}
    assert not client.mock_calls
    with pytest.raises(ValueError, match="every task"):
        keys_query([])


def test_poll_takes_the_larger_call_when_a_task_has_no_executor(
    adapter: AuroraScheduler, client: Any
) -> None:
    client.tasks_without_configs.side_effect = CallFailed("")
    client.tasks_status.return_value = [scheduled(key("a"))]
    assert key("a") in adapter.poll([key("a")])


def test_cancel_of_an_impossible_name_is_refused_without_a_call(
    adapter: AuroraScheduler, client: Any
) -> None:
    (result,) = adapter.cancel([key("a b")], "")
    assert isinstance(result.error, InvalidRequest)
    assert not client.mock_calls


UUID = "8f0d6a0e-5a5c-4c11-9d27-5a1b9e6f7d10"


def test_pending_reasons_find_their_jobs(adapter: AuroraScheduler, client: Any) -> None:
    client.pending_reasons.return_value = [
        t.PendingReason(taskId=f"www-prod-a-b-0-{UUID}", reason="Insufficient: CPU"),
        t.PendingReason(taskId=f"www-prod-empty-0-{UUID}", reason=""),
        t.PendingReason(taskId=f"www-prod-stranger-0-{UUID}", reason="x"),
        t.PendingReason(taskId="odd", reason="x"),
        t.PendingReason(taskId=f"www-prod-x-1-0-{UUID}", reason="whose?"),
    ]
    keys = [key("a.b"), key("empty"), key("x.1"), key("x-1")]
    assert adapter.pending_reasons(keys) == {key("a.b"): "Insufficient: CPU"}
    client.pending_reasons.assert_called_once()


def observation(name: str, agent: str) -> TaskObservation:
    return TaskObservation(key(name), f"id-{name}", "RUNNING", JobPhase.RUNNING, 0, 0.0, agent_id=agent)


def test_sandboxes_of_tasks_on_known_agents(adapter: AuroraScheduler, master: Any) -> None:
    master.agent_url.side_effect = {"s1": "http://n1:5051", "gone": None}.get
    master.framework_id.return_value = "f-1"
    found = adapter.sandboxes([observation("a", "s1"), observation("b", ""), observation("c", "gone")])
    path = "/frameworks/f-1/executors/thermos-id-a/runs/latest/sandbox"
    assert found == {key("a"): SandboxAddress("http://n1:5051", path)}
