"""The JSON that a Mesos job template makes, as a strict model.

It follows Mesos' own TaskInfo (1.11) where there is something in it to choose, in the units of Mesos: memory
and disk in MiB. A document has one task for each node of the job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from airavata_mesos_plugin.config import IDENTIFIER, describe
from airavata_mesos_plugin.errors import InvalidRequest

Identifier = Annotated[str, Field(pattern=IDENTIFIER.removesuffix("$") + r"\z")]
RoleName = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_.][A-Za-z0-9_.\-/]*)\z", max_length=255)]
Amount = Annotated[float, Field(ge=0.001, le=1e12)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TaskResources(_Form):
    """Amounts of one task: cores, MiB, MiB, whole GPUs, number of ports, and what a cluster names itself."""

    cpus: float = Field(ge=0.01)
    mem: float = Field(ge=1)
    disk: float = Field(0, ge=0)
    gpus: int = Field(0, ge=0)
    ports: int = Field(0, ge=0, le=1000)
    named: Mapping[Identifier, Amount] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_others(self) -> TaskResources:
        for name in ("cpus", "mem", "disk", "gpus", "ports"):
            if name in self.named:
                raise ValueError(f"{name} has a member of its own")
        return self


class Uri(_Form):
    """What Mesos' fetcher puts into the sandbox before the start."""

    value: str = Field(min_length=1)
    executable: bool | None = None
    extract: bool | None = None
    cache: bool | None = None
    output_file: str | None = None


