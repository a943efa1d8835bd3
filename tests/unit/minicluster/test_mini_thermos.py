"""Reading a task's JSON, binding its templates, and planning its processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airavata_mesos_plugin.minicluster.executor.config import Context, Process, Refused, load
from airavata_mesos_plugin.minicluster.executor.plan import MAX_RUNS, InvalidPlan, Plan, split_orders

UNREADABLE = "Could not deserialize thermos config: "
CONTEXT = Context("task-1", "www", 3, "node1", {"http": 31005, "web-admin": 31006})


def data(cmdline: str = "true", job: dict[str, Any] | None = None, **task: Any) -> str:
    members = {"processes": [{"name": "main", "cmdline": cmdline}], **task}
    return json.dumps({"role": "www", "environment": "devel", "cluster": "c", "task": members, **(job or {})})


def refused(text: str | None) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        load(text, CONTEXT)
    return caught.value.state, caught.value.message


def bound(cmdline: str, **members: Any) -> str:
    return load(data(cmdline, **members), CONTEXT).processes[0].cmdline


def test_the_smallest_task_gets_its_defaults() -> None:
    task = load(data(), CONTEXT)
    assert (task.name, task.max_failures, task.max_concurrency, task.finalization_wait) == ("main", 1, 0, 30)
    (main,) = task.processes
    assert (main.max_failures, main.daemon, main.ephemeral, main.min_duration, main.final) == (
        1,
        False,
        False,
        5,
        False,
    )


def test_the_older_task_instance_form() -> None:
    task = load(data("echo {{mesos.instance}}", job={"instance": 3}), CONTEXT)
    assert task.processes[0].cmdline == "echo 3"


def test_numbers_may_be_texts_and_unknown_members_outside_lists_are_dropped() -> None:
    task = load(data(finalization_wait="7", max_failures="2", surprise=1, job={"more": 1}), CONTEXT)
    assert (task.finalization_wait, task.max_failures) == (7, 2)


@pytest.mark.parametrize(
    ("logger", "rotation"),
    [
        ({}, None),
        ({"mode": "standard", "rotate": {"log_size": 5}}, None),
        ({"mode": "rotate"}, (104857600, 5)),
        ({"mode": "rotate", "rotate": {"log_size": "2000", "backups": 0}}, (2000, 0)),
    ],
)
def test_rotation_of_logs(logger: dict[str, Any], rotation: tuple[int, int] | None) -> None:
    task = load(data(processes=[{"name": "a", "cmdline": "b", "logger": logger}]), CONTEXT)
    assert task.processes[0].rotation == rotation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{mesos.instance}} {{mesos.hostname}}", "3 node1"),
        ("{{thermos.task_id}}/{{thermos.user}}", "task-1/www"),
        ("{{thermos.ports[http]}} {{thermos.ports[web-admin]}}", "31005 31006"),
        ("{{name}} {{role}}/{{environment}} {{cluster}}", "main www/devel c"),
        ("{{task.name}} {{processes[0].name}}", "main main"),
        ("{} {{}} { {x} } }} {{", "{} {{}} { {x} } }} {{"),
        ("awk '{print $1}' ${HOME}", "awk '{print $1}' ${HOME}"),
    ],
)
def test_templates(text: str, expected: str) -> None:
    assert bound(text) == expected


def test_templates_in_other_members_and_values_that_are_templates() -> None:
    assert bound("{{own}}", own="at {{thermos.user}}") == "at www"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{nobody}}", "Got invalid task: Unexpected unbound refs: {{nobody}}"),
        ("{{mesos.role}} {{b}}", "Got invalid task: Unexpected unbound refs: {{b}} {{mesos.role}}"),
        ("{{ blank }}", "Task initialization failed: Invalid reference: {{ blank }}"),
        ("{{a{{b}}", "Task initialization failed: Invalid reference: {{a{{b}}"),
        ("{{name}}", None),
        ("{{&later}}", "Thermos received an invalid task."),
        ("{{cmdline}}", "Got invalid task: Unexpected unbound refs: {{cmdline}}"),
    ],
)
def test_templates_that_cannot_be_bound(text: str, message: str | None) -> None:
    if message is None:
        assert bound(text) == "main"
    else:
        assert refused(data(text)) == ("TASK_FAILED", message)


def test_a_port_without_assignment_is_an_internal_error() -> None:
    assert refused(data("{{thermos.ports[other]}}")) == ("TASK_LOST", "Thermos failed with internal error.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "Task did not have a thermos config!"),
        ("", "Task did not have a thermos config!"),
        ("{not json", UNREADABLE),
        ("[]", f"{UNREADABLE}the configuration must be an object"),
        ("{}", f"{UNREADABLE}role is required"),
        ('{"role":"a","environment":"b"}', f"{UNREADABLE}task must be an object"),
        (data(max_failures="many"), f"{UNREADABLE}max_failures of the task must be an integer"),
        (data(processes=[]), "Thermos received an invalid task."),
        (data(processes="x"), f"{UNREADABLE}processes must be a list"),
        (data(processes=[{"name": "a"}]), f"{UNREADABLE}cmdline of process a is required"),
        (data(processes=[{"cmdline": "a"}]), f"{UNREADABLE}name of process 0 is required"),
        (
            data(processes=[{"name": "a", "cmdline": "b", "color": "red"}]),
            f"{UNREADABLE}process 0 has unknown members: color",
        ),
        (data(processes=[{"name": "a", "cmdline": "b"}] * 2), "Thermos received an invalid task."),
        (data(processes=[{"name": "../a", "cmdline": "b"}]), "Thermos received an invalid task."),
        (data(processes=[{"name": "", "cmdline": "b"}]), "Thermos received an invalid task."),
        (
            data(processes=[{"name": "a", "cmdline": "b", "daemon": "perhaps"}]),
            f"{UNREADABLE}daemon of process a must be a boolean",
        ),
        (
            data(processes=[{"name": "a", "cmdline": "b", "logger": {"destination": "paper"}}]),
            f"{UNREADABLE}logger destination of process a must be one of",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_fails_the_task(text: str | None, message: str) -> None:
    state, told = refused(text)
    assert state == "TASK_FAILED"
    assert told.startswith(message)


def processes(*names: str, **members: Any) -> list[Process]:
    return [Process(name, "true", **members) for name in names]


def run(plan: Plan, name: str, code: int, now: float = 0.0) -> str:
    plan.started(name)
    return plan.ended(name, code, now)


def test_order_is_followed() -> None:
    plan = Plan(processes("a", "b", "c"), [["a", "b"]])
    assert plan.runnable(0) == ["a", "c"]
    plan.started("a")
    assert plan.runnable(0) == ["c"]
    plan.ended("a", 0, 0)
    assert plan.runnable(0) == ["b", "c"]
    run(plan, "b", 0)
    run(plan, "c", 0)
    assert (plan.finished, plan.healthy, plan.runnable(0)) == (True, True, [])


def test_concurrency_is_limited() -> None:
    plan = Plan(processes("a", "b", "c"), [], max_concurrency=2)
    assert plan.runnable(0) == ["a", "b"]
    plan.started("a")
    assert plan.runnable(0) == ["b"]


def test_retries_wait_and_then_the_process_has_failed() -> None:
    plan = Plan(processes("a", max_failures=2, min_duration=5), [])
    assert run(plan, "a", 1, now=10.0) == "FAILED"
    assert (plan.healthy, plan.runnable(12.0), plan.wait(12.0)) == (True, [], 3.0)
    assert plan.runnable(15.0) == ["a"]
    assert plan.started("a") == 1
    plan.ended("a", 1, 16.0)
    assert (plan.finished, plan.healthy, plan.wait(16.0)) == (True, False, None)


def test_death_by_signal_is_no_failure_until_the_runs_are_used_up() -> None:
    plan = Plan(processes("a", min_duration=0), [])
    for number in range(MAX_RUNS):
        assert plan.healthy, number
        assert run(plan, "a", -9) == "KILLED"
    assert not plan.healthy


def test_zero_failures_means_no_limit_but_the_runs() -> None:
    plan = Plan(processes("a", max_failures=0, min_duration=0), [])
    for _ in range(MAX_RUNS - 1):
        run(plan, "a", 1)
    assert plan.runnable(0) == ["a"]
    run(plan, "a", 1)
    assert not plan.healthy


def test_task_failures_are_counted_over_processes() -> None:
    plan = Plan(processes("a", "b", "c"), [], max_failures=2)
    run(plan, "a", 1)
    assert plan.healthy
    run(plan, "b", 1)
    assert not plan.healthy
    forgiving = Plan(processes("a", "b"), [], max_failures=0)
    run(forgiving, "a", 1)
    run(forgiving, "b", 1)
    assert (forgiving.finished, forgiving.healthy) == (True, True)


def test_a_failed_dependency_leaves_nothing_to_run() -> None:
    plan = Plan(processes("a", "b"), [["a", "b"]], max_failures=0)
    run(plan, "a", 1)
    assert (plan.finished, plan.healthy) == (False, False)


def test_daemons_run_again_and_ephemerals_are_not_waited_for() -> None:
    daemon = Plan(processes("a", daemon=True, min_duration=0), [])
    run(daemon, "a", 0)
    assert (daemon.finished, daemon.runnable(0)) == (False, ["a"])
    mixed = Plan([*processes("a"), *processes("side", ephemeral=True)], [])
    mixed.started("side")
    run(mixed, "a", 0)
    assert mixed.finished
    mixed.ended("side", 1, 0)
    assert mixed.healthy


@pytest.mark.parametrize(
    ("found", "orders"),
    [
        (processes("a", "b"), [["a", "b"], ["b", "a"]]),
        (processes("a", "b", daemon=True), [["a", "b"]]),
        ([*processes("a", ephemeral=True), *processes("b")], [["a", "b"]]),
        (processes("a"), [["a", "a"]]),
    ],
)
def test_orders_that_cannot_be_followed(found: list[Process], orders: list[list[str]]) -> None:
    with pytest.raises(InvalidPlan):
        Plan(found, orders)


def test_orders_are_split_and_must_not_mix() -> None:
    found = [*processes("a", "b"), *processes("z", final=True)]
    assert split_orders(found, [["a", "b"], ["z"], ["unknown", "names"]]) == ([["a", "b"]], [["z"]])
    for order in (["a", "z"], ["a", "unknown"]):
        with pytest.raises(InvalidPlan):
            split_orders(found, [order])
