"""How outputs come back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from airavata_mesos_plugin.config.types import Settings


class FetchSettings(Settings):
    """How outputs come back."""

    jobs: int = Field(4, gt=0, description="jobs whose outputs are fetched at the same time")
    connections: int = Field(8, gt=0, description="connections to one agent")
    read_timeout_seconds: float = Field(60.0, gt=0, description="longest silence of an agent")
    attempts: int = Field(5, gt=0, description="tries until a fetch counts as failed")
    retry_seconds: float = Field(5.0, ge=0, description="pause before the second try; it doubles")


class OutputSettings(Settings):
    """Which outputs of a queue's jobs come back, and by what way."""

    method: Literal["files_api", "sftp", "shared", "push"] = Field(
        "files_api", description="how files come from the agents"
    )
