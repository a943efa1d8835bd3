from __future__ import annotations

import json
from typing import Any

import pytest

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.gen.aurora import ttypes as t
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.codec import BINARY, JSON, METHODS, encode
from airavata_mesos_plugin.schedulers.aurora.conversion import constraint, thermos_data, to_thrift
from airavata_mesos_plugin.schedulers.aurora.jobform import parse

KEY = JobKey("www", "prod", "hello")
DOCUMENT: dict[str, Any] = {
    "role": "www",
    "cluster": "c",
    "environment": "prod",
    "name": "hello",
    "instances": 2,
    "tier": "preferred",
    "priority": 7,
    "max_task_failures": 3,
    "contact": "a@example.org",
    "constraints": {"rack": "!a,b", "host": "limit:1"},
    "metadata": [{"key": "k", "value": "v"}, {"key": "k", "value": "w"}],
    "partition_policy": {"reschedule": False, "delay_secs": 5},
    "sla_policy": {"count": 2, "duration_secs": 60},
    "update_config": {"batch_size": 4},
    "task": {
        "processes": [{"name": "p", "cmdline": "serve {{thermos.ports[http]}}"}],
        "resources": {"cpu": 0.5, "ram": 134217728 + 5, "disk": 67108864, "gpu": 1},
    },
}


def convert(**changes: Any) -> Any:
    return to_thrift(parse({**DOCUMENT, **changes}), KEY, "alice")


def test_every_field_arrives() -> None:
    job = convert()
    config = job.taskConfig
    assert job.key == config.job == t.JobKey(role="www", environment="prod", name="hello")
    assert job.owner == config.owner == t.Identity(user="alice")
    assert (job.instanceCount, job.cronSchedule) == (2, None)
    assert (config.isService, config.priority, config.maxTaskFailures) == (False, 7, 3)
    assert (config.tier, config.production, config.contactEmail) == ("preferred", False, "a@example.org")
    assert config.resources == {
        t.Resource(numCpus=0.5),
        t.Resource(ramMb=128),
        t.Resource(diskMb=64),
        t.Resource(numGpus=1),
        t.Resource(namedPort="http"),
    }
    assert config.metadata == {t.Metadata(key="k", value="v"), t.Metadata(key="k", value="w")}
    assert config.partitionPolicy == t.PartitionPolicy(reschedule=False, delaySecs=5)
    assert config.slaPolicy == t.SlaPolicy(countSlaPolicy=t.CountSlaPolicy(count=2, durationSecs=60))
    assert config.container == t.Container(mesos=t.MesosContainer())
    assert {item.name for item in config.constraints} == {"rack", "host"}
    assert config.executorConfig.name == "AuroraExecutor"


def test_executor_data_is_the_whole_form_without_what_may_change() -> None:
    data = json.loads(convert().taskConfig.executorConfig.data)
    assert "instances" not in data
    assert "update_config" not in data
    assert data["task"]["resources"] == {"cpu": 0.5, "ram": 134217733, "disk": 67108864, "gpu": 1}
    assert data["task"]["user"] == "www"
    assert data["task"]["processes"] == [
        {
            "name": "p",
            "cmdline": "serve {{thermos.ports[http]}}",
            "max_failures": 1,
            "daemon": False,
            "ephemeral": False,
            "min_duration": 5,
            "final": False,
        }
    ]
    assert data["task"]["finalization_wait"] == 30
    assert data["health_check_config"]["health_checker"]["http"]["endpoint"] == "/health"
    assert data["lifecycle"]["http"]["port"] == "health"
    assert (data["role"], data["cluster"], data["environment"], data["name"]) == ("www", "c", "prod", "hello")


def test_executor_data_can_be_parsed_again_to_the_same() -> None:
    job = parse(DOCUMENT)
    assert thermos_data(parse(json.loads(thermos_data(job)))) == thermos_data(job)


def test_data_does_not_change_with_the_number_of_instances() -> None:
    assert convert().taskConfig == convert(instances=9, update_config=None).taskConfig


def test_configuration_is_hashable_and_can_be_written() -> None:
    job = convert()
    assert hash(job) == hash(convert())
    for protocol in (BINARY, JSON):
        assert b"AuroraExecutor" in encode(protocol, METHODS["createJob"], {"description": job})


@pytest.mark.parametrize("member", ["role", "environment", "name"])
def test_another_jobs_form_is_refused(member: str) -> None:
    with pytest.raises(InvalidRequest, match="but www/prod/hello is to be submitted"):
        convert(**{member: "other"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", t.ValueConstraint(negated=False, values=frozenset({"a", "b"}))),
        ("!a", t.ValueConstraint(negated=True, values=frozenset({"a"}))),
        ("limit", t.ValueConstraint(negated=False, values=frozenset({"limit"}))),
        ("limit:3", t.LimitConstraint(limit=3)),
    ],
)
def test_constraint_texts(text: str, expected: object) -> None:
    made = constraint("rack", text)
    assert made.name == "rack"
    assert expected in (made.constraint.value, made.constraint.limit)


@pytest.mark.parametrize("text", ["", "!", "a,,b", "limit:", "limit:0", "limit:x", "limit:-1", "limit:²"])
def test_wrong_constraint_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="constraint rack="):
        constraint("rack", text)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"image": "busybox"}, t.DockerContainer(image="busybox", parameters=())),
        (
            {"docker": {"image": "busybox", "parameters": [{"name": "env", "value": "A=1"}]}},
            t.DockerContainer(image="busybox", parameters=(t.DockerParameter(name="env", value="A=1"),)),
        ),
    ],
)
def test_docker_containers(form: dict[str, Any], expected: object) -> None:
    container = convert(container=form).taskConfig.container
    assert container.docker == expected
    assert container.mesos is None


def test_mesos_container_with_image_and_volume() -> None:
    form = {
        "image": {"name": "x", "tag": "1"},
        "volumes": [{"container_path": "/a", "host_path": "/b", "mode": "RO"}],
    }
    mesos = convert(container=form).taskConfig.container.mesos
    assert mesos.image == t.Image(docker=t.DockerImage(name="x", tag="1"))
    assert mesos.volumes == (t.Volume(containerPath="/a", hostPath="/b", mode=t.Mode.RO),)


def test_another_executor_gets_its_own_data() -> None:
    config = convert(executor_config={"name": "other", "data": "as it is"}).taskConfig
    assert config.executorConfig == t.ExecutorConfig(name="other", data="as it is")
