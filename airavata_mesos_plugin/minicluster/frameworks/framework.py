"""One framework: what it said of itself, its subscription, and its tasks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from airavata_mesos_plugin.minicluster.clock import Timer
from airavata_mesos_plugin.minicluster.frameworks.stream import Stream
from airavata_mesos_plugin.minicluster.frameworks.values import UNREADABLE, Refused, number, objects, texts
from airavata_mesos_plugin.minicluster.mesos.master import FrameworkRecord
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount

_BAD_ROLE = re.compile(r"^$|^\.{1,2}$|^-|[\s\x00-\x1f/\\]")
_LONGEST_FAILOVER = 2**63 / 1e9


class Rejected(Exception):
    """The subscription is answered by an event ERROR with this text."""


class Framework:
    def __init__(self, record: FrameworkRecord) -> None:
        self.record = record
        self.stream: Stream | None = None
        self.tasks: dict[str, MesosTask] = {}
        """Those that are not over, or whose end was not acknowledged."""
        self.suppressed: set[str] = set()
        self.filters: dict[tuple[str, str], list[tuple[Amount, int]]] = {}
        """By agent and role: what was refused, and until when (milliseconds)."""
        self.removal: Timer | None = None
        self.heartbeat: Timer | None = None

    @property
    def id(self) -> str:
        return self.record.framework_id

    def can(self, capability: str) -> bool:
        return capability in self.record.capabilities

    def send(self, kind: str, **members: Any) -> None:
        """An event; lost when nobody is subscribed."""
        if self.stream is not None:
            self.stream.send(kind, **members)


def record_of(info: Mapping[str, Any], framework_id: str, now: float) -> FrameworkRecord:
    """What a FrameworkInfo says. Raises Refused for one that lacks something, and Rejected."""
    missing = [name for name in ("user", "name") if not isinstance(info.get(name), str)]
    if missing:
        fields = ", ".join(f"subscribe.framework_info.{name}" for name in missing)
        raise Refused(400, f"{UNREADABLE}: Missing required fields: {fields}")
    capabilities = tuple(str(one.get("type")) for one in objects(info, "capabilities"))
    multi_role = "MULTI_ROLE" in capabilities
    if multi_role and "role" in info:
        raise Rejected("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable")
    if not multi_role and "roles" in info:
        raise Rejected("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable")
    roles = tuple(texts(info, "roles")) if multi_role else (str(info.get("role", "*")),)
    for role in roles:
        if _BAD_ROLE.search(role):
            raise Rejected(f"'FrameworkInfo.roles' contains invalid role: '{role}'")
    if len(set(roles)) < len(roles):
        raise Rejected("'FrameworkInfo.roles' contains duplicate items")
    failover = number(info, "failover_timeout", 0.0)
    if not math.isfinite(failover) or abs(failover) >= _LONGEST_FAILOVER:
        raise Rejected(f"The framework failover_timeout ({failover:g}) is invalid")
    return FrameworkRecord(
        framework_id=framework_id,
        name=info["name"],
        user=info["user"],
        roles=roles,
        multi_role=multi_role,
        principal=str(info.get("principal", "")),
        hostname=str(info.get("hostname", "")),
        webui_url=str(info.get("webui_url", "")),
        failover_timeout=failover,
        checkpoint=bool(info.get("checkpoint", False)),
        capabilities=capabilities,
        registered_time=now,
    )
