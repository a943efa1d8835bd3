"""Settings: models with their defaults and help, and how they are read.

Source of a value, strongest first: command line (``--config``, ``--home``), environment
(``AIRAVATA_MESOS_CONFIG``, ``AIRAVATA_MESOS_HOME``), the file itself, the default written here.
Without any file the provider runs on an embedded minicluster.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
import yaml
from pydantic import Field, ValidationError, model_validator

from airavata_mesos_plugin.airavata_settings import AiravataSettings
from airavata_mesos_plugin.errors import ConfigurationError, NotFound
from airavata_mesos_plugin.jobs import Resources
from airavata_mesos_plugin.setting_types import BaseUrl, SecretSource, Settings

SYSTEM_CONFIG = Path("/etc/airavata-mesos/provider.yaml")
SYSTEM_HOME = Path("/var/lib/airavata-mesos")
"""Home directory of a daemon of root."""

IDENTIFIER = r"^[A-Za-z0-9_.\-]{1,255}$"
"""Roles, environments and job names: Aurora 0.22, ``ConfigurationManager``."""

HOST_AND_PORT = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.\-]+)(:[0-9]{1,5})?$"
ZOOKEEPER_PATH = r"^(/[^/\s]+)+$"
QUEUE_NAME = r"^[A-Za-z0-9_]+$"
"""Airavata's look-up of a job by name breaks on any other character in the partition column."""


class AuthenticationSettings(Settings):
    """Who we are towards a scheduler or a Mesos master. The secret itself never stands here."""

    mechanism: Literal["none", "basic", "kerberos", "bearer"] = "none"
    user: str | None = Field(None, pattern=r"^[^:]+$", description="for basic")
    password: SecretSource | None = Field(None, description="for basic")
    token: SecretSource | None = Field(None, description="for bearer; a file is read again when it changes")
    token_from: str | None = Field(
        None,
        pattern=r"^[\w.]+:\w+$",
        description="for bearer: function that gives it, package.module:function",
    )
    kerberos_service: str = Field("HTTP", description="for kerberos: first part of the server's principal")

    @model_validator(mode="after")
    def _what_the_mechanism_needs(self) -> AuthenticationSettings:
        basic = self.mechanism == "basic"
        if basic != (self.user is not None) or basic != (self.password is not None):
            raise ValueError("user and password go with the mechanism basic, and are required there")
        tokens = (self.token is not None) + (self.token_from is not None)
        if tokens != (self.mechanism == "bearer"):
            raise ValueError("the mechanism bearer, and no other, needs either token or token_from")
        return self


class TlsSettings(Settings):
    """Certificates for https addresses."""

    ca: Path | None = Field(None, description="PEM file with the authorities; none: the public ones")
    certificate: Path | None = Field(None, description="PEM file with our certificate and its chain")
    key: Path | None = Field(None, description="PEM file with its key; none: in the same file")

    @model_validator(mode="after")
    def _key_belongs(self) -> TlsSettings:
        if self.key is not None and self.certificate is None:
            raise ValueError("a key needs a certificate")
        return self


class SaslSettings(Settings):
    """SASL towards ZooKeeper. Needs the extra ``zookeeper-sasl``."""

    mechanism: Literal["DIGEST-MD5", "GSSAPI"] = "DIGEST-MD5"
    username: str | None = Field(None, description="for DIGEST-MD5")
    password: SecretSource | None = Field(None, description="for DIGEST-MD5")
    service: str = Field("zookeeper", description="for GSSAPI: first part of the server's principal")

    @model_validator(mode="after")
    def _complete(self) -> SaslSettings:
        digest = self.mechanism == "DIGEST-MD5"
        if digest != (self.username is not None) or digest != (self.password is not None):
            raise ValueError("username and password go with DIGEST-MD5, and are required there")
        return self