class Variable(_Form):
    """A variable of the task's environment."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\z")
    value: str


class Parameter(_Form):
    """An option of the docker command."""

    key: str = Field(min_length=1)
    value: str


class PortMapping(_Form):
    """A port of the container on the host."""

    host_port: int = Field(ge=1, le=65535)
    container_port: int = Field(ge=1, le=65535)
    protocol: Literal["tcp", "udp"] = "tcp"


class DockerInfo(_Form):
    """A container of Docker's own daemon."""

    image: str = Field(min_length=1)
    network: Literal["HOST", "BRIDGE", "NONE", "USER"] = "HOST"
    privileged: bool = False
    force_pull_image: bool = False
    parameters: tuple[Parameter, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()


class ImageName(_Form):
    """A Docker image by its name."""

    name: str = Field(min_length=1)


class Image(_Form):
    """An image that Mesos itself unpacks."""

    type: Literal["DOCKER"] = "DOCKER"
    docker: ImageName
    cached: bool | None = None


class MesosInfo(_Form):
    """A container of Mesos; without an image on the agent's own file system."""

    image: Image | None = None


class Volume(_Form):
    """A directory of the agent inside the container."""

    mode: Literal["RO", "RW"]
    container_path: str = Field(min_length=1)
    host_path: str | None = None


class ContainerForm(_Form):
    """Which containerizer runs the task."""

    type: Literal["MESOS", "DOCKER"]
    docker: DockerInfo | None = None
    mesos: MesosInfo | None = None
    volumes: tuple[Volume, ...] = ()
    hostname: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> ContainerForm:
        if (self.type == "DOCKER") != (self.docker is not None):
            raise ValueError("docker goes with the type DOCKER, and is required there")
        if self.type == "DOCKER" and self.mesos is not None:
            raise ValueError("mesos goes with the type MESOS")
        return self

    @property
    def image(self) -> str:
        """The name of the image; empty without one."""
        if self.docker is not None:
            return self.docker.image
        return self.mesos.image.docker.name if self.mesos is not None and self.mesos.image is not None else ""


class TaskForm(_Form):
    """What runs on one node. ``arguments`` has the program first; ``kill_grace_seconds`` is between TERM and
    KILL; ``max_completion_seconds`` is Mesos' own limit, which kills without grace.
    """

    arguments: tuple[str, ...] = Field(min_length=1)
    user: Identifier | None = None
    resources: TaskResources
    environment: tuple[Variable, ...] = ()
    uris: tuple[Uri, ...] = ()
    container: ContainerForm | None = None
    kill_grace_seconds: float = Field(30, ge=0)
    max_completion_seconds: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _gpus_arrive(self) -> TaskForm:
        # Mesos 1.11 counts them, but its executor for Docker passes no device on.
        if self.resources.gpus and self.container is not None and self.container.type == "DOCKER":
            raise ValueError(
                "Docker's containers get no GPUs: the type MESOS does (values.containerizer: mesos)"
            )
        return self


class Metadata(_Form):
    """A note on the job; becomes a label of its tasks."""

    key: str
    value: str


class MesosJob(_Form):
    """One job.

    ``offer_role`` is the Mesos role whose offers are used. ``constraints`` are attributes of agents, in the
    form of Aurora's command line: ``a,b`` one of, ``!a,b`` none of. ``nodes`` and ``exclude_nodes`` are host
    names. ``spread``: each task on an agent of its own. ``silence_seconds``: how long a task goes on that
    hears nothing of the others; without it nobody knows. ``max_task_failures`` as in Aurora: 1 means that a
    failed job is not started again, -1 that it always is. A document may have a member ``task`` besides: its
    members go over those of every task.
    """

    role: Identifier
    environment: Identifier
    name: Identifier
    offer_role: RoleName = "*"
    priority: int = Field(0, ge=-(2**31), le=2**31 - 1)
    max_task_failures: int = Field(1, ge=-1)
    constraints: Mapping[str, str] = Field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    exclude_nodes: tuple[str, ...] = ()
    spread: bool = True
    silence_seconds: float | None = Field(None, gt=0)
    metadata: tuple[Metadata, ...] = ()
    tasks: tuple[TaskForm, ...] = Field(min_length=1, max_length=4096)

    @property
    def image(self) -> str:
        """The image that a task needs; empty where none does."""
        containers = (task.container for task in self.tasks)
        return next((one.image for one in containers if one is not None and one.image), "")

    @model_validator(mode="after")
    def _constraints_can_be_kept(self) -> MesosJob:
        for name, text in self.constraints.items():
            if text.startswith("limit:") or not text.removeprefix("!"):
                raise ValueError(f"constraints.{name}: {text!r} is no list of values")
        if len(f"{self.role}.{self.environment}.{self.name}") > LONGEST_KEY:
            raise ValueError(f"role, environment and name have more than {LONGEST_KEY} characters together")
        return self


LONGEST_KEY = 220
"""Mesos' task ids have 255 characters at most, and carry the number of the launch and of the node besides."""


def parse(document: Mapping[str, object]) -> MesosJob:
    """The job that a document describes. Raises InvalidRequest that names each wrong member by its path."""
    for place, text in _texts(document, ""):
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InvalidRequest(
                f"the job configuration is wrong: {place}: holds a character that no command can be given"
            )
    try:
        return MesosJob.model_validate(_with_common(document))
    except ValidationError as error:
        raise InvalidRequest(f"the job configuration is wrong: {describe(error)}") from error


def _with_common(document: Mapping[str, object]) -> Mapping[str, object]:
    """The document with its member ``task`` put over every task: objects are merged, None takes away."""
    if "task" not in document:
        return document
    common, tasks = document["task"], document.get("tasks")
    if not isinstance(common, Mapping) or not isinstance(tasks, (list, tuple)):
        raise InvalidRequest("the job configuration is wrong: task: needs to be an object beside tasks")
    rest = {name: value for name, value in document.items() if name != "task"}
    return {**rest, "tasks": [_over(task, common) for task in tasks]}


def _over(below: object, above: object) -> object:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    made = {name: value for name, value in below.items() if above.get(name, value) is not None}
    made.update((name, _over(below.get(name), value)) for name, value in above.items() if value is not None)
    return made


def _texts(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Every text in a document with its path."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}.{index}" if place else str(index))
