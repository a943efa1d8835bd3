"""How inputs go to the agents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airavata_mesos_plugin.config.types import BaseUrl, Settings


class StagingSettings(Settings):
    """How agents get the inputs: over HTTP from the daemon."""

    listen: str = Field("127.0.0.1", description="address that the daemon's HTTP server listens on")
    port: int = Field(0, ge=0, le=65535, description="0: any free port, kept over restarts")
    advertise: BaseUrl | None = Field(None, description="base URL under which agents reach the daemon")
    link_lifetime_seconds: int = Field(
        30 * 86400, gt=0, description="how long a job may wait until its download address expires"
    )


class InputSettings(Settings):
    """How the jobs of a queue get their inputs."""

    method: Literal["http"] = Field("http", description="http: agents download them from the daemon")
