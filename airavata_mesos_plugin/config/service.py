"""What the daemon offers, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from airavata_mesos_plugin.config.types import Settings


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
