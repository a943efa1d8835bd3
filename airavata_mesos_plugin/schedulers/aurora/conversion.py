"""From the job form to Thrift, as Aurora's own client does it (Aurora 0.22)."""

from __future__ import annotations

import json

from thrift.Thrift import TFrozenDict

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.gen.aurora.constants import AURORA_EXECUTOR_NAME
from airavata_mesos_plugin.gen.aurora.ttypes import (
    AppcImage,
    Constraint,
    Container,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    CronCollisionPolicy,
    DockerContainer,
    DockerImage,
    DockerParameter,
    ExecutorConfig,
    Identity,
    Image,
    JobConfiguration,
    LimitConstraint,
    MesosContainer,
    MesosFetcherURI,
    Metadata,
    Mode,
    PartitionPolicy,
    PercentageSlaPolicy,
    Resource,
    SlaPolicy,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
    Volume,
)
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.client import wire_key
from airavata_mesos_plugin.schedulers.aurora.jobform import (
    MIB,
    AuroraJob,
    ContainerForm,
    ContainerImage,
    SlaForm,
)
from airavata_mesos_plugin.schedulers.aurora.ports import requested_ports

_THERMOS_DATA_EXCLUDES = {"instances", "update_config", "task_links", "mesos_fetcher_uris"}
"""What Aurora's client keeps out of the executor's data, so that changing it does not change the task."""


def to_thrift(job: AuroraJob, key: JobKey, user: str) -> JobConfiguration:
    """The configuration that createJob takes.

    ``user`` is recorded as the owner; it decides nothing. Raises InvalidRequest when the form is that of
    another job than ``key``, or a constraint cannot be read.
    """
    written = JobKey(job.role, job.environment, job.name)
    if written != key:
        raise InvalidRequest(
            f"the job configuration is that of {written}, but {key} is to be submitted",
            advice="take role, environment and name from the variables that the template is given",
        )
    owner = Identity(user=user)
    task = TaskConfig(
        job=wire_key(key),
        owner=owner,
        isService=job.service,
        priority=job.priority,
        maxTaskFailures=job.max_task_failures,
        production=job.production,
        # From 0.22 on a job marked by production alone would silently be none.
        tier=job.tier or ("preferred" if job.production else None),
        resources=_resources(job),
        constraints=frozenset(constraint(name, text) for name, text in job.constraints.items()),
        mesosFetcherUris=frozenset(
            MesosFetcherURI(value=uri.value, extract=uri.extract, cache=uri.cache, outputFile=uri.output_file)
            for uri in job.mesos_fetcher_uris
        ),
        taskLinks=TFrozenDict(job.task_links),
        contactEmail=job.contact,
        executorConfig=_executor(job),
        metadata=frozenset(Metadata(key=note.key, value=note.value) for note in job.metadata),
        partitionPolicy=_partition_policy(job),
        slaPolicy=_sla_policy(job.sla_policy),
        container=_container(job.container),
    )
    return JobConfiguration(
        key=wire_key(key),
        owner=owner,
        taskConfig=task,
        instanceCount=job.instances,
        cronSchedule=job.cron_schedule,
        cronCollisionPolicy=CronCollisionPolicy._NAMES_TO_VALUES[job.cron_collision_policy]
        if job.cron_schedule is not None
        else None,
    )


def thermos_data(job: AuroraJob) -> str:
    """The JSON that the executor reads: the whole form with all defaults written out."""
    excluded = _THERMOS_DATA_EXCLUDES | (set() if job.cron_schedule else {"cron_collision_policy"})
    document = job.model_dump(mode="json", exclude=excluded, exclude_none=True)
    if not document["task"].get("user"):
        document["task"]["user"] = job.role
    return json.dumps(document, separators=(",", ":"))


def constraint(name: str, text: str) -> Constraint:
    """One constraint from its text: ``a,b``, ``!a,b`` or ``limit:n``. Raises InvalidRequest."""
    if not name:
        raise InvalidRequest("a constraint has no attribute name")
    if text.startswith("limit:"):
        digits = text.removeprefix("limit:")
        if not digits.isascii() or not digits.isdigit() or not 1 <= int(digits) < 2**31:
            raise InvalidRequest(f"constraint {name}={text!r}: the limit must be a whole number from 1 up")
        return Constraint(name=name, constraint=TaskConstraint(limit=LimitConstraint(limit=int(digits))))
    negated = text.startswith("!")
    values = frozenset(text.removeprefix("!").split(","))
    if "" in values:
        raise InvalidRequest(
            f"constraint {name}={text!r}: a value is empty", advice="write it as value,value or !value"
        )
    return Constraint(
        name=name, constraint=TaskConstraint(value=ValueConstraint(negated=negated, values=values))
    )


def _resources(job: AuroraJob) -> frozenset[Resource]:
    amounts = job.task.resources
    found = [
        Resource(numCpus=amounts.cpu),
        Resource(ramMb=amounts.ram // MIB),
        Resource(diskMb=amounts.disk // MIB),
    ]
    if amounts.gpu:
        found.append(Resource(numGpus=amounts.gpu))
    found.extend(Resource(namedPort=name) for name in requested_ports(job))
    return frozenset(found)


def _executor(job: AuroraJob) -> ExecutorConfig:
    form = job.executor_config
    data = thermos_data(job) if form.name == AURORA_EXECUTOR_NAME else form.data
    return ExecutorConfig(name=form.name, data=data)


def _partition_policy(job: AuroraJob) -> PartitionPolicy | None:
    form = job.partition_policy
    if form is None:
        return None
    return PartitionPolicy(reschedule=form.reschedule, delaySecs=form.delay_secs)


def _sla_policy(form: SlaForm | None) -> SlaPolicy | None:
    if form is None:
        return None
    if form.coordinator_url is not None:
        coordinator = CoordinatorSlaPolicy(
            coordinatorUrl=form.coordinator_url, statusKey=form.status_key or "drain"
        )
        return SlaPolicy(coordinatorSlaPolicy=coordinator)
    if form.count is not None:
        return SlaPolicy(countSlaPolicy=CountSlaPolicy(count=form.count, durationSecs=form.duration_secs))
    return SlaPolicy(
        percentageSlaPolicy=PercentageSlaPolicy(percentage=form.percentage, durationSecs=form.duration_secs)
    )


def _container(form: ContainerForm | None) -> Container:
    if form is None:
        return Container(mesos=MesosContainer())
    if form.docker is not None:
        image, parameters = form.docker.image, form.docker.parameters
    elif isinstance(form.image, str):
        image, parameters = form.image, form.parameters or ()
    else:
        volumes = tuple(
            Volume(
                containerPath=volume.container_path,
                hostPath=volume.host_path,
                mode=Mode._NAMES_TO_VALUES[volume.mode],
            )
            for volume in form.volumes or ()
        )
        return Container(mesos=MesosContainer(image=_image(form.image), volumes=volumes))
    return Container(
        docker=DockerContainer(
            image=image,
            parameters=tuple(DockerParameter(name=item.name, value=item.value) for item in parameters),
        )
    )


def _image(form: ContainerImage | None) -> Image | None:
    if form is None:
        return None
    if form.tag is not None:
        return Image(docker=DockerImage(name=form.name, tag=form.tag))
    return Image(appc=AppcImage(name=form.name, imageId=form.image_id))
