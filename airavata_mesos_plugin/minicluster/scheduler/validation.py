"""Checks on what a client submits, in the order and with the texts of Aurora 0.22."""

from __future__ import annotations

import math
import re
from typing import Any

from thrift.Thrift import TFrozenDict

from airavata_mesos_plugin.minicluster.scheduler import sla
from airavata_mesos_plugin.minicluster.scheduler.names import is_identifier, is_valid_key, key_text
from airavata_mesos_plugin.minicluster.scheduler.normal import normalised, replaced
from airavata_mesos_plugin.minicluster.scheduler.tiers import DEFAULT_TIER, TIERS
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_RESOURCE_NAMES = {"numCpus": "CPU", "ramMb": "RAM", "diskMb": "disk", "numGpus": "GPU"}
_LINKED_PORTS = ("health", "http")


class Invalid(ValueError):
    """The configuration is refused; the text is what the client reads."""


def validated_job(job: Any, settings: ClusterSettings) -> Any:
    """The job in normal form with defaults filled in. Raises Invalid, and EmptyUnion for a union without
    member."""
    if job.taskConfig is None:
        raise Invalid("Job configuration must have taskConfig set.")
    job = normalised(job)
    if job.instanceCount <= 0:
        raise Invalid("Instance count must be positive.")
    if not is_valid_key(job.key):
        raise Invalid(f"Job key {key_text(job.key)} is invalid.")
    pattern = settings.allowed_environments
    if re.fullmatch(pattern, job.key.environment) is None:
        raise Invalid(f"Job environment {job.key.environment} doesn't match: {pattern}")
    if job.owner is not None and not is_identifier(job.owner.user):
        user = "null" if job.owner.user is None else job.owner.user
        raise Invalid(f"Job user contains illegal characters: {user}")
    task = validated_task(job.taskConfig, settings, job.instanceCount)
    if job.cronSchedule and task.isService:
        raise Invalid(f"A service task may not be run on a cron schedule: {job.cronSchedule}")
    return replaced(job, taskConfig=task)


def validated_task(task: Any, settings: ClusterSettings, instances: int) -> Any:
    """A task configuration in normal form for a job of so many instances, checked, with defaults filled in.
    Raises Invalid."""
    if task.tier is not None and not is_identifier(task.tier):
        raise Invalid(f"Tier contains illegal characters: {task.tier}")
    tier_name = DEFAULT_TIER if task.tier is None else task.tier
    if tier_name not in TIERS:
        raise Invalid(f"Invalid tier '{tier_name}' in TaskConfig.")
    if not is_valid_key(task.job):
        raise Invalid(f"Job key {key_text(task.job)} is invalid.")
    _check_executor(task, settings)
    _check_dedicated(task)
    _check_container(task, settings)
    _check_resources(task, settings)
    if task.mesosFetcherUris and not settings.allow_fetcher:
        raise Invalid("Mesos Fetcher for individual jobs is disabled in this cluster.")
    mesos = None if task.container is None else task.container.mesos
    if mesos is not None and mesos.volumes and not settings.allow_container_volumes:
        raise Invalid("This scheduler is configured to disallow container volumes.")
    if task.slaPolicy is not None:
        named = replaced(task, tier=tier_name)
        wrong = sla.objection(task.slaPolicy, named, TIERS[tier_name].production, instances, settings)
        if wrong is not None:
            raise Invalid(wrong)
    links = task.taskLinks or _default_links(task)
    return replaced(task, tier=tier_name, production=TIERS[tier_name].production, taskLinks=links)


def _check_executor(task: Any, settings: ClusterSettings) -> None:
    docker = None if task.container is None else task.container.docker
    if task.executorConfig is None:
        if docker is None:
            raise Invalid("Configuration may not be null.")
        return
    name = task.executorConfig.name
    if name is None:
        raise Invalid("Executor name may not be left unset.")
    if name not in settings.executor_names:
        raise Invalid(f"Configuration for executor '{name}' doesn't exist.")


def _check_dedicated(task: Any) -> None:
    for constraint in task.constraints:
        if constraint.name != "dedicated":
            continue
        value = None if constraint.constraint is None else constraint.constraint.value
        if value is None:
            raise Invalid("A dedicated constraint must be of value type.")
        if len(value.values) != 1:
            raise Invalid("A dedicated constraint must have exactly one value")
        (text,) = value.values
        role = text.split("/", 1)[0]
        if role not in ("*", task.job.role):
            raise Invalid(f"Only {role} may use hosts dedicated for that role.")


def _check_container(task: Any, settings: ClusterSettings) -> None:
    docker = None if task.container is None else task.container.docker
    if docker is None:
        return
    if docker.image is None:
        raise Invalid("A container must specify an image.")
    if docker.parameters:
        raise Invalid("This scheduler is configured to disallow Docker parameters.")
    if task.executorConfig is None:
        raise Invalid("This scheduler is configured to require an executor for Docker-based tasks.")
    if not settings.allow_docker:
        raise Invalid("This scheduler is not configured to allow the container type DOCKER")


def _check_resources(task: Any, settings: ClusterSettings) -> None:
    values: dict[str, list[Any]] = {field: [] for field in _RESOURCE_NAMES}
    for resource in task.resources:
        for field, found in values.items():
            if getattr(resource, field) is not None:
                found.append(getattr(resource, field))
    repeated = sorted(_RESOURCE_NAMES[field] for field, found in values.items() if len(found) > 1)
    if repeated:
        raise Invalid(f"Multiple resource values are not supported for {', '.join(repeated)}")
    for field, label in (("numCpus", "num_cpus"), ("ramMb", "ram_mb"), ("diskMb", "disk_mb")):
        amount = values[field][0] if values[field] else 0
        # The same text covers a number that is none: it is not greater than zero either.
        if not amount > 0 or math.isinf(amount):
            raise Invalid(f"{label} must be greater than 0.0")
    if values["numGpus"] and not settings.allow_gpus:
        raise Invalid("GPU resource support is disabled in this cluster.")


def _default_links(task: Any) -> Any:
    ports = {resource.namedPort for resource in task.resources}
    links = {name: f"http://%host%:%port:{name}%" for name in _LINKED_PORTS if name in ports}
    return TFrozenDict(links)
