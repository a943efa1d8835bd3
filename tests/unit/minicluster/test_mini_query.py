"""TaskQuery against a plain search, and the store's indexes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import job
from airavata_mesos_plugin.minicluster.scheduler.query import BadQuery, find, page
from airavata_mesos_plugin.minicluster.scheduler.status import TERMINAL_STATES, Status
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task

_USED = [Status.PENDING, Status.RUNNING, Status.FINISHED, Status.FAILED]


def filled() -> tuple[TaskStore, list[Task]]:
    store, tasks = TaskStore(), []
    for number in range(24):
        config = job(f"j{number % 3}", "{}").taskConfig
        role = ("www", "ads")[number % 2]
        config = type(config)(**{**config.__dict__, "job": api.JobKey(role, "devel", f"j{number % 3}")})
        task = Task(f"t{number}", number % 4, config, number)
        store.add(task)
        before, task.status = task.status, _USED[number % 4]
        task.host = f"h{number % 2}" if task.status is not Status.PENDING else None
        store.moved(task, before)
        tasks.append(task)
    return store, tasks


STORE, TASKS = filled()
_names = st.sampled_from(["j0", "j1", "j9"])
_keys = st.builds(api.JobKey, st.sampled_from(["www", "ads"]), st.just("devel"), _names)
_sets = {
    "taskIds": st.frozensets(st.sampled_from(["t1", "t2", "t3", "t23", "nope"])),
    "statuses": st.frozensets(st.sampled_from([int(status) for status in _USED])),
    "slaveHosts": st.frozensets(st.sampled_from(["h0", "h1", "h9"])),
    "instanceIds": st.frozensets(st.integers(0, 5)),
    "jobKeys": st.frozensets(_keys),
    "role": st.sampled_from(["", "www", "ads", "x"]),
    "environment": st.sampled_from(["devel", "prod"]),
    "jobName": st.sampled_from(["j0", "j2", "j9"]),
}


def plain(query: Any) -> set[str]:
    def fits(task: Task) -> bool:
        tests = (
            (query.role, lambda: task.key.role == query.role),
            (query.environment, lambda: task.key.environment == query.environment),
            (query.jobName, lambda: task.key.name == query.jobName),
            (query.taskIds, lambda: task.task_id in query.taskIds),
            (query.statuses, lambda: int(task.status) in query.statuses),
            (query.slaveHosts, lambda: task.host in query.slaveHosts),
            (query.instanceIds, lambda: task.instance in query.instanceIds),
            (query.jobKeys, lambda: api.JobKey(*task.key) in query.jobKeys),
        )
        return all(test() for wanted, test in tests if wanted)

    return {task.task_id for task in TASKS if fits(task)}


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=_sets))
def test_any_query_finds_what_a_plain_search_finds(members: dict[str, Any]) -> None:
    query = api.TaskQuery(**members)
    found = [task.task_id for task in find(STORE, query)]
    assert len(found) == len(set(found))
    assert set(found) == plain(query)


@pytest.mark.parametrize(
    "query",
    [
        api.TaskQuery(jobKeys=frozenset({api.JobKey("a b", "devel", "x")})),
        api.TaskQuery(jobKeys=frozenset({api.JobKey("www", None, "x")})),
        api.TaskQuery(role="www", environment="de vel", jobName="x"),
    ],
)
def test_impossible_keys_are_refused(query: Any) -> None:
    with pytest.raises(BadQuery, match=r"^Invalid job key format: "):
        find(STORE, query)


def test_pages() -> None:
    assert len(page(TASKS, api.TaskQuery(offset=20))) == 4
    assert page(TASKS, api.TaskQuery(offset=3, limit=2)) == TASKS[3:5]
    assert page(TASKS, api.TaskQuery(limit=0)) == TASKS
    assert page(TASKS, api.TaskQuery(offset=99, limit=5)) == []


def test_indexes_are_empty_after_everything_is_removed() -> None:
    store, tasks = filled()
    assert {task.task_id for task in store.ended()} == {
        t.task_id for t in tasks if t.status in TERMINAL_STATES
    }
    for task in tasks:
        store.remove(task)
    assert (len(store), store.jobs(), store.roles(), list(store.active()), list(store.ended())) == (
        0,
        [],
        {},
        [],
        [],
    )
    assert all(not index for index in vars(store).values())
