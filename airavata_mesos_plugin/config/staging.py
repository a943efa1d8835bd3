"""How inputs go to the agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from airavata_mesos_plugin.config.types import BaseUrl, Settings


class StagingSettings(Settings):
    """How agents get the inputs: over HTTP from the daemon."""

    listen: str = Field("127.0.0.1", description="address that the daemon's HTTP server listens on")
    port: int = Field(0, ge=0, le=65535, description="0: any free port, kept over restarts")
    advertise: BaseUrl | None = Field(None, description="base URL under which agents reach the daemon")
    link_lifetime_seconds: int = Field(
        30 * 86400, gt=0, description="how long a job may wait until its download address expires"
    )
    transfers: int = Field(
        32, gt=0, description="jobs whose inputs are sent at the same time; others wait in line"
    )
    bandwidth_mb_per_second: float | None = Field(
        None, gt=0, description="of all inputs together, in 10^6 bytes; none: no limit"
    )
    job_bandwidth_mb_per_second: float | None = Field(None, gt=0, description="of the inputs of one job")


class UriSettings(Settings):
    """A file that Mesos' fetcher puts beside the sandbox of every job of a queue."""

    value: str = Field(
        pattern=r"^((https?|ftps?|file|hdfs)://|/)[^\s{}]+$",
        description="http(s), ftp(s), file or hdfs address, or an absolute path on the agents",
    )
    output_file: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+\-]*$", description="its name; none: as in the address"
    )
    extract: bool = Field(False, description="unpack it, when its name ends like that of an archive")
    cache: bool = Field(False, description="keep it on the agents: only what never changes under its address")


class InputSettings(Settings):
    """How the jobs of a queue get their inputs."""

    method: Literal["http", "mesos_fetcher", "sftp", "shared"] = Field(
        "http",
        description="http: agents download them from the daemon; mesos_fetcher: Mesos does, before the task"
        " starts; sftp: the daemon writes them into the sandbox; shared: agents see the working directory",
    )
    uris: tuple[UriSettings, ...] = Field((), description="what Mesos' fetcher brings besides")
    shared_path_map: Mapping[str, str] = Field(
        default_factory=dict,
        description="for shared: beginnings of paths here, and those on the agents where they differ",
    )

    @field_validator("shared_path_map")
    @classmethod
    def _paths_are_absolute(cls, given: Mapping[str, str]) -> Mapping[str, str]:
        for path in (*given.keys(), *given.values()):
            if not path.startswith("/") or "\0" in path:
                raise ValueError(f"{path!r} is not an absolute path")
        return given

    def on_agents(self, directory: str) -> str:
        """What an absolute path is called on the agents; the longest entry of the map counts."""
        for here in sorted(self.shared_path_map, key=len, reverse=True):
            beginning = here.rstrip("/")
            if directory == beginning or directory.startswith(beginning + "/"):
                there = self.shared_path_map[here].rstrip("/")
                return there + directory[len(beginning) :] or "/"
        return directory
