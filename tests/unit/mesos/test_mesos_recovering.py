"""What is made of a master's word about tasks when our own records are lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.mesos.recovering import FoundFramework, frameworks_in
from airavata_mesos_plugin.schedulers.mesos.tracking import TrackedJob

NAME, PRINCIPAL, NOW = "ours", "us", 1000.0
KEY = JobKey("www", "prod", "mesos-abcd-7-1")
RUNNING = (("TASK_STARTING", 101.0), ("TASK_RUNNING", 102.0))


def labels(key: str = str(KEY), **more: str) -> list[dict[str, str]]:
    said = {"airavata-mesos.key": key, "airavata-mesos.id": "7", **more}
    return [{"key": name, "value": value} for name, value in said.items()]


def task(
    task_id: str = "www.prod.mesos-abcd-7-1.0",
    state: str = "TASK_RUNNING",
    statuses: tuple[tuple[str, float], ...] = RUNNING,
    **members: Any,
) -> dict[str, Any]:
    return {
        "id": task_id,
        "slave_id": "S1",
        "state": state,
        "resources": {"cpus": 2.0, "mem": 64.0, "disk": 128.0, "gpus": 0, "ports": "[1-2]"},
        "labels": labels(),
        "statuses": [{"state": word, "timestamp": at} for word, at in statuses],
        **members,
    }


def framework(*tasks: Any, **members: Any) -> dict[str, Any]:
    return {
        "id": "F1",
        "name": NAME,
        "principal": PRINCIPAL,
        "connected": False,
        "tasks": list(tasks),
        **members,
    }


def state(*frameworks: Any, completed: tuple[Any, ...] = ()) -> dict[str, Any]:
    agents = [{"id": f"S{number}", "hostname": f"host{number}"} for number in range(1, 4)]
    return {"slaves": agents, "frameworks": list(frameworks), "completed_frameworks": list(completed)}


def found(*frameworks: Any, completed: tuple[Any, ...] = ()) -> list[FoundFramework]:
    return frameworks_in(state(*frameworks, completed=completed), NAME, PRINCIPAL, NOW)


def jobs(*tasks: Any, **members: Any) -> tuple[TrackedJob, ...]:
    (one,) = found(framework(*tasks, **members))
    return one.jobs


def job(*tasks: Any, **members: Any) -> TrackedJob:
    (one,) = jobs(*tasks, **members)
    return one


def gang(index: int, number: int = 2, **members: Any) -> dict[str, Any]:
    nodes = labels(**{"airavata-mesos.nodes": str(number)})
    said = {"labels": nodes, "slave_id": f"S{index + 1}", **members}
    return task(f"www.prod.mesos-abcd-7-1.0-{index}", **said)


def test_a_running_task() -> None:
    one = job(task())
    seen = one.observation()
    assert (seen.key, seen.phase, seen.native_state, seen.run) == (KEY, JobPhase.RUNNING, "TASK_RUNNING", 0)
    assert (seen.task_id, seen.agent_id, seen.host) == ("www.prod.mesos-abcd-7-1.0", "S1", "host1")
    assert (seen.queued_at, seen.started_at, seen.changed_at) == (101.0, 102.0, 102.0)
    assert seen.metadata == (("airavata-mesos.id", "7"),)
    amounts = one.form.tasks[0].resources
    assert (amounts.cpus, amounts.mem, amounts.disk) == (2.0, 64.0, 128.0)
    assert (one.framework_id, one.taken_over) == ("F1", True)
    assert one.task_id() == seen.task_id  # what is heard of it is taken for its own
    assert TrackedJob.restored(one.form, one.state()) == one


def test_an_end_that_nobody_has_acknowledged_is_waited_for() -> None:
    one = job(task(state="TASK_FAILED", statuses=(*RUNNING, ("TASK_FAILED", 103.0))))
    assert (one.ended, one.observation().phase) == (None, JobPhase.RUNNING)
    status = {"state": "TASK_FAILED", "reason": "REASON_EXECUTOR_TERMINATED", "message": "gone"}
    assert one.update(one.task_id(), status, 104.0)
    assert one.ended is JobPhase.LOST  # v0 would not have told the reason


def test_a_task_that_was_never_heard_of() -> None:
    one = job(task(state="TASK_STAGING", statuses=()))
    seen = one.observation()
    assert (seen.phase, seen.native_state, seen.queued_at) == (JobPhase.QUEUED, "TASK_STAGING", NOW)


def test_a_task_on_an_agent_that_is_cut_off() -> None:
    lost = task(state="TASK_UNREACHABLE", statuses=(*RUNNING, ("TASK_UNREACHABLE", 110.0)))
    one = job(unreachable_tasks=[lost])
    assert (one.members[0].suspect_since, one.members[0].phase) == (110.0, JobPhase.RUNNING)
    assert one.observation().native_state == "TASK_UNREACHABLE"


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("TASK_FINISHED", JobPhase.COMPLETED),
        ("TASK_FAILED", JobPhase.FAILED),
        ("TASK_KILLED", JobPhase.CANCELLED),
        ("TASK_GONE_BY_OPERATOR", JobPhase.LOST),
        ("TASK_RUNNING", JobPhase.LOST),
        ("TASK_OF_A_LATER_RELEASE", JobPhase.LOST),
    ],
)
def test_a_task_that_is_over(word: str, phase: JobPhase) -> None:
    one = job(completed_tasks=[task(state=word, statuses=(*RUNNING, (word, 120.0)))])
    assert (one.ended, one.observation().phase) == (phase, phase)
    assert (one.observation().agent_id, one.alive()) == ("S1", [])


def test_the_tasks_of_a_framework_that_is_over_have_ended() -> None:
    (one,) = found(completed=(framework(task(), connected=True),))
    assert (one.over, one.jobs[0].ended) == (True, JobPhase.LOST)


def test_the_last_launch_counts() -> None:
    ended = task("www.prod.mesos-abcd-7-1.1", "TASK_DROPPED", (("TASK_DROPPED", 90.0),))
    one = job(task("www.prod.mesos-abcd-7-1.2"), completed_tasks=[ended])
    assert (one.launch, one.ended, one.observation().run) == (2, None, 2)


def test_a_gang_is_one_job() -> None:
    one = job(gang(1), gang(0))
    assert [member.task_id[-2:] for member in one.members] == ["-0", "-1"]
    assert [member.host for member in one.members] == ["host1", "host2"]
    assert len(one.form.tasks) == 2
    assert one.observation().phase is JobPhase.RUNNING
    assert [one.task_id(index) for index in (0, 1)] == [member.task_id for member in one.members]


def test_a_gang_of_which_a_node_has_ended() -> None:
    over = gang(1, state="TASK_FAILED", statuses=(*RUNNING, ("TASK_FAILED", 130.0)))
    one = job(gang(0), completed_tasks=[over])
    assert (one.ended, one.first_end) == (None, 1)
    assert one.others_shall_end(NOW)


def test_a_gang_that_is_over() -> None:
    first = gang(0, state="TASK_FINISHED", statuses=(*RUNNING, ("TASK_FINISHED", 130.0)))
    second = gang(1, state="TASK_KILLED", statuses=(*RUNNING, ("TASK_KILLED", 131.0)))
    one = job(completed_tasks=[second, first])
    assert one.ended is JobPhase.COMPLETED
    alone = job(completed_tasks=[first])
    assert (alone.ended, [member.over for member in alone.members]) == (JobPhase.COMPLETED, [True, True])


def test_a_node_that_the_master_does_not_list_is_asked_for() -> None:
    one = job(gang(0))
    assert one.members[1].task_id == "www.prod.mesos-abcd-7-1.0-1"
    assert (one.members[1].state, one.members[1].suspect_since) == ("TASK_UNKNOWN", NOW)
    assert len(one.alive()) == 2


@pytest.mark.parametrize(
    "changes", [{"name": "theirs"}, {"principal": "them"}, {"principal": None}, {"id": None}, {"id": 7}]
)
def test_other_frameworks_with_the_same_labels(changes: dict[str, Any]) -> None:
    assert found(framework(task(), **changes)) == []


def test_without_authentication_there_is_no_principal() -> None:
    open_one = framework(task())
    del open_one["principal"]
    assert len(frameworks_in(state(open_one), NAME, None, NOW)) == 1
    assert frameworks_in(state(framework(task())), NAME, None, NOW) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": []},
        {"labels": None},
        {"labels": "airavata-mesos.key"},
        {"labels": [{"key": "airavata-mesos.key"}]},
        {"labels": [{"key": "airavata-mesos.key", "value": 7}]},
        {"labels": labels("www/prod")},
        {"labels": labels("www/prod/other")},
        {"labels": labels("www/prod/mesos-abcd-7-1/more")},
        {"labels": labels("//")},
        {"labels": labels(**{"airavata-mesos.nodes": "2"})},
        {"id": "0"},
        {"id": "www.prod.mesos-abcd-7-1"},
        {"id": "www.prod.mesos-abcd-7-1."},
        {"id": "www.prod.mesos-abcd-7-1.0-0"},
        {"id": "www.prod.mesos-abcd-7-1.-1"},
        {"id": "www.prod.mesos-abcd-7-1.\u0661"},
        {"id": "www.prod.mesos-abcd-7-1.0\n"},
        {"id": "www.prod.mesos-abcd-7-1.99999999999"},
        {"id": None},
        {"labels": labels("w w/prod/mesos-abcd-7-1"), "id": "w w.prod.mesos-abcd-7-1.0"},
        {"resources": {"cpus": 1, "mem": float("inf"), "disk": -1, "gpus": 0.5}},
    ],
)
def test_a_task_that_contradicts_itself_is_none_of_ours(changes: dict[str, Any]) -> None:
    assert jobs({**task(), **changes}) == ()


@pytest.mark.parametrize("nodes", ["0", "-1", "4097", "two", "\u0662", "9" * 5000, ""])
@pytest.mark.parametrize("index", ["0", "1", "0-0", "0-1", "0-4097"])
def test_a_gang_of_no_possible_size(nodes: str, index: str) -> None:
    said = labels(**{"airavata-mesos.nodes": nodes})
    assert jobs(task(f"www.prod.mesos-abcd-7-1.{index}", labels=said)) == ()


def test_a_node_beyond_the_gang() -> None:
    assert jobs(gang(2)) == ()


def test_of_two_labels_with_one_name_the_first_counts() -> None:
    said = [*labels(), {"key": "airavata-mesos.id", "value": "8"}]
    assert ("airavata-mesos.id", "7") in job(task(labels=said)).observation().metadata


def test_amounts_that_are_none() -> None:
    amounts = job(task(resources={"cpus": "many", "mem": None, "disk": True})).form.tasks[0].resources
    assert (amounts.cpus, amounts.mem, amounts.disk) == (0.01, 1.0, 0.0)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(part=st.sampled_from(["id", "slave_id", "state", "resources", "labels", "statuses"]), value=_ANYTHING)
def test_nothing_in_a_task_breaks_the_rest(part: str, value: Any) -> None:
    other = task("www.prod.other.0", labels=labels("www/prod/other"))
    assert JobKey("www", "prod", "other") in [one.key for one in jobs({**task(), part: value}, other)]


@given(member=st.sampled_from(["slaves", "frameworks", "completed_frameworks"]), value=_ANYTHING)
def test_nothing_in_the_state_breaks_the_reader(member: str, value: Any) -> None:
    assert len(frameworks_in({**state(framework(task())), member: value}, NAME, PRINCIPAL, NOW)) <= 1