class ZooKeeperSettings(Settings):
    """The ensemble in which the leading scheduler and the leading Mesos master are announced."""

    hosts: tuple[Annotated[str, Field(pattern=HOST_AND_PORT)], ...] = Field(
        min_length=1, description="host or host:port of the servers; 2181 is the default port"
    )
    aurora_path: str | None = Field(
        "/aurora/scheduler",
        pattern=ZOOKEEPER_PATH,
        description="the scheduler's -serverset_path; none: not there",
    )
    mesos_path: str | None = Field(None, pattern=ZOOKEEPER_PATH, description="path of the masters' --zk")
    mesos_scheme: Literal["http", "https"] = Field("http", description="Mesos does not announce it")
    digest: SecretSource | None = Field(None, description="user:password of the digest scheme")
    sasl: SaslSettings | None = None
    session_timeout_seconds: float = Field(15.0, ge=1)
    wait_seconds: float = Field(10.0, ge=0, description="how long a call waits until somebody leads")


class LimitSettings(Settings):
    """How a cluster's scheduler is spared."""

    breaker_failures: int = Field(
        10,
        gt=0,
        description="calls in a row that do not reach the scheduler until nothing is sent for a while",
    )
    breaker_pause_seconds: float = Field(5.0, ge=0, description="that while; then one call tries")
    creates_per_second: float | None = Field(
        None, gt=0, description="jobs created in a second; none: no limit"
    )
    creates_burst: int = Field(50, gt=0, description="jobs created at once before that limit holds")


class ClusterSettings(Settings):
    """One Mesos cluster with its scheduler.

    Schedulers and masters are found by ZooKeeper, by a list of addresses, or by the list when ZooKeeper
    does not answer.
    """

    name: str = Field(pattern=IDENTIFIER, description="name of the cluster in tables and job keys")
    kind: Literal["aurora"] = Field("aurora", description="the scheduler that runs on it")
    schedulers: tuple[BaseUrl, ...] = Field(
        (), description="base URLs of the Aurora schedulers; any of them may lead"
    )
    mesos_masters: tuple[BaseUrl, ...] = Field(
        (), description="base URLs of the Mesos masters; any of them may lead"
    )
    zookeeper: ZooKeeperSettings | None = Field(None, description="where leaders are announced")
    authentication: AuthenticationSettings = AuthenticationSettings()
    mesos_authentication: AuthenticationSettings = AuthenticationSettings()
    tls: TlsSettings = Field(TlsSettings(), description="for schedulers and Mesos masters")
    framework_name: str = Field("Aurora", description="name under which the scheduler is registered at Mesos")
    protocol: Literal["auto", "binary", "json"] = Field(
        "auto", description="Thrift protocol; auto starts with binary and falls back to JSON"
    )
    connect_timeout_seconds: float = Field(5.0, gt=0, description="time to open a connection")
    call_timeout_seconds: float = Field(30.0, gt=0, description="time for one whole call")
    poll_interval_seconds: float = Field(5.0, gt=0, description="pause between two monitoring rounds")
    absence_seconds: float = Field(
        300.0, ge=0, description="how long a job may be unknown to the scheduler until it counts as lost"
    )
    limits: LimitSettings = LimitSettings()
    embedded: bool = Field(False, description="started and stopped by the daemon itself")

    @model_validator(mode="after")
    def _leaders_can_be_found(self) -> ClusterSettings:
        keeper = self.zookeeper
        if not self.schedulers and (keeper is None or keeper.aurora_path is None):
            raise ValueError("give schedulers, or zookeeper with aurora_path")
        if not self.mesos_masters and (keeper is None or keeper.mesos_path is None):
            raise ValueError("give mesos_masters, or zookeeper with mesos_path")
        return self


