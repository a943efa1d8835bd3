"""Agents on which jobs fail one after the other are left alone for a while. No I/O.

An agent with a full disk or a broken network ends every job within a second, and is free again at once: it
would eat the whole queue. An image that cannot be had fails on all agents, and says nothing of them: what
fails with an image counts for jobs with that image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FAILURES = 3
WINDOW_SECONDS = 600.0
FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 1800.0


@dataclass
class _Record:
    failures: list[float] = field(default_factory=list)
    pauses: int = 0
    until: float = 0.0


class Shunned:
    """Which agents to leave alone. Times are monotonic seconds; the image of a job without one is empty."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], _Record] = {}

    def failed(self, agent_id: str, image: str, now: float) -> None:
        """A task ended there through no fault of its own."""
        record = self._records.setdefault((agent_id, image), _Record())
        record.failures = [at for at in record.failures if now - at < WINDOW_SECONDS] + [now]
        # After a pause one failure is enough.
        if len(record.failures) >= FAILURES or (record.pauses and now >= record.until):
            record.until = now + min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**record.pauses)
            record.pauses = min(record.pauses + 1, 16)
            record.failures.clear()

    def worked(self, agent_id: str, image: str) -> None:
        """A task ran there as it should."""
        self._records.pop((agent_id, image), None)

    def now(self, now: float) -> Mapping[str, frozenset[str]]:
        """The agents to leave alone at present, for each image that has some."""
        found: dict[str, frozenset[str]] = {}
        for (agent, image), record in self._records.items():
            if now < record.until:
                found[image] = found.get(image, frozenset()) | {agent}
        return found

    def next_end(self, now: float) -> float | None:
        """When the first of the present pauses ends; None when there is none."""
        return min((r.until for r in self._records.values() if now < r.until), default=None)
