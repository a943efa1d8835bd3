"""What the life cycle needs of an account's files, whoever's rights it happens with.

`accounts.own_files` does it in this process, with this process' rights. `accounts.client` has it done by a
process that runs as another account.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from airavata_mesos_plugin.sandbox.inputs.archive import Member
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport, Progress
from airavata_mesos_plugin.sandbox.outputs.rules import EVERYTHING, OutputRules
from airavata_mesos_plugin.sandbox.source import Entry, Origin


@dataclass(frozen=True)
class PathFacts:
    """What there is at a path."""

    physical: str  # its name without links
    is_directory: bool
    writable: bool  # the account may make files in it


@dataclass(frozen=True)
class Piece:
    """A piece of a file."""

    data: bytes
    offset: int  # of its first byte
    at_end: bool  # the file had no more when it was read


@dataclass(frozen=True)
class ChangedFile:
    """A file that was not there, or not like this, in a snapshot; ``name`` is relative."""

    name: str
    size: int


class PathRights(Protocol):
    """Paths as an account sees them."""

    def examine(self, path: str) -> PathFacts:
        """What is at an absolute path. Raises OSError when nothing is, or the account may not look."""

    def real_path(self, path: str) -> str:
        """The path with all links followed that the account can follow; need not exist."""


class UserFiles(PathRights, Protocol):
    """The files of one account. Safe to use from several threads; all calls may be repeated.

    Snapshots are texts as `snapshot.Snapshot.to_json` makes them. Every call raises FilesUnavailable when
    the account's files cannot be reached now, for instance since their file system hangs.
    """

    def take_snapshot(self, directory: str, taken_at: float, excluded: Collection[str]) -> str:
        """As `snapshot.take`. Raises StagingError."""

    def changed(
        self, directory: str, snapshot_text: str, taken_at: float, excluded: Collection[str]
    ) -> list[ChangedFile]:
        """The files that are new or changed since the snapshot. Raises StagingError."""

    def open_archive(
        self, directory: str, snapshot_text: str, extra: Sequence[Member], *, start: int = 0
    ) -> Iterator[bytes]:
        """As `archive.stream`. Raises StagingError."""

    def fetch(
        self,
        origin: Origin,
        directory: str,
        snapshot_text: str,
        *,
        job_id: int,
        rules: OutputRules = EVERYTHING,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        into: str = "",
        keep: bool = False,
    ) -> FetchReport:
        """As `fetch.Fetcher.fetch`, with its errors."""

    def give_up_fetch(self, directory: str, job_id: int, into: str = "") -> tuple[int, int]:
        """As `fetch.give_up`, with its errors."""

    def receive(self, directory: str, name: str, chunks: Iterable[bytes]) -> str:
        """As `push.receive`. Not repeatable with the same chunks."""

    def discard(self, directory: str, names: Sequence[str]) -> None:
        """As `push.discard`."""

    def read_local(self, directory: str, name: str, offset: int, limit: int) -> Piece:
        """At most ``limit`` bytes of the file ``name`` below ``directory``; a negative ``offset`` counts
        from the end. Raises FileNotFoundError, other OSErrors, and UnsafePath for what leads out.
        """

    def list_local(self, directory: str, name: str) -> list[Entry]:
        """What is in the directory ``name`` below ``directory``; the empty name is that itself. Links are
        shown as links. Raises FileNotFoundError, other OSErrors, and UnsafePath for what leads out.
        """


class FilesOf(Protocol):
    """Gives the files of an account."""

    def __call__(self, uid: int) -> UserFiles:
        """The files of the account with this number. Raises Refused for one that the host does not know."""
