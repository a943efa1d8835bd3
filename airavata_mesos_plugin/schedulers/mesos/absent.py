"""Agents that the master does not list any more, but did a while ago: they may only be cut off. No I/O.

A node that is down is still a node of the cluster: what needs it has to wait, and is not refused.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.schedulers.base import Node

ABSENT_SECONDS = 3600.0
"""How long an agent may be away until it counts as taken out of the cluster."""


class Absent:
    """Remembers who was there. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, Node]] = {}

    def added_to(self, listed: Mapping[str, Node]) -> list[Node]:
        """The agents that are there now, by their ids, and as inactive ones those that were.

        One that has come back under another id is not told of twice.
        """
        now = self._clock.monotonic()
        names = {node.name for node in listed.values()}
        with self._lock:
            self._seen = {
                agent: (at, node)
                for agent, (at, node) in self._seen.items()
                if now - at < ABSENT_SECONDS and (agent in listed or node.name not in names)
            }
            self._seen.update((agent, (now, node)) for agent, node in listed.items())
            return [
                listed[agent] if agent in listed else replace(node, active=False)
                for agent, (_, node) in self._seen.items()
            ]
