"""What the commands of ``airavata-mesos aurora`` share: keys, job files, JSON, and exit codes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from thrift.Thrift import TType

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    ServiceUnavailable,
    Unreachable,
)
from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.conversion import to_thrift
from airavata_mesos_plugin.schedulers.aurora.jobform import AuroraJob, parse

COMMAND_FAILED, INVALID_COMMAND, INVALID_PARAMETER = 4, 5, 6
TIMED_OUT = 9

_CODES: tuple[tuple[type[AiravataMesosError], int], ...] = (
    (ConfigurationError, 3),
    (AuthenticationFailed, 30),
    (NotFound, COMMAND_FAILED),
    (ServiceUnavailable, COMMAND_FAILED),
    (Unreachable, 7),
    (OutcomeUnknown, 7),
    (ProtocolError, 20),
)
"""Exit codes of Aurora 0.22's own command line; what the scheduler refused is 10."""


class WrongJobFile(ConfigurationError):
    """A job file that does not describe the job."""


def exit_code(error: AiravataMesosError) -> int:
    """The exit code that tells an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 10)


class AuroraGroup(click.Group):
    """A group whose errors end with the exit codes of Aurora's own command line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
            bad_value = isinstance(error, click.BadParameter)
            sys.exit(INVALID_PARAMETER if bad_value else INVALID_COMMAND)
        except AiravataMesosError as error:
            click.echo(f"airavata-mesos: {error}", err=True)
            sys.exit(exit_code(error))


@dataclass(frozen=True)
class ClusterJob:
    """``cluster/role/environment/name``, with the instances that a command is about; None means all."""

    cluster: str
    key: JobKey
    instances: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return f"{self.cluster}/{self.key}"


_PART = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
MOST_INSTANCES = 100_000


def instances(text: str) -> tuple[int, ...]:
    """The numbers of ``0-3,7``. Raises BadParameter."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < first + MOST_INSTANCES:
            raise click.BadParameter(f"{text!r} is no list of instances such as 0-3,7")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


class JobParameter(click.ParamType):  # type: ignore[type-arg]  # generic in some releases only
    """A job key with its cluster, and instances where ``with_instances``."""

    name = "job"

    def __init__(self, *, with_instances: bool = False) -> None:
        self._with_instances = with_instances

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ClusterJob:
        if isinstance(value, ClusterJob):
            return value
        cluster, *parts = value.split("/")
        most = 4 if self._with_instances else 3
        if not 3 <= len(parts) <= most or not all((cluster, *parts)):
            form = "cluster/role/environment/name" + ("[/instances]" if self._with_instances else "")
            self.fail(f"{value!r} is not of the form {form}", param, ctx)
        chosen = instances(parts[3]) if len(parts) == 4 else None
        return ClusterJob(cluster, JobKey(*parts[:3]), chosen)


JOB = JobParameter()
JOB_WITH_INSTANCES = JobParameter(with_instances=True)


class RoleParameter(click.ParamType):  # type: ignore[type-arg]  # generic in some releases only
    """``cluster/role``; with ``optional`` the role may be missing, which means all of them."""

    name = "role"

    def __init__(self, *, optional: bool) -> None:
        self._optional = optional

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:
        if isinstance(value, tuple):
            return value
        cluster, slash, role = value.partition("/")
        if not cluster or "/" in role or (slash and not role) or (not role and not self._optional):
            form = "cluster[/role]" if self._optional else "cluster/role"
            self.fail(f"{value!r} is not of the form {form}", param, ctx)
        return cluster, role or None


ROLE = RoleParameter(optional=False)
ROLE_OR_ALL = RoleParameter(optional=True)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def read_job(path: Path, target: ClusterJob, *, cron: bool = False) -> AuroraJob:
    """The job of that key in a file: one job as JSON, or ``{"jobs": [...]}``. Raises WrongJobFile."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongJobFile(f"cannot read {path}: {error}") from error
    several = document.get("jobs") if isinstance(document, dict) else None
    found = several if isinstance(several, list) else [document]
    if not all(isinstance(one, dict) for one in found):
        raise WrongJobFile(f"{path} does not hold a job, or an object with a list of jobs")
    wrong: list[str] = []
    for one in found:
        try:
            job = parse(one, cron=cron)
        except InvalidRequest as error:
            wrong.append(error.message)
            continue
        if (job.cluster, JobKey(job.role, job.environment, job.name)) == (target.cluster, target.key):
            return job
    if wrong:
        raise WrongJobFile(f"{path}: {wrong[0]}")
    raise WrongJobFile(
        f"{path} holds no job {target}", advice="role, environment, name and cluster must agree"
    )


def configuration(job: AuroraJob, target: ClusterJob) -> Any:
    """The job as Aurora takes it; its owner is whoever calls. Raises WrongJobFile."""
    try:
        return to_thrift(job, target.key, job.role)
    except InvalidRequest as error:
        raise WrongJobFile(error.message) from error


_ENUMS: Mapping[str, Mapping[int, str]] = {
    "status": api.ScheduleStatus._VALUES_TO_NAMES,
}
_BOOLEANS = ("isService", "production")


def plain(struct: Any) -> Any:
    """A struct by field names, in the form of Aurora's own ``--write-json``: unset members are absent,
    states are names, and booleans other than isService and production are 0 or 1.
    """
    if isinstance(struct, Mapping):
        return {str(name): plain(value) for name, value in struct.items()}
    if isinstance(struct, (list, tuple)):
        return [plain(value) for value in struct]
    if isinstance(struct, (set, frozenset)):
        return sorted((plain(value) for value in struct), key=lambda value: json.dumps(value, sort_keys=True))
    if not hasattr(struct, "thrift_spec"):
        return struct
    document: dict[str, Any] = {}
    for spec in struct.thrift_spec:
        value = None if spec is None else getattr(struct, spec[2])
        if value is None:
            continue
        name, kind = spec[2], spec[1]
        if name in _ENUMS and kind == TType.I32:
            document[name] = _ENUMS[name].get(value, f"UNKNOWN_{value}")
        elif kind == TType.BOOL:
            document[name] = bool(value) if name in _BOOLEANS else int(value)
        else:
            document[name] = plain(value)
    return document
