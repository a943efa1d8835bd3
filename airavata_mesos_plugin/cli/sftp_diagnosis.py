"""Whether the agents of a cluster can be reached with SFTP, for `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings, ProviderSettings, SftpSettings
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.schedulers.base import Check
from airavata_mesos_plugin.service.parts import make_scheduler

MOST_AGENTS = 100
"""More are not tried."""

AT_ONCE = 8
SILENCE_SECONDS = 10.0


def sftp_checks(settings: ProviderSettings, cluster: ClusterSettings) -> Iterator[Check]:
    """One line for each agent and account; none where no queue of the cluster uses SFTP."""
    sftp = cluster.sftp
    queues = [
        queue
        for queue in settings.queues
        if queue.cluster == cluster.name and "sftp" in (queue.inputs.method, queue.outputs.method)
    ]
    if sftp is None or not queues:
        return
    subject = f"cluster {cluster.name}: sftp"
    users = sorted({sftp.user or queue.role for queue in queues})
    try:
        with closing(make_scheduler(cluster, SystemClock())) as scheduler:
            hosts = sorted({node.name for node in scheduler.capacity() if node.active})
    except AiravataMesosError as error:
        yield Check(subject, False, f"the agents are not known: {error}")
        return
    if not hosts:
        yield Check(subject, False, "no agent is there to be tried")
    if len(hosts) > MOST_AGENTS:
        yield Check(subject, True, f"only {MOST_AGENTS} of {len(hosts)} agents are tried")
    places = [(user, host) for host in hosts[:MOST_AGENTS] for user in users]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (user, host), trouble in zip(
            places, pool.map(lambda place: _trouble(sftp, *place), places), strict=True
        ):
            yield Check(f"{subject} {user}@{host}", not trouble, trouble or "logs in")


def _trouble(sftp: SftpSettings, user: str, host: str) -> str:
    """What is wrong with one account of an agent; empty when nothing is."""
    # Only here: SSH takes a while to load.
    from airavata_mesos_plugin.sandbox.sftp.login import Target
    from airavata_mesos_plugin.sandbox.sftp.session import Session
    from airavata_mesos_plugin.sandbox.sftp.ssh import connect

    try:
        connection = connect(Target(user, host, sftp.port), sftp, SILENCE_SECONDS)
        try:
            session = Session(connection)
            if sftp.work_dir is not None:
                session.look(f"{sftp.work_dir.rstrip('/')}/slaves")
        finally:
            connection.close()
    except AiravataMesosError as error:
        return str(error)
    return ""
