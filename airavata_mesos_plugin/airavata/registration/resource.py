"""The compute resource as Airavata is to know it: the model of ``compute-resource.yaml``.

Airavata puts paths and names into shell commands without quoting them (0.17 to master), so they are
restricted here to characters that mean themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from airavata_mesos_plugin.config import QUEUE_NAME, describe
from airavata_mesos_plugin.errors import ConfigurationError

HOST = r"^[A-Za-z0-9]([A-Za-z0-9._\-]{0,253}[A-Za-z0-9])?$"
PLAIN_PATH = r"^/[A-Za-z0-9_./+@%:\-]*$"
ACCOUNT = r"^[A-Za-z_][A-Za-z0-9_.\-]*$"

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\r\n]+$")]
CommandText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./+@%:\- ]+$")]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Port = Annotated[int, Field(gt=0, le=65535)]

Parallelism = Literal["SERIAL", "MPI", "OPENMP", "OPENMP_MPI", "CCM", "CRAY_MPI"]
Command = Literal[
    "SUBMISSION",
    "JOB_MONITORING",
    "DELETION",
    "SHOW_CLUSTER_INFO",
    "SHOW_NO_OF_RUNNING_JOBS",
    "SHOW_NO_OF_PENDING_JOBS",
]
DataType = Literal["STRING", "INTEGER", "FLOAT", "URI", "URI_COLLECTION"]

COMMANDS: dict[Command, str] = {
    "SUBMISSION": "sbatch",
    "JOB_MONITORING": "squeue",
    "DELETION": "scancel",
    "SHOW_CLUSTER_INFO": "sinfo",
    # Airavata's queue monitor (0.21) appends "-h" without a blank between.
    "SHOW_NO_OF_RUNNING_JOBS": "squeue ",
    "SHOW_NO_OF_PENDING_JOBS": "squeue ",
}


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ssh(_Entry):
    """Where Airavata logs in."""

    host: str = Field(pattern=HOST, description="the submission host")
    port: Port = 22


class Credential(_Entry):
    """The SSH key that Airavata uses, kept in its credential store."""

    token: Text | None = Field(None, description="of a key that the credential store has already")
    description: Text | None = Field(None, description="names the key; made when there is none of that name")

    @model_validator(mode="after")
    def _one_of_both(self) -> Credential:
        if (self.token is None) == (self.description is None):
            raise ValueError("give either token (a key that is there) or description (a key to be made)")
        return self


class Queue(_Entry):
    """A batch queue with the limits that Airavata shows and checks. 0.21 and master; memory in MB."""

    name: str = Field(pattern=QUEUE_NAME, description="a queue of provider.yaml")
    description: str = ""
    default: bool = Field(False, description="chosen when the user chooses none")
    max_run_time_minutes: Count
    max_nodes: Count = 1
    max_processors: Count
    max_jobs: Count = 1000
    max_memory_mb: Count
    cpus_per_node: Count | None = Field(None, description="none: max_processors")
    default_nodes: Count = 1
    default_cpus: Count = 1
    default_run_time_minutes: Count = 30
    macros: tuple[Annotated[str, StringConstraints(pattern=r"^[^,\r\n]+$")], ...] = Field(
        (), description="lines that are added to each job script; Airavata joins them with commas"
    )

    @model_validator(mode="after")
    def _defaults_fit(self) -> Queue:
        for what, default, most in (
            ("default_run_time_minutes", self.default_run_time_minutes, self.max_run_time_minutes),
            ("default_nodes", self.default_nodes, self.max_nodes),
            ("default_cpus", self.default_cpus, self.max_processors),
        ):
            if default > most:
                raise ValueError(f"{what} is above the maximum of the queue ({default} > {most})")
        return self


class Profile(_Entry):
    """The group resource profile through which users get at the resource (0.21 and master)."""

    name: Text
    allocation_project: Text | None = Field(None, description="sbatch -A of all jobs")
    share_with: tuple[Text, ...] = Field(
        ("users",), description="groups that may use it: users, admins, read_only_admins, or a group id"
    )


class Storage(_Entry):
    """The gateway's storage, for a gateway that has none yet."""

    host: str = Field(pattern=HOST)
    port: Port = 22
    description: str = ""
    login_user: str = Field(pattern=ACCOUNT)
    root: str = Field(pattern=PLAIN_PATH, description="directory below which users' data lie")
    credential_token: Text | None = Field(None, description="none: the key of the compute resource")


