from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.schedulers.aurora.jobform import parse
from airavata_mesos_plugin.schedulers.aurora.ports import requested_ports
from airavata_mesos_plugin.schedulers.aurora.references import foreign_reference, port_names

MINIMAL: dict[str, Any] = {
    "role": "www",
    "cluster": "c",
    "environment": "prod",
    "task": {
        "processes": [{"name": "hello", "cmdline": "echo hi"}],
        "resources": {"cpu": 0.5, "ram": 134217728, "disk": 67108864},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The minimal document with one member set; a value of ... removes it."""
    document = copy.deepcopy(MINIMAL)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = document
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def process(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "cmdline": "true", **more}


def planned(processes: list[dict[str, object]], *orders: list[str]) -> dict[str, Any]:
    document = changed("task.processes", processes)
    document["task"]["constraints"] = [{"order": order} for order in orders]
    return document


def test_names_default_to_those_inside() -> None:
    job = parse(MINIMAL)
    assert (job.name, job.task.name) == ("hello", "hello")
    assert parse(changed("name", "other")).name == "other"


def test_the_document_is_left_as_it_was() -> None:
    document = copy.deepcopy(MINIMAL)
    parse(document)
    assert document == MINIMAL


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("role", ..., "role: Field required"),
        ("cluster", ..., "cluster: Field required"),
        ("task", ..., "task: Field required"),
        ("task.resources", ..., "task.resources: Field required"),
        ("task.resources.cpu", ..., "task.resources.cpu: Field required"),
        ("task.processes.0.cmdline", ..., "task.processes.0.cmdline: Field required"),
        ("rolle", "x", "rolle: Extra inputs"),
        ("task.processes.0.cmd", "x", "task.processes.0.cmd: Extra inputs"),
        ("task.processes", [], "task.processes: "),
        ("role", "a/b", "role: "),
        ("role", "a\n", "role: must not end with a newline"),
        ("role", "ü", "role: "),
        ("name", "x" * 256, "name: "),
        ("environment", "", "environment: "),
        ("task.resources.cpu", 0, "task.resources.cpu: "),
        ("task.resources.cpu", float("inf"), "task.resources.cpu: "),
        ("task.resources.cpu", "many", "task.resources.cpu: "),
        ("task.resources.ram", 1000, "task.resources.ram: "),
        ("task.resources.disk", -1, "task.resources.disk: "),
        ("task.resources.gpu", 0.5, "task.resources.gpu: "),
        ("instances", 0, "instances: "),
        ("priority", 2**31, "priority: "),
        ("max_task_failures", -2, "max_task_failures: "),
        ("task.processes.0.name", ".hidden", "task.processes.0.name: "),
        ("task.processes.0.name", "a/b", "task.processes.0.name: "),
        ("task.processes.0.name", "", "task.processes.0.name: "),
        ("task.processes.0.cmdline", "echo {{foo}}", "task.processes.0.cmdline: {{foo}} would be taken"),
        ("task.processes.0.cmdline", "awk '{{print}}'", "task.processes.0.cmdline: {{print}}"),
        ("task.processes.0.cmdline", "a\0b", "task.processes.0.cmdline: holds a character"),
        ("contact", "\ud800", "contact: holds a character"),
        ("contact", "{{role}}@example.org", "contact: {{role}}"),
        ("cron_schedule", "* * * * *", "cron_schedule: "),
        ("container", {"image": {"name": "x"}}, "needs either tag"),
        ("container", {"docker": {"image": "x"}, "image": "y"}, "docker stands alone"),
        ("sla_policy", {"count": 1}, "duration_secs"),
        ("sla_policy", {"count": 1, "percentage": 2, "duration_secs": 3}, "exactly one"),
        ("constraints", {"rack": 1}, "constraints.rack: "),
    ],
)
def test_wrong_members_are_named(path: str, value: object, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(changed(path, value))
    assert said in str(caught.value)


def test_all_wrong_members_are_named_at_once() -> None:
    document = changed("role", "a b")
    document["priority"] = "high"
    with pytest.raises(InvalidRequest, match=r"role: .*priority: "):
        parse(document)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (planned([process("a"), process("a")]), "two processes are called 'a'"),
        (planned([process("a")], ["a", "b"]), "unknown process 'b'"),
        (planned([process("a")], ["x"]), "unknown process 'x'"),
        (planned([process("a"), process("z", final=True)], ["a", "z"]), "mixes regular and final"),
        (planned([process("a"), process("b")], ["a", "b"], ["b", "a"]), "in a circle: a, b"),
        (planned([process("a")], ["a", "a"]), "in a circle: a"),
        (planned([process("d", daemon=True), process("b")], ["d", "b"]), "wait for the daemon 'd'"),
        (planned([process("e", ephemeral=True), process("b")], ["e", "b"]), "which is ephemeral"),
    ],
)
def test_orders_that_cannot_be_kept(document: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(document)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        planned([process("a"), process("b"), process("c")], ["a", "b", "c"], ["a", "c"]),
        planned([process("a"), process("y", final=True), process("z", final=True)], ["y", "z"]),
        planned([process("d", daemon=True), process("b")], ["b", "d"]),
        planned([process("e", ephemeral=True), process("f", ephemeral=True)], ["e", "f"]),
    ],
)
def test_orders_that_can_be_kept(document: dict[str, Any]) -> None:
    assert parse(document).task.constraints


@given(st.permutations(list("abcdef")), st.data())
def test_orders_along_one_line_never_make_a_circle(line: list[str], data: st.DataObject) -> None:
    subsets = st.lists(st.sampled_from(line), unique=True).map(lambda names: sorted(names, key=line.index))
    orders = data.draw(st.lists(subsets, max_size=5))
    parse(planned([process(name) for name in line], *orders))


@pytest.mark.parametrize(
    "text",
    [
        "echo {{mesos.instance}} {{mesos.hostname}} {{thermos.task_id}} {{thermos.user}}",
        "serve {{thermos.ports[http]}}",
        "echo ${HOME} } }} {} { {",
        "a{{mesos.instance}}{b",
    ],
)
def test_known_references_pass(text: str) -> None:
    assert foreign_reference(text) is None
    parse(changed("task.processes.0.cmdline", text))


@pytest.mark.parametrize(
    "text",
    [
        "{{",
        "{{}}",
        "{{ mesos.instance }}",
        "{{&mesos.instance}}",
        "{{{mesos.instance}}}",
        "{{mesos.role}}",
        "{{thermos.ports[{{x}}]}}",
        "{{thermos.ports[]}}",
        "{{{{mesos.instance}}",
    ],
)
def test_other_references_are_found(text: str) -> None:
    assert foreign_reference(f"a {text} b") is not None


@given(st.text(alphabet="{}a.", max_size=12))
def test_no_two_opening_braces_pass_unless_known(text: str) -> None:
    assert (foreign_reference(text) is None) == ("{{" not in text)


def test_ports_are_those_mentioned() -> None:
    assert port_names(["{{thermos.ports[b]}} {{thermos.ports[a]}}", "{{thermos.ports[a]}}"]) == ["a", "b"]
    document = changed("task.processes.0.cmdline", "x {{thermos.ports[http]}} {{mesos.instance}}")
    assert requested_ports(parse(document)) == ["http"]
    assert requested_ports(parse(MINIMAL)) == []


@pytest.mark.parametrize(
    ("announce", "ports"),
    [
        ({}, ["http"]),
        ({"primary_port": "web"}, ["web"]),
        ({"portmap": {"aurora": "{{primary_port}}", "http": "8080"}}, []),
        ({"portmap": {"admin": "stats", "stats": 9000}}, ["http"]),
        ({"portmap": {"http": "https"}}, ["https"]),
    ],
)
def test_announced_ports_are_resolved(announce: dict[str, Any], ports: list[str]) -> None:
    assert requested_ports(parse(changed("announce", announce))) == ports


def test_port_map_in_a_circle_is_refused() -> None:
    job = parse(changed("announce", {"portmap": {"a": "b", "b": "a"}}))
    with pytest.raises(InvalidRequest, match=r"circle: (a -> b -> a|b -> a -> b)"):
        requested_ports(job)
