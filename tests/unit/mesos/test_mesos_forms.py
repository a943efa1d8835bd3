"""Job configurations for Mesos: what is refused, what becomes of the rest, and what templates make."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest

from airavata_mesos_plugin.config import ClusterSettings, MesosSettings, QueueSettings
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.schedulers.mesos.agents import agents_of
from airavata_mesos_plugin.schedulers.mesos.explaining import explain
from airavata_mesos_plugin.schedulers.mesos.jobform import parse
from airavata_mesos_plugin.schedulers.mesos.matching import Assignment, Reservation
from airavata_mesos_plugin.schedulers.mesos.taskinfo import (
    attributes_of,
    framework_info,
    offered_of,
    task_info,
    wanted_of,
)
from airavata_mesos_plugin.schedulers.mesos.tracking import TrackedJob
from airavata_mesos_plugin.templating import StageIn, TemplateLibrary, job_context

KEY = JobKey("www", "prod", "job")


def document(**members: Any) -> dict[str, Any]:
    task: dict[str, Any] = {"arguments": ["/bin/true"], "resources": {"cpus": 1, "mem": 10}}
    task.update(members.pop("task", {}))
    return {"role": "www", "environment": "prod", "name": "job", "tasks": [task], **members}


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"extra": 1}, "extra"),
        ({"name": "a/b"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "n" * 250}, "220 characters"),
        ({"role": "r" * 110, "name": "n" * 110}, "220 characters"),
        ({"tasks": []}, "tasks"),
        ({"offer_role": "a b"}, "offer_role"),
        ({"constraints": {"rack": "limit:1"}}, "constraints.rack"),
        ({"constraints": {"rack": "!"}}, "constraints.rack"),
        ({"task": {"arguments": []}}, "tasks.0.arguments"),
        ({"task": {"arguments": ["a\0b"]}}, "tasks.0.arguments.0"),
        ({"task": {"resources": {"cpus": 0, "mem": 1}}}, "tasks.0.resources.cpus"),
        ({"task": {"resources": {"cpus": float("nan"), "mem": 1}}}, "tasks.0.resources.cpus"),
        ({"task": {"resources": {"cpus": 1, "mem": 1, "named": {"gpus": 1}}}}, "gpus"),
        ({"task": {"environment": [{"name": "A=B", "value": ""}]}}, "tasks.0.environment"),
        ({"task": {"container": {"type": "DOCKER"}}}, "docker goes with the type DOCKER"),
        ({"task": {"container": {"type": "MESOS", "docker": {"image": "x"}}}}, "docker goes with"),
        ({"task": {"kill_grace_seconds": -1}}, "tasks.0.kill_grace_seconds"),
        (
            {
                "task": {
                    "container": {"type": "DOCKER", "docker": {"image": "i"}},
                    "resources": {"cpus": 1, "mem": 1, "gpus": 1},
                }
            },
            "Docker's containers get no GPUs",
        ),
    ],
)
def test_mistakes_are_named(members: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match="the job configuration is wrong") as caught:
        parse(document(**members))
    assert said in caught.value.message


def test_a_task_info_has_everything_that_was_asked_for() -> None:
    form = parse(
        document(
            metadata=[{"key": "k", "value": "v"}],
            task={
                "user": "alice",
                "resources": {"cpus": 1, "mem": 10, "ports": 2},
                "environment": [{"name": "A", "value": "b c"}],
                "uris": [{"value": "http://x/y.tar", "cache": True, "output_file": "z.tar"}],
                "container": {"type": "MESOS", "mesos": {"image": {"docker": {"name": "debian"}}}},
                "kill_grace_seconds": 2.5,
                "max_completion_seconds": 60,
            },
        )
    )
    ports = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31001}]}}
    info = task_info(form, 0, "T1", Assignment(KEY, 0, "S1", "host1", (ports,)))
    assert info["task_id"] == {"value": "T1"}
    assert info["resources"] == [ports]
    assert info["command"] == {
        "shell": False,
        "value": "/bin/true",
        "arguments": ["/bin/true"],
        "user": "alice",
        "uris": [{"value": "http://x/y.tar", "cache": True, "output_file": "z.tar"}],
        "environment": {
            "variables": [
                {"name": "A", "value": "b c"},
                {"name": "MESOS_TASK_ID", "value": "T1"},
                {"name": "AIRAVATA_MESOS_NODE", "value": "0"},
                {"name": "AIRAVATA_MESOS_HOST", "value": "host1"},
                {"name": "PORT0", "value": "31000"},
                {"name": "PORT1", "value": "31001"},
            ]
        },
    }
    assert info["kill_policy"] == {"grace_period": {"nanoseconds": 2_500_000_000}}
    assert info["max_completion_time"] == {"nanoseconds": 60_000_000_000}
    assert info["container"]["mesos"]["image"] == {"type": "DOCKER", "docker": {"name": "debian"}}
    assert {"key": "k", "value": "v"} in info["labels"]["labels"]


def test_docker_gets_a_command_that_no_entry_point_swallows() -> None:
    container = {"type": "DOCKER", "docker": {"image": "debian"}}
    form = parse(document(task={"container": container, "arguments": ["/bin/bash", "-c", "echo 'a b'"]}))
    command = task_info(form, 0, "T", Assignment(KEY, 0, "S", "h", ()))["command"]
    assert command["shell"] is True
    assert shlex.split(command["value"]) == ["exec", *form.tasks[0].arguments]
    assert "arguments" not in command


@pytest.mark.parametrize(
    ("container", "image"),
    [
        (None, ""),
        ({"type": "MESOS"}, ""),
        ({"type": "DOCKER", "docker": {"image": "debian"}}, "debian"),
        ({"type": "MESOS", "mesos": {"image": {"docker": {"name": "debian"}}}}, "debian"),
    ],
)
def test_the_image_of_a_job_is_known(container: dict[str, Any] | None, image: str) -> None:
    form = parse(document(task={"container": container}))
    assert form.image == image
    assert wanted_of(TrackedJob(KEY, form, 0.0, 0.0)).image == image


def test_without_a_user_a_task_runs_as_its_role() -> None:
    info = task_info(parse(document()), 0, "T", Assignment(KEY, 0, "S", "h", ()))
    assert info["command"]["user"] == "www"


def test_the_framework_asks_for_what_it_can_do() -> None:
    info = framework_info(
        name="n", user="u", roles=["*"], failover_seconds=5, principal=None, framework_id=None
    )
    assert {one["type"] for one in info["capabilities"]} >= {
        *("PARTITION_AWARE", "MULTI_ROLE", "GPU_RESOURCES", "RESERVATION_REFINEMENT")
    }
    assert info["checkpoint"] is True
    assert "id" not in info
    assert "principal" not in info


def test_attributes_are_read_as_people_write_them() -> None:
    assert attributes_of(
        [
            {"name": "rack", "type": "TEXT", "text": {"value": "r1"}},
            {"name": "rack", "type": "TEXT", "text": {"value": "r2"}},
            {"name": "level", "type": "SCALAR", "scalar": {"value": 3.0}},
            {"name": "range", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 9}]}},
            {"name": "set", "type": "SET", "set": {"item": ["a", "b"]}},
        ]
    ) == {"rack": ("r1", "r2"), "level": ("3",), "range": ("1-9",), "set": ("a", "b")}


def test_an_offer_without_allocation_is_for_everybody() -> None:
    offered = offered_of({"id": {"value": "O"}, "agent_id": {"value": "S"}, "hostname": "h"})
    assert (offered.role, offered.host, offered.resources) == ("*", "h", ())


def agent(
    name: str, cpus: float, used: float = 0, *, reserved: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "id": name,
        "hostname": f"host-{name}",
        "active": True,
        "resources": {"cpus": cpus, "mem": 100, "ports": "[31000-31009, 32000-32000]"},
        "unreserved_resources": {"cpus": cpus, "mem": 100, "ports": "[31000-31009, 32000-32000]"},
        "reserved_resources": reserved or {},
        "used_resources": {"cpus": used, "mem": 0, "ports": "[31000-31003]" if used else ""},
        "attributes": {"rack": "r1", "level": 2.0},
        **more,
    }


def test_agents_are_read_from_the_master() -> None:
    here = agent("A", 4, 1, reserved={"batch": {"cpus": 2}, "others": {"cpus": 8}})
    away = agent("B", 4, active=False)
    (found,) = agents_of([here, away], ["*", "batch"])
    assert (found.total.scalar("cpus"), found.free.scalar("cpus")) == (6000, 5000)
    assert (found.total.port_count(), found.free.port_count()) == (11, 7)
    assert found.place.attributes == {"rack": ("r1",), "level": ("2",)}


def waiting(cpus: float = 1, count: int = 1, **members: Any) -> Any:
    form = document(task={"resources": {"cpus": cpus, "mem": 10}}, **members)
    form["tasks"] = form["tasks"] * count
    job = TrackedJob(JobKey("www", "prod", "job"), parse(form), accepted_at=0, queued_at=0)
    return wanted_of(job)


@pytest.mark.parametrize(
    ("job", "agents", "said"),
    [
        (waiting(), [], "no agent is registered at the Mesos master"),
        (
            waiting(8),
            [agent("A", 4), agent("B", 2)],
            "the largest node has 4 CPUs, the job needs 8",
        ),
        (
            waiting(8),
            [agent("A", 16, 12), agent("B", 8, 7)],
            "the largest free node has 4 CPUs, the job needs 8",
        ),
        (
            waiting(constraints={"rack": "r9"}),
            [agent("A", 4)],
            "no node has what the job asks for: rack=r9",
        ),
        (
            waiting(nodes=["x"], exclude_nodes=["y"]),
            [agent("A", 4)],
            "no node has what the job asks for: one of the nodes x; none of the nodes y",
        ),
        (waiting(4, 3), [agent("A", 4), agent("B", 4)], "2 nodes are large enough, the job needs 3"),
        (
            waiting(4, 2),
            [agent("A", 4), agent("B", 4, 1)],
            "1 free nodes are large enough, the job needs 2",
        ),
        (waiting(), [agent("A", 4)], "waiting for the Mesos master to offer what is free"),
    ],
)
def test_a_job_that_waits_is_told_what_is_missing(job: Any, agents: list[dict[str, Any]], said: str) -> None:
    assert explain(job, agents_of(agents, ["*"])) == said


def test_a_job_that_waits_for_another_is_told_for_which() -> None:
    held = Reservation(JobKey("www", "prod", "large"), "*", frozenset("A"))
    said = explain(waiting(), agents_of([agent("A", 4)], ["*"]), reservations=[held])
    assert said == "the nodes that are free are kept for large, which waits longer"


# Templates


def rendered(template: str = "serial", gpus: int = 0, **queue: Any) -> dict[str, Any]:
    request = JobRequest(
        name="job's name",
        user="alice",
        uid=1000,
        queue="q",
        working_directory="/work",
        resources=Resources(cpus=2, memory_mb=300, disk_mb=400, gpus=gpus),
        wall_time_seconds=60,
    )
    record = JobRecord(
        id=7,
        request=request,
        phase=JobPhase.ACCEPTED,
        cluster="c",
        key=JobKey("www", "prod", "mesos-x-7-1"),
        attempt=1,
        run=0,
        accepted_at=0,
        changed_at=0,
    )
    settings = QueueSettings.model_validate({"name": "q", "cluster": "c", "role": "www", **queue})
    cluster = ClusterSettings(name="c", kind="mesos", mesos_masters=("http://127.0.0.1:1",))
    context = job_context(record, settings, cluster, StageIn("http", "http://127.0.0.1:1/inputs/ticket"))
    return TemplateLibrary().render_job("mesos", template, context)


@pytest.mark.parametrize(
    ("template", "values"),
    [
        *(("serial", {}), ("docker", {"image": "debian:12"}), ("gpu", {}), ("gpu", {"image": "cuda"})),
        ("mpi", {}),
    ],
)
def test_every_template_makes_a_job(template: str, values: dict[str, Any]) -> None:
    form = parse(rendered(template, values=values))
    (task,) = form.tasks
    assert (task.resources.cpus, task.resources.mem, task.resources.disk) == (2, 300, 400)
    assert task.resources.gpus == (1 if template == "gpu" else 0)
    assert (task.user, task.kill_grace_seconds) == ("www", 40)
    assert form.silence_seconds == (60 if template == "mpi" else None)
    assert ("airavata-mesos.id", "7") in [(one.key, one.value) for one in form.metadata]
    assert (task.container is not None) == (template in ("docker", "gpu"))


def test_images_are_for_the_containerizer_that_the_queue_names() -> None:
    docker = parse(rendered("docker", values={"image": "i", "parameters": "cpus=1,rm=true"})).tasks[0]
    assert docker.container is not None
    assert docker.container.docker is not None
    assert [(one.key, one.value) for one in docker.container.docker.parameters] == [
        ("cpus", "1"),
        ("rm", "true"),
    ]
    mesos = parse(rendered("docker", values={"image": "i", "containerizer": "mesos"})).tasks[0]
    assert mesos.container is not None
    assert mesos.container.mesos is not None
    assert mesos.container.mesos.image is not None


def test_a_queue_names_its_role_its_resources_and_its_nodes() -> None:
    over = {"offer_role": "batch", "nodes": ["n1"], "priority": 9}
    form = parse(rendered(mesos=over, constraints={"rack": "r1"}, max_task_failures=3))
    assert (form.offer_role, form.nodes, form.priority) == ("batch", ("n1",), 9)
    assert (form.constraints, form.max_task_failures) == ({"rack": "r1"}, 3)


def test_what_a_queue_says_of_a_task_goes_for_every_task() -> None:
    environment = [{"name": "A", "value": "b"}]
    common = {"resources": {"named": {"licenses": 2}}, "user": None, "environment": environment}
    (task,) = parse(rendered(mesos={"task": common})).tasks
    assert (task.resources.named, task.resources.cpus) == ({"licenses": 2}, 2)
    assert (task.user, task.environment[0].value) == (None, "b")
    with pytest.raises(InvalidRequest, match="task: needs to be an object"):
        parse(rendered(mesos={"task": 5}))


def test_the_command_is_one_that_bash_understands() -> None:
    arguments = parse(rendered()).tasks[0].arguments
    assert arguments[:2] == ("/bin/bash", "-c")
    done = subprocess.run(
        ["/bin/bash", "-n", "-c", arguments[2]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("roles", [[], [""], ["a b"], ["-x"], ["a//b"], ["a*"], ["a", "a"], [".."]])
def test_roles_that_mesos_would_refuse_are_refused(roles: list[str]) -> None:
    with pytest.raises(ValueError, match="roles"):
        MesosSettings.model_validate({"roles": roles})


def test_a_cluster_of_mesos_needs_masters_and_nothing_of_aurora() -> None:
    with pytest.raises(ValueError, match="mesos_masters"):
        ClusterSettings(name="c", kind="mesos")
    with pytest.raises(ValueError, match="kind aurora"):
        ClusterSettings(name="c", kind="mesos", mesos_masters=("http://x:1",), embedded=True)
    made = ClusterSettings(name="c", kind="mesos", mesos_masters=("http://x:1",))
    assert made.mesos.roles == ("*",)
