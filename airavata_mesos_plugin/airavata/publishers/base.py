"""What a channel to Airavata is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from airavata_mesos_plugin.airavata.publishers.announcements import Announcement
from airavata_mesos_plugin.jobs import JobRecord, JobRequest


@dataclass(frozen=True)
class Parcel:
    """One state, made up for one channel.

    ``send`` returns when the other side has it for certain, and raises AiravataMesosError otherwise. It
    blocks for a limited time and may be repeated. Parcels with one ``destination`` fail together when that
    is down.
    """

    destination: str
    send: Callable[[], None]


class Channel(Protocol):
    """One way to tell Airavata. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """Its name in the ledger; never changes."""

    @property
    def settles(self) -> bool:
        """True when Airavata drops what comes before it has stored the job."""

    def wants(self, request: JobRequest, script: str) -> bool:
        """Whether a job is told on this channel."""

    def compose(
        self, record: JobRecord, script: Callable[[], str], announcement: Announcement
    ) -> Parcel | None:
        """Make a parcel; nothing is sent. None when this channel has no word for the state."""

    def close(self) -> None:
        """Give up connections. Repeatable."""
