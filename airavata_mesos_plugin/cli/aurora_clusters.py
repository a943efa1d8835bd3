"""The clusters that ``airavata-mesos aurora`` knows: those of the settings, and of Aurora's clusters.json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings, describe
from airavata_mesos_plugin.discovery import find_leaders
from airavata_mesos_plugin.errors import ConfigurationError, NotFound
from airavata_mesos_plugin.schedulers.aurora.client import AuroraClient
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler

_NOT_ASKED = "http://mesos.invalid:5050"
"""Aurora's file does not name Mesos masters, and these commands do not need any."""


def json_files(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where Aurora 0.22's own client looks for clusters; the entries of later files win."""
    root = Path(environ.get("AURORA_CONFIG_ROOT") or "/etc/aurora")
    user = Path(environ.get("HOME") or "/nonexistent")
    return root / "clusters.json", user / ".aurora" / "clusters.json"


def from_json(paths: tuple[Path, ...]) -> dict[str, ClusterSettings]:
    """The clusters in such files; files that are not there count as empty. Raises ConfigurationError."""
    found: dict[str, ClusterSettings] = {}
    for path in paths:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot read {path}: {error}") from error
        entries = list(document.values()) if isinstance(document, dict) else document
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ConfigurationError(f"{path} holds neither a list nor an object of clusters")
        for entry in entries:
            if entry.get("name"):  # Aurora's own client drops those without a name too
                found[str(entry["name"])] = _entry(entry, path)
    return found


def _entry(entry: Mapping[str, Any], path: Path) -> ClusterSettings:
    values: dict[str, Any] = {"name": entry["name"], "mesos_masters": [_NOT_ASKED]}
    if entry.get("zk"):
        port = entry.get("zk_port", 2181)
        hosts = [host.strip() for host in str(entry["zk"]).split(",")]
        values["zookeeper"] = {
            "hosts": [host if ":" in host else f"{host}:{port}" for host in hosts],
            "aurora_path": entry.get("scheduler_zk_path") or "/aurora/scheduler",
        }
    elif entry.get("scheduler_uri"):
        values["schedulers"] = [entry["scheduler_uri"]]
    if entry.get("auth_mechanism", "UNAUTHENTICATED") == "KERBEROS":
        values["authentication"] = {"mechanism": "kerberos"}
    try:
        return ClusterSettings.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(f"{path}, cluster {entry['name']!r}: {describe(error)}") from error


def find(context: Context, name: str) -> ClusterSettings:
    """The cluster of that name; the settings go before Aurora's file. Raises NotFound, ConfigurationError."""
    settings, _ = context.settings()
    for cluster in settings.clusters:
        if cluster.name == name:
            return _running(context, cluster) if cluster.embedded else cluster
    others = from_json(json_files())
    if name not in others:
        known = sorted({cluster.name for cluster in settings.clusters} | set(others))
        raise NotFound(f"no cluster is called {name!r}; there are {', '.join(known)}")
    return others[name]


@contextmanager
def client_of(context: Context, name: str) -> Iterator[AuroraClient]:
    """A client of that cluster's schedulers, closed when left."""
    settings, clock = find(context, name), SystemClock()
    schedulers, masters = find_leaders(settings, clock)
    adapter = AuroraScheduler(settings, clock, leader=schedulers, master_leader=masters)
    try:
        yield adapter.client
    finally:
        adapter.close()


def _running(context: Context, cluster: ClusterSettings) -> ClusterSettings:
    """An embedded cluster with the addresses that the daemon has for it."""
    for view in context.daemon.ask("status")["clusters"]:
        if view["name"] == cluster.name:
            addresses = {name: view[name] for name in ("schedulers", "mesos_masters")}
            return ClusterSettings.model_validate({**cluster.model_dump(), **addresses})
    raise NotFound(f"the daemon has no cluster {cluster.name!r}")
