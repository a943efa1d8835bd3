"""How outputs come back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from airavata_mesos_plugin.config.patterns import Patterns
from airavata_mesos_plugin.config.types import Settings


class FetchSettings(Settings):
    """How outputs come back."""

    jobs: int = Field(4, gt=0, description="jobs whose outputs are fetched at the same time")
    long_jobs: int = Field(4, gt=0, description="besides them, those that take longer than long_seconds")
    long_seconds: float = Field(15.0, gt=0, description="after this a fetch makes way for other jobs")
    connections: int = Field(8, gt=0, description="connections to one agent")
    read_timeout_seconds: float = Field(60.0, gt=0, description="longest silence of an agent")
    least_bytes_per_second: float = Field(
        16.0, ge=0, description="an agent that sends less for that long counts as silent; 0: any will do"
    )
    attempts: int = Field(5, gt=0, description="tries until a fetch counts as failed")
    retry_seconds: float = Field(5.0, ge=0, description="pause before the second try; it doubles")


class OutputSettings(Settings):
    """Which outputs of a queue's jobs come back, and by what way."""

    method: Literal["files_api", "sftp", "shared", "push"] = Field(
        "files_api",
        description="how files come from the agents: files_api: from Mesos; sftp: from sshd on the agents;"
        " shared: the job ran in the working directory; push: agents send them to the daemon",
    )
    nodes: Literal["first", "all"] = Field(
        "first",
        description="of which nodes of a parallel job outputs come back; those of other nodes than the first"
        " one come into nodes/<node>/; a job script may say otherwise",
    )
    push_seconds: int = Field(
        600, gt=0, description="for push: how long a job may take to send its outputs at its end"
    )
    include: Patterns = Field(
        (), description="patterns as in a .gitignore file: only these files come back; none: all"
    )
    exclude: Patterns = Field((), description="patterns of files that do not come back")
    max_file_mb: int | None = Field(None, gt=0, description="larger files are left out; none: no limit")
    max_total_mb: int | None = Field(None, gt=0, description="what all files of a job may have together")
    live: Patterns = Field(
        (), description="patterns of files that are also brought while their job runs; none: no files"
    )
    live_interval_seconds: float = Field(60.0, ge=1, description="between two looks at such files")
    max_files: int | None = Field(None, gt=0, description="how many files of a job come back at most")

    @model_validator(mode="after")
    def _only_the_first_node_pushes(self) -> OutputSettings:
        if self.method == "push" and self.nodes == "all":
            raise ValueError(
                "nodes: all cannot be had with the method push: of a parallel job only the first node sends"
            )
        return self
