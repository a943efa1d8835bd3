"""Renders what a job becomes: the job configuration for the scheduler and the wrapper for the sandbox.

Templates are Jinja, in a sandbox and with undefined values refused. A user's values reach a shell only
through the filter ``shell_quote``, and a job configuration only through ``tojson``.
"""

from __future__ import annotations

import json
import re
import shlex
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from airavata_mesos_plugin import data_files, hostlist
from airavata_mesos_plugin.config import ClusterSettings, ProviderSettings, QueueSettings
from airavata_mesos_plugin.errors import ConfigurationError, InvalidRequest
from airavata_mesos_plugin.filenames import confined_parts
from airavata_mesos_plugin.job_metadata import metadata_of
from airavata_mesos_plugin.jobs import JobRecord, array_indexes

FINALIZATION_MARGIN_SECONDS = 10
"""What the wrapper may need beyond the grace time until it has written the result."""

_MEBIBYTE = 1 << 20
_TEMPLATE_NAME = re.compile(r"[A-Za-z0-9_\-]+")
_TOKEN = re.compile(r"[A-Za-z0-9@_\-]{8,}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


@dataclass(frozen=True)
class InputUri:
    """A file that Mesos itself puts into the sandbox before the task starts."""

    value: str
    output_file: str | None = None  # its name there; None: the last part of the address
    extract: bool = False
    cache: bool = False  # keep it on the agent: only for what never changes under this address


@dataclass(frozen=True)
class StageIn:
    """How the inputs come into the sandbox."""

    method: str  # the template is aurora/stage_in_<method>.sh.j2
    url: str  # signed address of the job's archive
    uris: tuple[InputUri, ...] = ()


@dataclass(frozen=True)
class JobContext:
    """The names that a job template may use."""

    cluster: str
    role: str
    environment: str
    name: str
    tier: str
    priority: int
    max_task_failures: int
    constraints: Mapping[str, str]
    metadata: Mapping[str, str]
    cpus: float
    ram_bytes: int
    disk_bytes: int
    gpus: int
    finalization_wait: int  # seconds
    inputs_url: str
    inputs_method: str = "http"
    inputs_uris: tuple[InputUri, ...] = ()
    push_url: str = ""  # where the task sends its outputs at its end; empty when they are fetched
    push_seconds: int = 0
    values: Mapping[str, object] = field(default_factory=dict)  # of the queue
    aurora: Mapping[str, object] = field(default_factory=dict)  # go over what the template makes
    mesos: Mapping[str, object] = field(default_factory=dict)  # as aurora, for the kind mesos
    nodes: int = 1


@dataclass(frozen=True)
class WrapperContext:
    """The names that the wrapper template may use. Names of files are cut where the host name goes."""

    job_id: int
    token: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...]
    stdout_parts: tuple[str, ...]
    stderr_parts: tuple[str, ...] | None  # None: into the same file as stdout
    stdin_parts: tuple[str, ...]
    append: bool  # do not empty the output files at the start
    umask: str  # octal; empty for the node's own
    limit_centiseconds: int
    grace_centiseconds: int
    shared_directory: str = ""  # where the job runs; empty for the sandbox
    attempt: int = 1


def job_context(
    record: JobRecord,
    queue: QueueSettings,
    cluster: ClusterSettings,
    inputs: StageIn,
    provider: str = "",
    ledger: str = "",
    push_url: str = "",
) -> JobContext:
    """What the job template needs; ``provider``, the name of this resource, and ``ledger``, the word of the
    ledger, go into the metadata, with what `provider.rebuilding` needs to know the job again.

    Raises ConfigurationError for an address that could not stand in a command line.
    """
    # Thermos takes two opening braces anywhere in a task for a variable of its own.
    for url in (inputs.url, push_url) if push_url else (inputs.url,):
        if not _URL.fullmatch(url):
            raise ConfigurationError(
                f"the address {url!r} for agents is not a plain URL", advice="check staging.advertise"
            )
    request = record.request
    return JobContext(
        cluster=cluster.name,
        role=record.key.role,
        environment=record.key.environment,
        name=record.key.name,
        tier=queue.tier,
        priority=queue.priority,
        max_task_failures=queue.max_task_failures,
        constraints={**dict(request.constraints), **queue.constraints},
        metadata=metadata_of(record, provider, ledger),
        cpus=request.resources.cpus,
        ram_bytes=request.resources.memory_mb * _MEBIBYTE,
        disk_bytes=request.resources.disk_mb * _MEBIBYTE,
        gpus=request.resources.gpus,
        finalization_wait=queue.kill_grace_seconds
        + FINALIZATION_MARGIN_SECONDS
        + (queue.outputs.push_seconds if push_url else 0),
        inputs_url=inputs.url,
        inputs_method=inputs.method,
        inputs_uris=inputs.uris,
        push_url=push_url,
        push_seconds=queue.outputs.push_seconds,
        values=dict(queue.values),
        aurora=dict(queue.aurora),
        mesos=dict(queue.mesos),
        nodes=request.nodes,
    )


