"""Aurora's job form: the JSON that its command line reads, as a strict model (Aurora 0.22).

It is stricter than Aurora where Aurora would let a mistake travel to the agent: unknown members, templates
that nobody can fill in, orders of processes that cannot be planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from airavata_mesos_plugin.config import IDENTIFIER, describe
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.schedulers.aurora.plan import check_plan
from airavata_mesos_plugin.schedulers.aurora.references import foreign_reference

MIB = 1024 * 1024
I32 = 2**31 - 1


def _one_line_identifier(value: object) -> object:
    # The pattern's end would let one newline through.
    if isinstance(value, str) and value.endswith("\n"):
        raise ValueError("must not end with a newline")
    return value


Identifier = Annotated[str, BeforeValidator(_one_line_identifier), Field(pattern=IDENTIFIER)]
ProcessName = Annotated[str, Field(pattern=r"^[^./\n][^/\n]*$")]
PortName = Annotated[str, Field(pattern=r"^[^\s\[\]{}]+$")]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Resources(_Form):
    """Amounts of one task: cores, bytes, bytes, whole GPUs."""

    cpu: float = Field(gt=0)
    ram: int = Field(ge=MIB)
    disk: int = Field(ge=MIB)
    gpu: int = Field(0, ge=0)


class Rotation(_Form):
    """When a log file is moved away; ``log_size`` in bytes."""

    log_size: int = Field(100 * MIB, gt=0)
    backups: int = Field(5, ge=0)


class Logger(_Form):
    """Where the output of a process goes."""

    destination: Literal["file", "console", "both", "none"] = "file"
    mode: Literal["standard", "rotate"] = "standard"
    rotate: Rotation | None = None


class Process(_Form):
    """One command of a task, run as ``/bin/bash -c``."""

    name: ProcessName
    cmdline: str = Field(min_length=1)
    max_failures: int = Field(1, ge=0, le=I32)
    daemon: bool = False
    ephemeral: bool = False
    min_duration: int = Field(5, ge=0)
    final: bool = False
    resources: Resources | None = None
    logger: Logger | None = None


class Order(_Form):
    """Names of processes that run one after the other."""

    order: tuple[str, ...]


class Task(_Form):
    """What one instance runs; ``finalization_wait`` in seconds."""

    name: str = Field("", max_length=255)
    processes: tuple[Process, ...] = Field(min_length=1)
    constraints: tuple[Order, ...] = ()
    resources: Resources
    max_failures: int = Field(1, ge=0, le=I32)
    max_concurrency: int = Field(0, ge=0, le=I32)
    finalization_wait: int = Field(30, ge=0)
    user: str | None = None

    @model_validator(mode="after")
    def _plan_works(self) -> Task:
        check_plan(self.processes, [constraint.order for constraint in self.constraints])
        return self


class Announcer(_Form):
    """Ports under which a task announces itself."""

    primary_port: PortName = "http"
    portmap: Mapping[PortName, str | int] = Field(default={"aurora": "{{primary_port}}"})
    zk_path: str | None = None


class HttpChecker(_Form):
    """Health by an HTTP call; an expected code of 0 means any."""

    endpoint: str = "/health"
    expected_response: str = "ok"
    expected_response_code: int = 0


class ShellChecker(_Form):
    """Health by a command's exit code."""

    shell_command: str = Field(min_length=1)


class HealthChecker(_Form):
    """One of the two ways."""

    http: HttpChecker | None = None
    shell: ShellChecker | None = None


class HealthCheck(_Form):
    """Health checks; they need a port called ``health`` or a shell command. Times in seconds."""

    health_checker: HealthChecker = HealthChecker(http=HttpChecker())
    initial_interval_secs: float = Field(15.0, ge=0)
    interval_secs: float = Field(10.0, gt=0)
    max_consecutive_failures: int = Field(0, ge=0)
    min_consecutive_successes: int = Field(1, ge=1)
    timeout_secs: float = Field(1.0, gt=0)


class HttpLifecycle(_Form):
    """Calls that ask a service to end. Times in seconds."""

    port: PortName = "health"
    graceful_shutdown_endpoint: str = "/quitquitquit"
    shutdown_endpoint: str = "/abortabortabort"
    graceful_shutdown_wait_secs: int = Field(5, ge=0)
    shutdown_wait_secs: int = Field(5, ge=0)


class Lifecycle(_Form):
    """An empty object switches the calls off."""

    http: HttpLifecycle | None = None


class Metadata(_Form):
    """A note on the job; keys may repeat."""

    key: str
    value: str


class ExecutorForm(_Form):
    """The executor; the data of Thermos is made from the form itself."""

    name: str = "AuroraExecutor"
    data: str = ""


class PartitionForm(_Form):
    """What happens when the agent of a task is cut off; ``delay_secs`` in seconds."""

    reschedule: bool = True
    delay_secs: int = Field(0, ge=0)


class SlaForm(_Form):
    """How many instances must stay up during maintenance, or who is asked. Times in seconds."""

    percentage: float | None = Field(None, ge=0, le=100)
    count: int | None = Field(None, ge=0, le=I32)
    coordinator_url: str | None = None
    status_key: str | None = None
    duration_secs: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one_kind(self) -> SlaForm:
        kinds = [self.percentage is not None, self.count is not None, self.coordinator_url is not None]
        if sum(kinds) != 1:
            raise ValueError("needs exactly one of percentage, count and coordinator_url")
        if (self.coordinator_url is None) != (self.duration_secs is not None):
            raise ValueError("duration_secs goes with percentage or count, and is required there")
        if self.status_key is not None and self.coordinator_url is None:
            raise ValueError("status_key goes with coordinator_url")
        return self


