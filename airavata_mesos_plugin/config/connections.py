"""How a cluster's servers are reached: authentication, certificates, ZooKeeper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from airavata_mesos_plugin.config.types import SecretSource, Settings

HOST_AND_PORT = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.\-]+)(:[0-9]{1,5})?$"
ZOOKEEPER_PATH = r"^(/[^/\s]+)+$"
ACCOUNT_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$"


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


class SftpSettings(Settings):
    """SSH to the hosts of agents, for queues whose files travel with SFTP."""

    user: str | None = Field(
        None,
        pattern=ACCOUNT_NAME,
        description="account there; none: the role of the job, who owns its sandbox",
    )
    port: int = Field(22, ge=1, le=65535)
    key: Path = Field(description="private key without a passphrase, for this use alone")
    known_hosts: Path = Field(description="host keys of the agents, as ssh-keyscan writes them")
    work_dir: str | None = Field(
        None,
        pattern=r"^/",
        description="the agents' work_dir as SFTP shows it; none: what the agent says, which takes its HTTP",
    )
    connections: int = Field(2, gt=0, description="connections to one agent; more are rarely faster")
    idle_seconds: float = Field(60.0, ge=0, description="how long an unused connection is kept")
    connect_timeout_seconds: float = Field(15.0, gt=0, description="for each step until the log-in is done")


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
