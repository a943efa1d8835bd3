"""The tools of a life cycle, from the few things in which tests differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.provider import Parts
from airavata_mesos_plugin.sandbox.accounts.own_files import OwnFiles
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.tickets import Tickets
from airavata_mesos_plugin.schedulers.base import Scheduler
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.templating import TemplateLibrary

NO_STAGING = "http://127.0.0.1:1"
"""Where nobody serves inputs."""


def parts_of(
    settings: ProviderSettings,
    ledger: Ledger,
    schedulers: Mapping[str, Scheduler],
    clock: Clock,
    *,
    files: FilesClient,
    fetcher: Fetcher | None = None,
    staging_url: Callable[[], str] = lambda: NO_STAGING,
) -> Parts:
    """For a provider that reaches files with the rights of this process. Nothing is opened or contacted; the
    caller closes what it gives. Without a ``fetcher`` a real one uses ``files``.
    """
    used = fetcher or Fetcher(settings.fetch, clock, files)
    return Parts(
        settings=settings,
        ledger=ledger,
        schedulers=schedulers,
        templates=TemplateLibrary(settings.template_directories),
        tickets=Tickets(b"s" * 32),
        files_of=lambda _uid: OwnFiles(used),
        files=files,
        clock=clock,
        staging_url=staging_url,
    )