class QueueSettings(Settings):
    """One partition, as gateway users see it, and what its jobs become on the cluster."""

    name: str = Field(pattern=QUEUE_NAME, description="letters, digits and underscore only")
    cluster: str
    role: str = Field(pattern=IDENTIFIER, description="Aurora role; the Unix account that runs the task")
    environment: str = Field("prod", pattern=IDENTIFIER, description="prod, devel, test or staging<n>")
    tier: str = Field("preemptible", pattern=IDENTIFIER, description="Aurora tier")
    priority: int = 0
    max_task_failures: int = Field(1, ge=1, description="1: a failed job is not started again")
    template: str = Field("serial", pattern=r"^[A-Za-z0-9_\-]+$", description="job template without ending")
    values: Mapping[str, str | int | float | bool] = Field(
        default_factory=dict, description="what the template needs besides: image, instances, gpus"
    )
    aurora: Mapping[str, object] = Field(
        default_factory=dict, description="members of Aurora's job form; they go over those of the template"
    )
    constraints: Mapping[str, str] = Field(
        default_factory=dict, description="agent attributes, in the form of Aurora's command line"
    )
    default_memory_mb_per_cpu: int = Field(1024, gt=0)
    disk_mb: int = Field(4096, gt=0, description="sandbox space of a job")
    default_wall_time_minutes: int = Field(60, gt=0)
    max_wall_time_minutes: int = Field(7 * 24 * 60, gt=0)
    max_cpus: int | None = Field(None, gt=0, description="most CPUs of one job; none: what the nodes have")
    max_memory_mb: int | None = Field(None, gt=0, description="most memory of one job")
    kill_grace_seconds: int = Field(30, ge=0, description="between TERM and KILL at the wall time limit")

    @model_validator(mode="after")
    def _limits_agree(self) -> QueueSettings:
        if self.default_wall_time_minutes > self.max_wall_time_minutes:
            raise ValueError("default_wall_time_minutes is above max_wall_time_minutes")
        return self


class StagingSettings(Settings):
    """How agents get the inputs: over HTTP from the daemon."""

    listen: str = Field("127.0.0.1", description="address that the daemon's HTTP server listens on")
    port: int = Field(0, ge=0, le=65535, description="0: any free port, kept over restarts")
    advertise: BaseUrl | None = Field(None, description="base URL under which agents reach the daemon")
    link_lifetime_seconds: int = Field(
        30 * 86400, gt=0, description="how long a job may wait until its download address expires"
    )


class FetchSettings(Settings):
    """How outputs come back."""

    jobs: int = Field(4, gt=0, description="jobs whose outputs are fetched at the same time")
    connections: int = Field(8, gt=0, description="connections to one agent")
    read_timeout_seconds: float = Field(60.0, gt=0, description="longest silence of an agent")
    attempts: int = Field(5, gt=0, description="tries until a fetch counts as failed")
    retry_seconds: float = Field(5.0, ge=0, description="pause before the second try; it doubles")


class ThriftSettings(Settings):
    """The Thrift service on TCP: TLS only, and only for certificates that an account is named for."""

    listen: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(ge=0, le=65535, description="0: any free port, told in the ready line")
    certificate: Path = Field(description="PEM file with our certificate and its chain")
    key: Path = Field(description="PEM file with its key")
    client_ca: Path = Field(description="PEM file with the authorities whose client certificates count")
    accounts: Mapping[str, str] = Field(
        min_length=1, description="name in a client certificate, and the local account that it acts as"
    )


class ServiceSettings(Settings):
    """What the daemon offers beside the commands."""

    thrift: ThriftSettings | None = Field(
        None, description="the Thrift service on TCP; on the Unix socket it is always there"
    )


class AccountSettings(Settings):
    """Whom a daemon that runs as root serves. Any other daemon serves its own account only."""

    allow: tuple[str, ...] = Field(
        (), description="names or numbers of accounts, and groups as @name; none: every account of the host"
    )
    refuse: tuple[str, ...] = Field((), description="the same form; stronger than allow")
    see_all_jobs: bool = Field(True, description="False: an account sees its own jobs only")


