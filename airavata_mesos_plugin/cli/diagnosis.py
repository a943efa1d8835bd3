"""What `doctor` looks at."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from airavata_mesos_plugin import __version__
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.cli.registration import queue_checks
from airavata_mesos_plugin.cli.rendering import sample
from airavata_mesos_plugin.cli.sftp_diagnosis import sftp_checks
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings, ProviderSettings
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.schedulers.base import Check
from airavata_mesos_plugin.service.parts import make_scheduler


def examine(context: Context, resource: Path | None = None) -> list[Check]:
    """All checks, in an order in which a reader would mend things; ``resource``: what Airavata is told."""
    checks = [
        Check("version", True, f"airavata-mesos-plugin {__version__}, Python {platform.python_version()}")
    ]
    try:
        settings, path = context.settings()
    except AiravataMesosError as error:
        return [*checks, Check("configuration", False, str(error))]
    checks.append(Check("configuration", True, str(path or "none: embedded minicluster")))
    checks.extend(_templates(settings))
    checks.extend(queue_checks(context, resource))
    daemon, running = _daemon(context)
    checks.append(daemon)
    for cluster in settings.clusters:
        if cluster.embedded:
            checks.extend(_embedded(cluster, running))
        else:
            checks.extend(_cluster(cluster))
            checks.extend(_staging(settings, cluster))
            checks.extend(sftp_checks(settings, cluster))
    return checks


def _templates(settings: ProviderSettings) -> Iterator[Check]:
    for queue in settings.queues:
        subject = f"queue {queue.name}"
        try:
            sample(settings, queue.name)
        except AiravataMesosError as error:
            yield Check(subject, False, str(error))
        else:
            yield Check(
                subject, True, f"{queue.cluster}/{queue.role}/{queue.environment}, template {queue.template}"
            )


def _daemon(context: Context) -> tuple[Check, dict[str, dict[str, object]]]:
    try:
        status = context.daemon.ask("status")
    except AiravataMesosError as error:
        return Check("daemon", False, str(error)), {}
    clusters = {cluster["name"]: cluster for cluster in status["clusters"]}
    found = f"version {status['version']}, pid {status['pid']}, {status['active_jobs']} active jobs"
    if status["version"] != __version__:
        return Check("daemon", False, f"{found}; this command is {__version__}: restart the daemon"), clusters
    return Check("daemon", True, found), clusters


def _embedded(cluster: ClusterSettings, running: dict[str, dict[str, object]]) -> Iterator[Check]:
    view = running.get(cluster.name)
    if view is None:
        yield Check(f"cluster {cluster.name}", False, "runs inside the daemon: start airavata-mesos serve")
        return
    addresses = {"schedulers": view["schedulers"], "mesos_masters": view["mesos_masters"]}
    yield from _cluster(ClusterSettings.model_validate({**cluster.model_dump(), **addresses}))


def _cluster(cluster: ClusterSettings) -> Iterator[Check]:
    scheduler = make_scheduler(cluster, SystemClock())
    try:
        for check in scheduler.check():
            yield Check(f"cluster {cluster.name}: {check.subject}", check.ok, check.detail)
    finally:
        scheduler.close()


def _staging(settings: ProviderSettings, cluster: ClusterSettings) -> Iterator[Check]:
    staging = settings.staging
    subject = f"cluster {cluster.name}: inputs"
    if staging.listen in ("127.0.0.1", "localhost", "::1"):
        yield Check(
            subject, False, f"agents cannot reach {staging.listen}: set staging.listen and staging.advertise"
        )
    elif staging.listen == "0.0.0.0" and staging.advertise is None:  # noqa: S104 - a value that is compared
        yield Check(subject, False, "set staging.advertise to the address under which agents reach this host")
    else:
        yield Check(subject, True, staging.advertise or f"http://{staging.listen}:{staging.port}")