class DockerParameter(_Form):
    """An argument of the Docker command line."""

    name: str
    value: str


class Docker(_Form):
    """A container of the Docker containerizer."""

    image: str = Field(min_length=1)
    parameters: tuple[DockerParameter, ...] = ()


class ContainerImage(_Form):
    """An image of the Mesos containerizer: Docker's by tag or Appc's by image id."""

    name: str = Field(min_length=1)
    tag: str | None = None
    image_id: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> ContainerImage:
        if (self.tag is None) == (self.image_id is None):
            raise ValueError("needs either tag (Docker image) or image_id (Appc image)")
        return self


class Volume(_Form):
    """A directory of the agent inside the container."""

    container_path: str
    host_path: str
    mode: Literal["RO", "RW"]


class ContainerForm(_Form):
    """``image`` as text with ``parameters`` or ``docker`` is Docker; ``image`` as object is Mesos."""

    docker: Docker | None = None
    image: str | ContainerImage | None = None
    parameters: tuple[DockerParameter, ...] | None = None
    volumes: tuple[Volume, ...] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> ContainerForm:
        if self.docker is not None and (self.image is not None or self.parameters or self.volumes):
            raise ValueError("docker stands alone")
        if isinstance(self.image, str) and self.volumes:
            raise ValueError("a Docker container takes its volumes as parameters")
        if self.parameters and not isinstance(self.image, str):
            raise ValueError("parameters belong to a Docker image")
        return self


class FetcherUri(_Form):
    """What Mesos puts into the sandbox before the start. Aurora's own form lacks it."""

    value: str = Field(min_length=1)
    extract: bool | None = None
    cache: bool | None = None
    output_file: str | None = None


class AuroraJob(_Form):
    """One job. ``update_config`` is accepted, since the form has it, and not used: nothing is updated."""

    role: Identifier
    cluster: str = Field(min_length=1)
    environment: Identifier
    name: Identifier
    task: Task
    instances: int = Field(1, ge=1, le=I32)
    contact: str | None = None
    announce: Announcer | None = None
    tier: Identifier | None = None
    constraints: Mapping[str, str] = Field(default_factory=dict)
    metadata: tuple[Metadata, ...] = ()
    service: bool = False
    max_task_failures: int = Field(1, ge=-1, le=I32)
    production: bool = False
    priority: int = Field(0, ge=-I32, le=I32)
    health_check_config: HealthCheck = HealthCheck()
    lifecycle: Lifecycle = Lifecycle(http=HttpLifecycle())
    task_links: Mapping[str, str] = Field(default_factory=dict)
    executor_config: ExecutorForm = ExecutorForm()
    enable_hooks: bool = False
    partition_policy: PartitionForm | None = None
    sla_policy: SlaForm | None = None
    container: ContainerForm | None = None
    mesos_fetcher_uris: tuple[FetcherUri, ...] = ()
    cron_schedule: str | None = None
    cron_collision_policy: Literal["KILL_EXISTING", "CANCEL_NEW"] = "KILL_EXISTING"
    update_config: Mapping[str, object] | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_default(cls, document: object) -> object:
        """A task is called after its first process, a job after its task, as Aurora's own client does."""
        if not isinstance(document, Mapping):
            return document
        task = document.get("task")
        if isinstance(task, Mapping):
            if not task.get("name"):
                processes = task.get("processes")
                first = processes[0] if isinstance(processes, (list, tuple)) and processes else None
                if isinstance(first, Mapping) and "name" in first:
                    task = {**task, "name": first["name"]}
            if not document.get("name") and "name" in task:
                document = {**document, "name": task["name"]}
            document = {**document, "task": task}
        return document


def parse(document: Mapping[str, object], *, cron: bool = False) -> AuroraJob:
    """The job that a document describes, or with ``cron`` the cron entry.

    Raises InvalidRequest that names each wrong member by its path.
    """
    if cron and not document.get("cron_schedule"):
        raise InvalidRequest("the job configuration is wrong: cron_schedule: a cron entry needs one")
    if document.get("cron_schedule") and not cron:
        raise InvalidRequest(
            "the job configuration is wrong: cron_schedule: a cron entry is no job that can be submitted"
        )
    # Aurora's own client always writes a policy, also for jobs that are no cron entries.
    meaningless = () if cron else ("cron_schedule", "cron_collision_policy")
    known = {name: value for name, value in document.items() if name not in meaningless}
    for place, text in _texts(known, ""):
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InvalidRequest(
                f"the job configuration is wrong: {place}: holds a character that no command can be given"
            )
        if place.startswith("announce.portmap.") and text == "{{primary_port}}":
            continue
        reference = foreign_reference(text)
        if reference is not None:
            raise InvalidRequest(
                f"the job configuration is wrong: {place}: {reference} would be taken for a template"
                " by Thermos, which does not know it",
                advice="put text with two opening braces into a file instead of the configuration",
            )
    try:
        return AuroraJob.model_validate(known)
    except ValidationError as error:
        raise InvalidRequest(f"the job configuration is wrong: {describe(error)}") from error


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Every text in a document with its path."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}.{index}")