def wrapper_context(
    record: JobRecord, queue: QueueSettings, settings: ProviderSettings, token: str
) -> WrapperContext:
    """What the wrapper template needs; ``token`` stands in the script for the sandbox directory.

    Raises ValueError for a token that is not made of letters, digits, ``@``, ``_`` and ``-``, and
    InvalidRequest if an output file would lie outside of the working directory, if a value cannot be
    handed to a process, or if more nodes were asked for than the queue gives.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"not a token: {token!r}")
    request = record.request
    if request.nodes > queue.max_nodes:
        raise InvalidRequest(
            f"job {record.id}: {request.nodes} nodes were asked for, of which the queue {queue.name} gives a"
            f" job {queue.max_nodes}",
            advice="ask for fewer nodes",
        )
    environment = slurm_environment(record, settings.name)
    for what, value in (*environment.items(), *(("argument", text) for text in request.script_arguments)):
        if "\0" in value:
            raise InvalidRequest(f"job {record.id}: {what} holds a NUL character", advice="remove it")
    return WrapperContext(
        job_id=record.id,
        token=token,
        environment=environment,
        arguments=request.script_arguments,
        stdout_parts=confined_parts(request.stdout, record, "--output"),
        stderr_parts=None if request.stderr is None else confined_parts(request.stderr, record, "--error"),
        stdin_parts=confined_parts(request.stdin, record, "--input"),
        append=request.append_output,
        umask="" if request.umask is None else f"{request.umask & 0o777:04o}",
        limit_centiseconds=request.wall_time_seconds * 100,
        grace_centiseconds=queue.kill_grace_seconds * 100,
        shared_directory=queue.inputs.on_agents(request.working_directory)
        if queue.inputs.method == "shared"
        else "",
        attempt=record.attempt,
    )


def slurm_environment(record: JobRecord, cluster_name: str) -> dict[str, str]:
    """The variables of a SLURM 22.05 batch job, as far as they are known before it runs: the names of several
    nodes come later.

    A value that nobody gave, such as an account, leaves its variable out. Which GPUs a job has is the
    agent's to say, so only their number is told.
    """
    request = record.request
    gpus = request.resources.gpus or None
    cpus = max(1, int(request.resources.cpus))
    memory = request.resources.memory_mb
    variables: dict[str, object] = {
        **_array_environment(record),
        "SLURM_CLUSTER_NAME": cluster_name,
        "SLURM_CPUS_ON_NODE": cpus,
        "SLURM_CPUS_PER_TASK": request.cpus_per_task,
        "SLURM_EXPORT_ENV": request.export,
        "SLURM_GET_USER_ENV": None if request.export is None else 1,
        "SLURM_GPUS": gpus if request.gpus_given else None,
        "SLURM_GPUS_ON_NODE": gpus,
        "SLURM_GTIDS": 0,
        "SLURM_JOBID": record.id,
        "SLURM_JOB_ACCOUNT": request.account or None,
        "SLURM_JOB_CPUS_PER_NODE": hostlist.repeated([cpus] * request.nodes),
        "SLURM_JOB_GID": request.gid,
        "SLURM_JOB_ID": record.id,
        "SLURM_JOB_NAME": request.name,
        "SLURM_JOB_NUM_NODES": request.nodes,
        "SLURM_JOB_PARTITION": request.queue,
        "SLURM_JOB_QOS": request.qos or None,
        "SLURM_JOB_RESERVATION": request.reservation or None,
        "SLURM_JOB_UID": request.uid,
        "SLURM_JOB_USER": request.user,
        "SLURM_LOCALID": 0,
        "SLURM_MEM_PER_CPU": None if request.memory_given else memory // cpus,
        "SLURM_MEM_PER_NODE": memory if request.memory_given else None,
        "SLURM_NNODES": request.nodes,
        "SLURM_NODEID": 0,
        "SLURM_NODE_ALIASES": "(null)",
        "SLURM_NPROCS": request.tasks if request.tasks_given else None,
        "SLURM_NTASKS": request.tasks if request.tasks_given else None,
        "SLURM_NTASKS_PER_NODE": request.tasks_per_node,
        "SLURM_PRIO_PROCESS": 0,
        "SLURM_PROCID": 0,
        "SLURM_RESTART_COUNT": record.attempt - 1 or None,
        "SLURM_SUBMIT_HOST": request.submit_host or None,
        "SLURM_TASKS_PER_NODE": hostlist.repeated(request.tasks_on_nodes),
        "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
    }
    return {name: str(value) for name, value in variables.items() if value is not None}


def _array_environment(record: JobRecord) -> dict[str, object]:
    if record.array_id is None or not record.request.array:
        return {}
    indexes = array_indexes(record.request.array)
    steps = {later - earlier for earlier, later in pairwise(indexes)}
    return {
        "SLURM_ARRAY_JOB_ID": record.array_id,
        "SLURM_ARRAY_TASK_COUNT": len(indexes),
        "SLURM_ARRAY_TASK_ID": record.array_index,
        "SLURM_ARRAY_TASK_MAX": indexes[-1],
        "SLURM_ARRAY_TASK_MIN": indexes[0],
        "SLURM_ARRAY_TASK_STEP": steps.pop() if len(steps) == 1 else 1,
    }


class TemplateLibrary:
    """The templates of the package, overridden by name by those of an administrator."""

    def __init__(self, directories: Sequence[Path] = ()) -> None:
        """``directories`` are searched in their order, before the package. None has to exist."""
        self._searched = (*directories, data_files.directory("templates"))
        self._environment = SandboxedEnvironment(
            loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(path) for path in self._searched]),
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters["tojson"] = _to_json
        self._environment.filters["shell_quote"] = _shell_quote

    def render_job(self, kind: str, template: str, context: JobContext) -> dict[str, object]:
        """The job configuration for a scheduler of ``kind``, from its template of that name.

        Raises ConfigurationError that names template, line and what is wrong. Repeatable.
        """
        for part in (kind, template):
            if not _TEMPLATE_NAME.fullmatch(part):
                raise ConfigurationError(
                    f"{part!r} is not the name of a template", advice="use letters, digits, _ and -"
                )
        name = f"{kind}/{template}.json.j2"
        text = self._render(name, _variables(context))
        try:
            document = json.loads(text, parse_constant=_no_constant)
        except ValueError as error:
            raise _not_json(name, text, error) from error
        if not isinstance(document, dict):
            raise ConfigurationError(
                f"template {name}: the result is a JSON {type(document).__name__}, not an object",
                advice="the outermost brackets must be { and }",
            )
        return merged(document, context.mesos if kind == "mesos" else context.aurora)

    def render_wrapper(self, context: WrapperContext) -> str:
        """The shell script that runs the job's script in its sandbox. Repeatable.

        Names that are not UTF-8 keep their surrogates: encode the text with ``surrogateescape``.
        Raises ConfigurationError.
        """
        for name in context.environment:
            if not _VARIABLE.fullmatch(name):
                raise ConfigurationError(f"{name!r} is not the name of an environment variable")
        return self._render("wrapper/run.sh.j2", _variables(context))

    def render_srun(self) -> str:
        """The ``srun`` that a job finds in its PATH. Repeatable. Raises ConfigurationError."""
        return self._render("wrapper/srun.sh.j2", {})

    def render_parallel(self) -> dict[str, str]:
        """The programs of a parallel job, by their names below the control directory. Repeatable.

        Raises ConfigurationError.
        """
        return {
            f"bin/{name}": self._render("wrapper/parallel.sh.j2", {"part": part})
            for name, part in (("node", "node"), ("remote-start", "start"))
        }

    def _render(self, name: str, variables: Mapping[str, object]) -> str:
        try:
            return self._environment.get_template(name).render(variables)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigurationError(
                f"template {error.name or name}, line {error.lineno}: {error.message}",
                advice="correct the template",
            ) from error
        except jinja2.TemplateNotFound as error:
            searched = ", ".join(str(path) for path in self._searched)
            raise ConfigurationError(
                f"there is no template {error.name or name} in {searched}",
                advice="add it, or change the queue's setting template",
            ) from error
        # A template is a program of an administrator: whatever it raises is an error of the template.
        except Exception as error:
            place = _template_line(error, self._searched)
            raise ConfigurationError(
                f"template {place or name}: {error}", advice="correct the template"
            ) from error


def _variables(context: JobContext | WrapperContext) -> dict[str, object]:
    return {one.name: getattr(context, one.name) for one in fields(context)}


def merged(document: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """A document with members of another put over its own.

    Objects are merged, other values replaced; None takes a member away. Metadata is added to what is there,
    since a job is known again by it.
    """
    made = dict(document)
    for name, value in over.items():
        before = made.get(name)
        if value is None:
            made.pop(name, None)
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            made[name] = merged(before, value)
        elif name == "metadata" and isinstance(before, list) and isinstance(value, (list, tuple)):
            made[name] = [*before, *value]
        else:
            made[name] = value
    return made


def _to_json(value: object) -> str:
    # Jinja's own filter writes HTML escapes, which are part of the text where no browser undoes them.
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises what tells the name
    return json.dumps(value, allow_nan=False)


def _shell_quote(value: object) -> str:
    text = str(value)
    if "\0" in text:
        raise ValueError("a value with a NUL character cannot be given to a shell")
    return shlex.quote(text)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _not_json(name: str, text: str, error: ValueError) -> ConfigurationError:
    if isinstance(error, json.JSONDecodeError):
        line = text.splitlines()[error.lineno - 1].strip() if text.strip() else ""
        detail = f"line {error.lineno} of the result, {line!r}: {error.msg}"
    else:
        detail = str(error)
    return ConfigurationError(
        f"template {name}: the result is not JSON: {detail}",
        advice="look for a missing comma or quote, and write values with the filter tojson",
    )


def _template_line(error: BaseException, directories: Sequence[Path]) -> str:
    """Place inside the templates where ``error`` arose, innermost; empty if it arose outside."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for directory in directories:
            if Path(frame.filename).is_relative_to(directory):
                return f"{Path(frame.filename).relative_to(directory)}, line {frame.lineno}"
    return ""
