"""Settings of the channels on which Airavata is told how its jobs stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from airavata_mesos_plugin.config.types import BaseUrl, SecretSource, Settings


class Login(Settings):
    """A name with a password that stands somewhere else."""

    username: str | None = Field(None, description="none: no authentication")
    password_file: Path | None = Field(None, description="file with the password in its first line")
    password_environment: str | None = Field(None, description="environment variable with the password")

    @property
    def password(self) -> SecretSource | None:
        """Where the password stands; None without a user name."""
        if self.username is None:
            return None
        return SecretSource(file=self.password_file, variable=self.password_environment)

    @model_validator(mode="after")
    def _one_password(self) -> Login:
        given = [x for x in (self.password_file, self.password_environment) if x is not None]
        if (self.username is not None) != (len(given) == 1):
            raise ValueError("username goes with exactly one of password_file and password_environment")
        return self


class KafkaRestSettings(Settings):
    """Airavata develop with its realtime monitor: the REST proxy that its job scripts name."""

    enabled: bool = Field(True, description="used for every script that has Airavata's status lines")
    endpoint: BaseUrl | None = Field(
        None, description="address of the topic; none: the one in the script's status lines"
    )
    timeout_seconds: float = Field(10.0, gt=0, description="time for one whole call")


class KafkaSettings(Login):
    """Airavata develop: the topic on which it collects the states of jobs."""

    bootstrap_servers: tuple[str, ...] = Field(min_length=1, description="host:port of the brokers")
    topic: str = Field(
        "monitoring-data", pattern=r"^[A-Za-z0-9._\-]{1,249}$", description="job.monitor.broker.topic"
    )
    publisher: str = Field(
        "airavata-mesos", pattern=r"^[^,\s]+$", description="what Airavata takes for the sender"
    )
    options: Mapping[str, str] = Field(
        default_factory=dict, description="more settings of librdkafka: security.protocol, ssl.ca.location"
    )
    timeout_seconds: float = Field(10.0, gt=0, description="until a message must have been acknowledged")


class MailSettings(Login):
    """Airavata 0.17, or develop without Kafka: mail as SLURM sends it."""

    host: str = Field(min_length=1, description="the SMTP server")
    port: int = Field(25, ge=1, le=65535)
    sender: str = Field(
        pattern=r"^[^@\s,<>]+@[^@\s,<>]+$",
        description="From; one that Airavata's mail settings name for SLURM",
    )
    security: Literal["none", "starttls", "tls"] = Field("none", description="tls: from the first byte on")
    ca_file: Path | None = Field(None, description="authorities of the server; none: the system's")
    domain: str | None = Field(
        None, description="added to recipients that are account names; none: those get no mail"
    )
    timeout_seconds: float = Field(30.0, gt=0, description="longest silence of the server")

    @model_validator(mode="after")
    def _no_plain_password(self) -> MailSettings:
        if self.username is not None and self.security == "none":
            raise ValueError("a password needs security: starttls or tls")
        return self


def _version_text(value: object) -> object:
    return str(value) if isinstance(value, float) else value  # YAML reads 0.17 as a number


class AiravataSettings(Settings):
    """Which Airavata is there and how it is told of its jobs. Airavata master asks by itself."""

    version: Annotated[Literal["0.17", "develop", "master"], BeforeValidator(_version_text)] = Field(
        "develop", description="0.17, develop (0.21) or master"
    )
    kafka_rest: KafkaRestSettings = KafkaRestSettings()
    kafka: KafkaSettings | None = None
    mail: MailSettings | None = None
    pause_seconds: float = Field(
        2.0, ge=0, description="between two states of a job; Airavata may mix up those that come together"
    )
    settle_seconds: float = Field(
        10.0,
        ge=0,
        description="time in which Airavata stores a job after its submission: the end is told no sooner on"
        " Kafka, and a start that was told sooner is told once more",
    )
    retry_seconds: float = Field(5.0, gt=0, description="pause before the second try; it doubles")
    longest_retry_seconds: float = Field(300.0, gt=0, description="longest pause between two tries")
    give_up_hours: float = Field(168.0, gt=0, description="how long a state is tried to be told")

    @model_validator(mode="after")
    def _channels_fit(self) -> AiravataSettings:
        if self.version == "0.17" and self.kafka is not None:
            raise ValueError("Airavata 0.17 does not read Kafka; use mail")
        if self.version == "0.17" and self.mail is None:
            raise ValueError("Airavata 0.17 hears of the end of a job by mail only; add mail")
        if self.version == "master" and self.kafka is not None:
            raise ValueError("Airavata master asks for states itself and does not read Kafka; remove kafka")
        return self
