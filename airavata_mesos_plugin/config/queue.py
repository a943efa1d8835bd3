"""One partition, as gateway users see it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from airavata_mesos_plugin.config.fetching import OutputSettings
from airavata_mesos_plugin.config.names import IDENTIFIER, QUEUE_NAME
from airavata_mesos_plugin.config.staging import InputSettings
from airavata_mesos_plugin.config.types import Settings


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
    mesos: Mapping[str, object] = Field(
        default_factory=dict,
        description="on clusters of the kind mesos: members of its job form; they go over the template's",
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
    max_nodes: int = Field(1, gt=0, description="most nodes of one job; above 1 they need python3")
    parallel_template: str = Field(
        "mpi", pattern=r"^[A-Za-z0-9_\-]+$", description="template of jobs with several nodes"
    )
    gathering_seconds: int = Field(
        300, gt=0, description="from the start of a job's first node until all have started, or it tries anew"
    )
    silence_seconds: int = Field(
        60, gt=0, description="a node of a parallel job that gives no sign of life for so long is lost"
    )
    kill_grace_seconds: int = Field(30, ge=0, description="between TERM and KILL at the wall time limit")
    inputs: InputSettings = InputSettings()
    outputs: OutputSettings = OutputSettings()

    @model_validator(mode="after")
    def _limits_agree(self) -> QueueSettings:
        if self.default_wall_time_minutes > self.max_wall_time_minutes:
            raise ValueError("default_wall_time_minutes is above max_wall_time_minutes")
        if self.inputs.method == "sftp" and self.max_nodes > 1:
            raise ValueError(
                f"the input method sftp serves one node, max_nodes is {self.max_nodes}: the daemon would have"
                " to write into the sandboxes of nodes that it does not know yet; use http or mesos_fetcher,"
                " by which nodes fetch their inputs, or shared"
            )
        if (self.inputs.method == "shared") != (self.outputs.method == "shared"):
            raise ValueError("the method shared is for inputs and outputs together")
        return self
