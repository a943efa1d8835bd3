"""What the steps of the life cycle share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import OutputSettings, ProviderSettings
from airavata_mesos_plugin.errors import AiravataMesosError, NotFound
from airavata_mesos_plugin.jobs import JobKey, JobRecord
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.sources import Opener, Sources
from airavata_mesos_plugin.sandbox.tickets import Tickets
from airavata_mesos_plugin.sandbox.user_files import FilesOf
from airavata_mesos_plugin.schedulers.base import Node, Scheduler
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.templating import TemplateLibrary

if TYPE_CHECKING:
    from airavata_mesos_plugin.sandbox.sftp.source import SftpSources

ScriptFilter = Callable[[str], str]
"""Changes a job script before it is shipped, without changing what the script computes."""


@dataclass
class ClusterView:
    """What is known of a cluster right now; in memory only. Times are seconds since the epoch."""

    nodes: list[Node] = field(default_factory=list)
    answered_at: float | None = None  # the last call that worked
    trouble: str = ""  # why the last call did not work; empty when it did
    wake: threading.Event = field(default_factory=threading.Event)  # there is something to do at once


@dataclass(frozen=True)
class Parts:
    """The tools of the life cycle, made by whoever starts the provider."""

    settings: ProviderSettings
    ledger: Ledger
    schedulers: Mapping[str, Scheduler]
    templates: TemplateLibrary
    tickets: Tickets
    files_of: FilesOf  # everything that touches files of an account goes through this
    files: FilesClient
    clock: Clock
    staging_url: Callable[[], str]  # base URL under which agents reach the daemon
    sftp: SftpSources | None = None  # for clusters that have settings for it
    script_filters: tuple[ScriptFilter, ...] = ()
    views: dict[str, ClusterView] = field(default_factory=dict)
    outputs_due: threading.Event = field(default_factory=threading.Event)
    openers: Mapping[str, Opener] = field(default_factory=dict)  # of outputs, besides the files API

    def __post_init__(self) -> None:
        for name in self.schedulers:
            self.views.setdefault(name, ClusterView())

    @property
    def sources(self) -> Sources:
        """Opens sandboxes for whoever looks at them while jobs run."""
        return Sources(self.files, self.openers)

    def key(self, queue: str, job_id: int, attempt: int) -> JobKey:
        """The job key of an attempt: unique for this ledger, so that it can always be looked up."""
        settings = self.settings.queue(queue)
        name = f"{self.settings.name}-{self.ledger.instance}-{job_id}-{attempt}"
        return JobKey(settings.role, settings.environment, name)

    def expiry(self, record: JobRecord) -> int:
        """When the addresses that are given out for an attempt expire, in seconds since the epoch."""
        # A job that was kept back, or is started again, has the whole time from then on.
        since = max(record.submitted_at or 0, record.eligible_at or 0, record.accepted_at)
        return int(since) + self.settings.staging.link_lifetime_seconds

    def outputs_of(self, queue: str) -> OutputSettings:
        """How the outputs of a queue's jobs come back. Those of a queue that the settings do not have any
        more come in the ordinary way: its last jobs have to end, too.
        """
        try:
            return self.settings.queue(queue).outputs
        except NotFound:
            return OutputSettings()

    def answered(self, cluster: str) -> None:
        """The cluster's scheduler has answered a call."""
        view = self.views[cluster]
        view.answered_at, view.trouble = self.clock.now(), ""

    def failed(self, cluster: str, error: AiravataMesosError) -> None:
        """A call to the cluster's scheduler failed; what is known only grows older."""
        self.views[cluster].trouble = str(error)