class ProviderSettings(Settings):
    """Everything that the provider needs to know."""

    name: str = Field("mesos", pattern=IDENTIFIER, description="name of this resource: SLURM_CLUSTER_NAME")
    clusters: tuple[ClusterSettings, ...] = Field(min_length=1)
    queues: tuple[QueueSettings, ...] = Field(min_length=1)
    default_queue: str | None = Field(None, description="partition of jobs without -p; none: the first")
    template_directories: tuple[Path, ...] = Field(
        (), description="searched by name before the templates of the package"
    )
    max_script_bytes: int = Field(4 * 1024 * 1024, gt=0, description="as SLURM's max_script_size")
    staging: StagingSettings = StagingSettings()
    fetch: FetchSettings = FetchSettings()
    service: ServiceSettings = ServiceSettings()
    accounts: AccountSettings = AccountSettings()
    airavata: AiravataSettings = AiravataSettings()

    @model_validator(mode="after")
    def _names_agree(self) -> ProviderSettings:
        for what, names in (
            ("cluster", [cluster.name for cluster in self.clusters]),
            ("queue", [queue.name for queue in self.queues]),
        ):
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ValueError(f"{what} {doubled[0]!r} is defined twice")
        clusters = {cluster.name for cluster in self.clusters}
        for queue in self.queues:
            if queue.cluster not in clusters:
                raise ValueError(f"queue {queue.name!r} names the unknown cluster {queue.cluster!r}")
        if self.default_queue is not None and self.default_queue not in {q.name for q in self.queues}:
            raise ValueError(f"default_queue {self.default_queue!r} is not a queue")
        return self

    def queue(self, name: str | None) -> QueueSettings:
        """The queue of that name, or the default queue for None. Raises NotFound."""
        if name is None:
            name = self.default_queue or self.queues[0].name
        for queue in self.queues:
            if queue.name == name:
                return queue
        raise NotFound(f"invalid partition specified: {name}")

    def cluster(self, name: str) -> ClusterSettings:
        """The cluster of that name. Raises NotFound."""
        for cluster in self.clusters:
            if cluster.name == name:
                return cluster
        raise NotFound(f"no cluster is called {name!r}")


def queue_ceiling(queue: QueueSettings) -> Resources:
    """The queue's own limits; what has none is as large as can be."""
    unlimited = 2**31
    return Resources(
        cpus=queue.max_cpus or unlimited,
        memory_mb=queue.max_memory_mb or unlimited,
        disk_mb=unlimited,
        gpus=unlimited,
    )


_EMBEDDED = {
    "clusters": [
        {
            "name": "embedded",
            # The daemon puts the addresses of the minicluster here once it listens.
            "schedulers": ["http://127.0.0.1:1"],
            "mesos_masters": ["http://127.0.0.1:1"],
            "poll_interval_seconds": 0.5,
            "absence_seconds": 30,
            "embedded": True,
        }
    ],
    "queues": [{"name": "default", "cluster": "embedded", "role": "airavata"}],
}


def embedded_settings() -> ProviderSettings:
    """Settings without any file: a minicluster on this machine."""
    return ProviderSettings.model_validate(_EMBEDDED)


def home_directory(given: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the ledger, the sockets and the secrets live; nothing is created.

    Where nothing is said it is `SYSTEM_HOME` for root and the account's state directory for others.
    """
    text = given or environ.get("AIRAVATA_MESOS_HOME")
    if not text and os.geteuid() == 0:
        return SYSTEM_HOME
    path = Path(text) if text else platformdirs.user_state_path("airavata-mesos")
    return path.absolute()


def serving_home(
    given: str | None = None, environ: Mapping[str, str] = os.environ, system_home: Path = SYSTEM_HOME
) -> Path:
    """Home directory of the daemon that serves this account: its own one, or else root's if there is one."""
    own = home_directory(given, environ)
    if given or environ.get("AIRAVATA_MESOS_HOME") or own.exists() or not system_home.exists():
        return own
    return system_home


def load(
    given: str | None = None,
    environ: Mapping[str, str] = os.environ,
    system_config: Path = SYSTEM_CONFIG,
) -> tuple[ProviderSettings, Path | None]:
    """The settings and the file that they came from (None: the embedded default).

    Raises ConfigurationError that names the file and the wrong entry.
    """
    text = given or environ.get("AIRAVATA_MESOS_CONFIG")
    if text:
        path = Path(text).absolute()
    elif system_config.exists():
        path = system_config
    else:
        return embedded_settings(), None
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration {path}: {error.strerror}",
            advice="name a readable file with --config or AIRAVATA_MESOS_CONFIG",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} must hold a mapping with the members clusters and queues")
    try:
        return ProviderSettings.model_validate(document), path
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {describe(error)}") from error


def describe(error: ValidationError) -> str:
    """A validation error in one line: each wrong entry with its place and what is wrong with it."""
    parts = []
    for item in error.errors(include_url=False):
        place = ".".join(str(step) for step in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}" if place else text)
    return "; ".join(parts)
