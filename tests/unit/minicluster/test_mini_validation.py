"""Every rule on a configuration, with its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import job, job_key
from airavata_mesos_plugin.minicluster.scheduler.names import is_identifier
from airavata_mesos_plugin.minicluster.scheduler.normal import EmptyUnion, normalised
from airavata_mesos_plugin.minicluster.scheduler.validation import Invalid, validated_job
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

SETTINGS = ClusterSettings(work_dir=Path("unused"))


def changed(struct: Any, **members: Any) -> Any:
    return type(struct)(**{**struct.__dict__, **members})


def refusal(configuration: Any) -> str:
    with pytest.raises(Invalid) as caught:
        validated_job(configuration, SETTINGS)
    return str(caught.value)


GOOD = job("hello", "{}")
RESOURCES = {api.Resource(numCpus=1.0), api.Resource(ramMb=1), api.Resource(diskMb=1)}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"taskConfig": None}, "Job configuration must have taskConfig set."),
        ({"instanceCount": 0}, "Instance count must be positive."),
        ({"instanceCount": None}, "Instance count must be positive."),
        ({"key": None}, "Job key null is invalid."),
        (
            {"key": api.JobKey(role="www", environment="devel", name="a/b")},
            "Job key IJobKey{role=www, environment=devel, name=a/b} is invalid.",
        ),
        (
            {"key": api.JobKey(role="www", environment="lab", name="x")},
            r"Job environment lab doesn't match: ^(prod|devel|test|staging\d*)$",
        ),
        ({"owner": api.Identity(user="a b")}, "Job user contains illegal characters: a b"),
        ({"owner": api.Identity()}, "Job user contains illegal characters: null"),
    ],
)
def test_rules_of_a_job(members: dict[str, Any], text: str) -> None:
    assert refusal(changed(GOOD, **members)) == text


def _constraint(name: str, **kind: Any) -> Any:
    return frozenset({api.Constraint(name=name, constraint=api.TaskConstraint(**kind))})


def _value(*values: str) -> Any:
    return api.ValueConstraint(negated=False, values=frozenset(values))


DOCKER = api.Container(docker=api.DockerContainer(image="x"))
PARAMETER = api.DockerParameter(name="a", value="b")
DOCKER_WITH_PARAMETERS = api.Container(docker=api.DockerContainer(image="x", parameters=(PARAMETER,)))
VOLUME = api.Volume(containerPath="/a", hostPath="/b", mode=api.Mode.RW)
WITH_VOLUME = api.Container(mesos=api.MesosContainer(volumes=(VOLUME,)))


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"tier": "a b"}, "Tier contains illegal characters: a b"),
        ({"tier": "gold"}, "Invalid tier 'gold' in TaskConfig."),
        ({"job": None}, "Job key null is invalid."),
        ({"executorConfig": None}, "Configuration may not be null."),
        ({"executorConfig": api.ExecutorConfig(data="{}")}, "Executor name may not be left unset."),
        (
            {"executorConfig": api.ExecutorConfig(name="other", data="")},
            "Configuration for executor 'other' doesn't exist.",
        ),
        (
            {"constraints": _constraint("dedicated", limit=api.LimitConstraint(limit=1))},
            "A dedicated constraint must be of value type.",
        ),
        (
            {"constraints": _constraint("dedicated", value=_value("www/a", "www/b"))},
            "A dedicated constraint must have exactly one value",
        ),
        (
            {"constraints": _constraint("dedicated", value=_value("ads/x"))},
            "Only ads may use hosts dedicated for that role.",
        ),
        (
            {"container": api.Container(docker=api.DockerContainer())},
            "A container must specify an image.",
        ),
        (
            {"container": DOCKER_WITH_PARAMETERS},
            "This scheduler is configured to disallow Docker parameters.",
        ),
        (
            {"container": DOCKER, "executorConfig": None},
            "This scheduler is configured to require an executor for Docker-based tasks.",
        ),
        ({"container": DOCKER}, "This scheduler is not configured to allow the container type DOCKER"),
        (
            {"resources": RESOURCES | {api.Resource(ramMb=2), api.Resource(numCpus=2.0)}},
            "Multiple resource values are not supported for CPU, RAM",
        ),
        ({"resources": frozenset()}, "num_cpus must be greater than 0.0"),
        (
            {
                "resources": {
                    api.Resource(numCpus=float("nan")),
                    api.Resource(ramMb=1),
                    api.Resource(diskMb=1),
                }
            },
            "num_cpus must be greater than 0.0",
        ),
        ({"resources": {api.Resource(numCpus=1.0)}}, "ram_mb must be greater than 0.0"),
        (
            {"resources": {api.Resource(numCpus=1.0), api.Resource(ramMb=-1), api.Resource(diskMb=1)}},
            "ram_mb must be greater than 0.0",
        ),
        (
            {"resources": {api.Resource(numCpus=1.0), api.Resource(ramMb=1)}},
            "disk_mb must be greater than 0.0",
        ),
        (
            {"resources": RESOURCES | {api.Resource(numGpus=0)}},
            "GPU resource support is disabled in this cluster.",
        ),
        (
            {"mesosFetcherUris": frozenset({api.MesosFetcherURI(value="http://x")})},
            "Mesos Fetcher for individual jobs is disabled in this cluster.",
        ),
        (
            {"container": WITH_VOLUME},
            "This scheduler is configured to disallow container volumes.",
        ),
    ],
)
def test_rules_of_a_task(members: dict[str, Any], text: str) -> None:
    assert refusal(changed(GOOD, taskConfig=changed(GOOD.taskConfig, **members))) == text


def test_the_first_broken_rule_is_named() -> None:
    task = changed(GOOD.taskConfig, tier="gold", executorConfig=None, resources=frozenset())
    broken = changed(GOOD, taskConfig=task, owner=api.Identity(user="a b"))
    assert refusal(broken) == "Job user contains illegal characters: a b"
    assert refusal(changed(broken, owner=None)) == "Invalid tier 'gold' in TaskConfig."


def test_a_service_cannot_be_cron() -> None:
    task = changed(GOOD.taskConfig, isService=True)
    text = refusal(changed(GOOD, taskConfig=task, cronSchedule="* * * * *"))
    assert text.startswith("A service task may not be run on a cron schedule: ")


def test_defaults_are_filled_in() -> None:
    task = validated_job(
        changed(GOOD, taskConfig=changed(GOOD.taskConfig, production=True)), SETTINGS
    ).taskConfig
    assert (task.tier, task.production, task.isService, task.priority) == ("preemptible", False, False, 0)
    assert (task.constraints, task.metadata, dict(task.taskLinks)) == (frozenset(), frozenset(), {})
    assert task.contactEmail is None
    assert task.partitionPolicy is None
    preferred = changed(GOOD, taskConfig=changed(GOOD.taskConfig, tier="preferred"))
    assert validated_job(preferred, SETTINGS).taskConfig.production is True


def test_links_are_made_for_well_known_ports() -> None:
    made = validated_job(job("x", "{}", ports=["http", "health", "rpc"]), SETTINGS).taskConfig.taskLinks
    assert dict(made) == {"http": "http://%host%:%port:http%", "health": "http://%host%:%port:health%"}


def test_equal_configurations_are_equal_after_normalising() -> None:
    bare = changed(GOOD.taskConfig, constraints=None, priority=None, taskLinks=None)
    full = changed(GOOD.taskConfig, constraints=set(), priority=0, taskLinks={})
    assert normalised(bare) == normalised(full)
    assert hash(normalised(bare)) == hash(normalised(full))


def test_enums_and_texts_stay_unset_and_unions_are_left_alone() -> None:
    made = normalised(api.JobConfiguration(key=job_key("x"), taskConfig=GOOD.taskConfig))
    assert (made.cronCollisionPolicy, made.cronSchedule, made.instanceCount) == (None, None, 0)
    assert normalised(api.Resource(ramMb=3)) == api.Resource(ramMb=3)


@pytest.mark.parametrize(
    "members", [{"resources": frozenset({api.Resource()})}, {"container": api.Container()}]
)
def test_a_union_without_member_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(EmptyUnion):
        validated_job(changed(GOOD, taskConfig=changed(GOOD.taskConfig, **members)), SETTINGS)


@pytest.mark.parametrize(
    ("text", "good"),
    [("a", True), ("a.b-c_9", True), ("a" * 255, True), ("a" * 256, False), ("", False), (None, False),
     ("a\n", False), ("a b", False), ("a/b", False), ("a:b", False), ("ä", False)],
)  # fmt: skip
def test_identifiers(text: str | None, good: bool) -> None:
    assert is_identifier(text) is good
