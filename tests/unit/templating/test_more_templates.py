"""The templates beside serial, and a queue's settings that go over them."""

from __future__ import annotations

from typing import Any

import pytest

from airavata_mesos_plugin.config import QueueSettings, embedded_settings
from airavata_mesos_plugin.errors import ConfigurationError, InvalidRequest
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.schedulers.aurora.conversion import to_thrift
from airavata_mesos_plugin.schedulers.aurora.jobform import parse
from airavata_mesos_plugin.templating import StageIn, TemplateLibrary, job_context, merged

KEY = JobKey("airavata", "prod", "mesos-7-1")


def rendered(template: str, gpus: int = 0, **queue: Any) -> dict[str, Any]:
    settings = QueueSettings(name="q", cluster="embedded", role="airavata", template=template, **queue)
    request = JobRequest(
        name="job",
        user="alice",
        uid=5001,
        queue="q",
        working_directory="/scratch/P1",
        resources=Resources(cpus=2, memory_mb=1000, disk_mb=64, gpus=gpus),
        wall_time_seconds=1800,
    )
    record = JobRecord(
        id=7,
        request=request,
        phase=JobPhase.ACCEPTED,
        cluster="embedded",
        key=KEY,
        attempt=1,
        run=0,
        accepted_at=0,
        changed_at=0,
    )
    context = job_context(
        record, settings, embedded_settings().clusters[0], StageIn("http", "http://h:1/inputs/t")
    )
    return TemplateLibrary().render_job("aurora", template, context)


def wire(document: dict[str, Any], *, cron: bool = False) -> Any:
    return to_thrift(parse(document, cron=cron), KEY, "alice")


def test_service() -> None:
    assert wire(rendered("service")).taskConfig.isService


def test_docker() -> None:
    values = {"image": "registry/app:1", "parameters": "volume=/a:/b,net=host"}
    docker = wire(rendered("docker", values=values)).taskConfig.container.docker
    assert docker.image == "registry/app:1"
    assert {(p.name, p.value) for p in docker.parameters} == {("volume", "/a:/b"), ("net", "host")}
    assert wire(rendered("docker", values={"image": "a"})).taskConfig.container.docker.image == "a"


def test_docker_without_image_says_so() -> None:
    with pytest.raises(ConfigurationError, match="image"):
        rendered("docker")


@pytest.mark.parametrize(
    ("asked", "values", "expected"), [(0, {}, 1), (0, {"gpus": 2}, 2), (4, {"gpus": 2}, 4)]
)
def test_gpu(asked: int, values: dict[str, Any], expected: int) -> None:
    task = wire(rendered("gpu", gpus=asked, values=values)).taskConfig
    assert {r.numGpus for r in task.resources} - {None} == {expected}
    assert task.container.mesos.image is None


def test_gpu_in_an_image() -> None:
    task = wire(rendered("gpu", values={"image": "cuda", "tag": "12"})).taskConfig
    image = task.container.mesos.image.docker
    assert (image.name, image.tag) == ("cuda", "12")


def test_many_instances() -> None:
    document = rendered("many", values={"instances": 5})
    assert wire(document).instanceCount == 5
    assert document["task"]["processes"][1]["cmdline"].startswith(
        "AIRAVATA_MESOS_INSTANCE={{mesos.instance}} "
    )


def test_cron() -> None:
    values = {"command": "echo 'a \"b\"'", "schedule": "0 3 * * *", "collision_policy": "CANCEL_NEW"}
    document = rendered("cron", values=values)
    entry = wire(document, cron=True)
    assert (entry.cronSchedule, entry.cronCollisionPolicy) == ("0 3 * * *", 1)
    assert [p["cmdline"] for p in document["task"]["processes"]] == ["echo 'a \"b\"'"]
    with pytest.raises(InvalidRequest, match="cron entry is no job"):
        parse(document)
    with pytest.raises(InvalidRequest, match="needs one"):
        parse(rendered("serial"), cron=True)


EVERY_FIELD: dict[str, Any] = {
    "contact": "ops@example.org",
    "service": True,
    "production": True,
    "tier": "preferred",
    "priority": 7,
    "max_task_failures": -1,
    "constraints": {"rack": "r1,r2", "host": "limit:1"},
    "metadata": [{"key": "site", "value": "north"}],
    "announce": {"primary_port": "http"},
    "health_check_config": {"health_checker": {"shell": {"shell_command": "true"}}, "timeout_secs": 3},
    "lifecycle": {"http": {"port": "http"}},
    "task_links": {"web": "http://%host%:%port:http%"},
    "partition_policy": {"reschedule": False, "delay_secs": 60},
    "sla_policy": {"count": 2, "duration_secs": 30},
    "container": {"image": {"name": "a", "tag": "1"}, "volumes": []},
    "mesos_fetcher_uris": [{"value": "http://x/y.tgz", "extract": True, "output_file": "z"}],
    "instances": 3,
    "task": {"finalization_wait": 99, "max_concurrency": 1, "resources": {"disk": 2**30}},
}


def test_every_field_is_reachable_from_the_queue() -> None:
    document = rendered("serial", aurora=EVERY_FIELD)
    configuration = wire(document)
    task = configuration.taskConfig
    assert (task.contactEmail, task.isService, task.production, task.tier) == (
        *("ops@example.org", True),
        *(True, "preferred"),
    )
    assert (task.priority, task.maxTaskFailures, configuration.instanceCount) == (7, -1, 3)
    assert {c.name for c in task.constraints} == {"rack", "host"}
    assert {m.key for m in task.metadata} >= {"site", "airavata-mesos.id"}
    assert dict(task.taskLinks) == EVERY_FIELD["task_links"]
    assert (task.partitionPolicy.reschedule, task.partitionPolicy.delaySecs) == (False, 60)
    assert task.slaPolicy.countSlaPolicy.count == 2
    assert task.container.mesos.image.docker.name == "a"
    (uri,) = task.mesosFetcherUris
    assert (uri.value, uri.extract, uri.cache, uri.outputFile) == ("http://x/y.tgz", True, None, "z")
    assert {r.namedPort for r in task.resources} - {None} == {"http"}
    assert {r.diskMb for r in task.resources} - {None} == {1024}
    assert {r.numCpus for r in task.resources} - {None} == {2}
    assert document["task"]["finalization_wait"] == 99
    assert "mesos_fetcher_uris" not in task.executorConfig.data


@pytest.mark.parametrize(
    ("said", "tier"),
    [({}, "preemptible"), ({"tier": None}, None), ({"tier": None, "production": True}, "preferred")],
)
def test_production_without_a_tier_stays_production(said: dict[str, Any], tier: str | None) -> None:
    assert wire(rendered("serial", aurora=said)).taskConfig.tier == tier


def test_merging() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": None, "e": 3}, "d": [2]}) == {
        "a": {"b": 1, "e": 3},
        "d": [2],
    }


def test_wrong_member_of_the_queue_is_named() -> None:
    with pytest.raises(InvalidRequest, match="colour"):
        wire(rendered("serial", aurora={"colour": "red"}))
