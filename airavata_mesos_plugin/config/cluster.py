"""One Mesos cluster with its scheduler."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from airavata_mesos_plugin.config.connections import (
    AuthenticationSettings,
    SftpSettings,
    TlsSettings,
    ZooKeeperSettings,
)
from airavata_mesos_plugin.config.mesos import MesosSettings
from airavata_mesos_plugin.config.names import IDENTIFIER
from airavata_mesos_plugin.config.types import BaseUrl, Settings


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
    kind: Literal["aurora", "mesos"] = Field(
        "aurora", description="the scheduler: Aurora, or the daemon itself on the offers of Mesos"
    )
    schedulers: tuple[BaseUrl, ...] = Field(
        (), description="base URLs of the Aurora schedulers; any of them may lead"
    )
    mesos_masters: tuple[BaseUrl, ...] = Field(
        (), description="base URLs of the Mesos masters; any of them may lead"
    )
    zookeeper: ZooKeeperSettings | None = Field(None, description="where leaders are announced")
    authentication: AuthenticationSettings = AuthenticationSettings()
    mesos_authentication: AuthenticationSettings = Field(
        AuthenticationSettings(), description="towards Mesos masters and agents"
    )
    tls: TlsSettings = Field(TlsSettings(), description="for schedulers, Mesos masters and agents")
    mesos: MesosSettings = Field(MesosSettings(), description="for the kind mesos")
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
    sftp: SftpSettings | None = Field(None, description="SSH to the agents, for queues with the method sftp")
    limits: LimitSettings = LimitSettings()
    embedded: bool = Field(False, description="started and stopped by the daemon itself")

    @property
    def agent_access(self) -> str:
        """Name of this cluster if its agents want credentials or special certificates, else empty."""
        open_to_all = self.mesos_authentication.mechanism == "none" and self.tls == TlsSettings()
        return "" if open_to_all else self.name

    @model_validator(mode="after")
    def _leaders_can_be_found(self) -> ClusterSettings:
        keeper = self.zookeeper
        if self.kind == "mesos":
            if not self.mesos_masters and (keeper is None or keeper.mesos_path is None):
                raise ValueError("give mesos_masters, or zookeeper with mesos_path")
            if self.embedded:
                raise ValueError("the embedded minicluster is of the kind aurora")
            return self
        if not self.schedulers and (keeper is None or keeper.aurora_path is None):
            raise ValueError("give schedulers, or zookeeper with aurora_path")
        if not self.mesos_masters and (keeper is None or keeper.mesos_path is None):
            raise ValueError("give mesos_masters, or zookeeper with mesos_path")
        return self
