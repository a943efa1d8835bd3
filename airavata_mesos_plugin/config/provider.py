"""Everything that the provider needs to know."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from airavata_mesos_plugin.config.airavata import AiravataSettings
from airavata_mesos_plugin.config.cluster import ClusterSettings
from airavata_mesos_plugin.config.fetching import FetchSettings
from airavata_mesos_plugin.config.names import IDENTIFIER
from airavata_mesos_plugin.config.queue import QueueSettings
from airavata_mesos_plugin.config.service import AccountSettings, ServiceSettings
from airavata_mesos_plugin.config.staging import StagingSettings
from airavata_mesos_plugin.config.types import Settings
from airavata_mesos_plugin.errors import NotFound


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
        clusters = {cluster.name: cluster for cluster in self.clusters}
        for queue in self.queues:
            if queue.cluster not in clusters:
                raise ValueError(f"queue {queue.name!r} names the unknown cluster {queue.cluster!r}")
            if "sftp" in (queue.inputs.method, queue.outputs.method) and not clusters[queue.cluster].sftp:
                raise ValueError(f"queue {queue.name!r} needs sftp in the cluster {queue.cluster!r}")
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
