"""Makes the tools of the life cycle from settings."""

from __future__ import annotations

import threading
from collections.abc import Callable

from airavata_mesos_plugin.airavata.status_lines import silence
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ClusterSettings, ProviderSettings
from airavata_mesos_plugin.discovery import find_leaders
from airavata_mesos_plugin.provider import Parts
from airavata_mesos_plugin.sandbox.agent.access import AgentAccess
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.agent.relayed import RELAYED, agent_opener
from airavata_mesos_plugin.sandbox.origins import SFTP
from airavata_mesos_plugin.sandbox.sources import Opener
from airavata_mesos_plugin.sandbox.tickets import Tickets
from airavata_mesos_plugin.schedulers.access import authorization_of
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import Scheduler, SchedulerStore
from airavata_mesos_plugin.schedulers.mesos.scheduler import MesosScheduler
from airavata_mesos_plugin.service.accounts import FilesOfAccounts
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.templating import TemplateLibrary


def _aurora(cluster: ClusterSettings, clock: Clock, _store: SchedulerStore | None) -> Scheduler:
    schedulers, masters = find_leaders(cluster, clock)
    return AuroraScheduler(cluster, clock, leader=schedulers, master_leader=masters)


def _mesos(cluster: ClusterSettings, clock: Clock, store: SchedulerStore | None) -> Scheduler:
    return MesosScheduler(cluster, clock, store, leader=find_leaders(cluster, clock)[1])


_KINDS: dict[str, Callable[[ClusterSettings, Clock, SchedulerStore | None], Scheduler]] = {
    "aurora": _aurora,
    "mesos": _mesos,
}


def make_scheduler(cluster: ClusterSettings, clock: Clock, store: SchedulerStore | None = None) -> Scheduler:
    """The adapter for a cluster; nothing is contacted. Without a ``store`` it may only look."""
    return _KINDS[cluster.kind](cluster, clock, store)


def _agent_access(settings: ProviderSettings) -> dict[str, AgentAccess]:
    """By cluster, so that no agent of another one gets to see them. Raises ConfigurationError."""
    return {
        cluster.name: AgentAccess(
            authorization_of(cluster.mesos_authentication),
            cluster.tls.ca,
            cluster.tls.certificate,
            cluster.tls.key,
        )
        for cluster in settings.clusters
        if cluster.agent_access
    }


def make_parts(settings: ProviderSettings, home: Home, clock: Clock, staging_url: Callable[[], str]) -> Parts:
    """All tools, with the ledger and the secret of ``home``, which must have been prepared.

    Raises LedgerError or ConfigurationError.
    """
    files = FilesClient(settings.fetch, access=_agent_access(settings))
    ledger = Ledger(home.ledger, clock)
    with_sftp = {cluster.name: cluster.sftp for cluster in settings.clusters if cluster.sftp is not None}
    openers: dict[str, Opener] = {RELAYED: agent_opener(files)}
    sftp = None
    if with_sftp:
        # Only here: SSH takes memory and time to load, which others need not pay.
        from airavata_mesos_plugin.sandbox.sftp.source import SftpSources

        sftp = SftpSources(with_sftp, clock, files, settings.fetch.read_timeout_seconds)
        openers[SFTP] = sftp.open
    return Parts(
        settings=settings,
        ledger=ledger,
        schedulers={
            cluster.name: make_scheduler(cluster, clock, ledger.notes(cluster.name))
            for cluster in settings.clusters
        },
        templates=TemplateLibrary(settings.template_directories),
        tickets=Tickets.open(home.secret),
        files_of=FilesOfAccounts(settings.fetch, clock, files, openers),
        files=files,
        clock=clock,
        staging_url=staging_url,
        openers=openers,
        sftp=sftp,
        script_filters=(lambda script: silence(script)[0],),
        outputs_due=threading.Event(),
    )


def close_parts(parts: Parts) -> None:
    """Give up connections and close the ledger. Repeatable."""
    for scheduler in parts.schedulers.values():
        scheduler.close()
    if isinstance(parts.files_of, FilesOfAccounts):
        parts.files_of.close()
    if parts.sftp is not None:
        parts.sftp.close()
    parts.files.close()
    parts.ledger.close()