class Input(_Entry):
    """One input of an application."""

    name: Text
    type: DataType = "STRING"
    value: str = ""
    argument: str = Field("", description="stands before the value on the command line")
    description: str = ""
    required: bool = True
    on_command_line: bool = True


class Output(_Entry):
    """A file that an application leaves, besides its standard output and error."""

    name: Text
    type: Literal["URI", "URI_COLLECTION"] = "URI"
    value: Text = Field(description="name in the working directory; may hold * for a collection")
    required: bool = False


class Variable(_Entry):
    """An environment variable of the job script."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    value: Line


class Application(_Entry):
    """A program that users run on the resource."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.\-]+$", description="becomes part of file names")
    version: str = ""
    description: str = ""
    executable: Line = Field(description="as it stands in the job script")
    parallelism: Parallelism = "SERIAL"
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    module_commands: tuple[Line, ...] = ()
    before: tuple[Line, ...] = Field((), description="lines of the job script before the program")
    after: tuple[Line, ...] = Field((), description="lines of the job script after the program")
    environment: tuple[Variable, ...] = ()
    default_queue: str | None = None
    archive_working_directory: bool = False

    @model_validator(mode="after")
    def _names_differ(self) -> Application:
        for what, names in (
            ("input", [entry.name for entry in self.inputs]),
            ("output", [entry.name for entry in self.outputs]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what}s have the same name")
        return self


class Resource(_Entry):
    """Everything that Airavata has to know about this resource."""

    name: str = Field("Mesos", pattern=HOST, description="the name that users see")
    description: str = "Apache Mesos, through Apache Aurora"
    ssh: Ssh
    bin_path: str = Field(pattern=PLAIN_PATH, description="where `install-commands` put sbatch")
    commands: dict[Command, CommandText] = Field(default_factory=dict, description="other names than ours")
    parallelism_prefixes: dict[Parallelism, Line] = Field(
        default_factory=dict, description="what starts a parallel program; not for serial ones"
    )
    login_user: str = Field(pattern=ACCOUNT)
    scratch: str = Field(pattern=PLAIN_PATH, description="working directories of jobs are made here")
    credential: Credential
    monitoring: Literal["poll", "email"] = Field("poll", description="email: status by mail (0.17, 0.21)")
    email_senders: tuple[Text, ...] = Field((), description="whose status mails Airavata believes")
    cpus_per_node: Count | None = None
    max_memory_mb_per_node: Count | None = None
    queues: tuple[Queue, ...] = Field(min_length=1)
    profile: Profile
    storage: Storage | None = None
    applications: tuple[Application, ...] = ()

    @model_validator(mode="after")
    def _parts_agree(self) -> Resource:
        queues = [queue.name for queue in self.queues]
        for what, names in (("queue", queues), ("application", [a.name for a in self.applications])):
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ValueError(f"{what} {doubled[0]!r} is defined twice")
        if sum(queue.default for queue in self.queues) > 1:
            raise ValueError("more than one queue is the default")
        for application in self.applications:
            if application.default_queue not in (None, *queues):
                raise ValueError(
                    f"application {application.name!r} names the unknown queue {application.default_queue!r}"
                )
            if application.parallelism not in ("SERIAL", *self.parallelism_prefixes):
                raise ValueError(
                    f"application {application.name!r} is {application.parallelism}, for which "
                    f"parallelism_prefixes has no entry: its jobs could not be submitted"
                )
        return self

    @property
    def default_queue(self) -> Queue:
        """The queue marked as default, or the first."""
        return next((queue for queue in self.queues if queue.default), self.queues[0])

    @property
    def all_commands(self) -> dict[Command, str]:
        """What Airavata types, for each purpose."""
        return {**COMMANDS, **self.commands}


def load(path: Path) -> Resource:
    """The resource of a file. Raises ConfigurationError that names the file and each wrong entry."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the compute resource {path}: {error.strerror}",
            advice="copy conf/compute-resource.yaml and name it with --config",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} must hold a mapping with the members ssh, queues and profile")
    try:
        return Resource.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {describe(error)}") from error
