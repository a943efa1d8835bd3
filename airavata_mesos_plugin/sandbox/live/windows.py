"""Places where the files of a job can be looked at piece by piece: its sandbox, its working directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from airavata_mesos_plugin.errors import NotFound, Refused
from airavata_mesos_plugin.sandbox.agent.files_api import READ_LIMIT, FilesClient
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.sandbox.source import Entry, ReadsPieces, Source
from airavata_mesos_plugin.sandbox.user_files import UserFiles
from airavata_mesos_plugin.schedulers.base import SandboxAddress

PIECE = READ_LIMIT
"""Bytes that every place gives at once."""


@dataclass(frozen=True)
class Seen:
    """How a regular file looked in a listing. ``time`` of its last change, in a unit of the place's own."""

    size: int
    time: int


class Window(Protocol):
    """One place. Names are relative to it. All calls are repeatable.

    They raise NotFound (SandboxGone when there is no such place any more), UnsafePath for a name that leads
    out or is no regular file, and what else the place cannot do.
    """

    def read(self, name: str, offset: int, length: int) -> bytes:
        """At most ``length`` bytes, never more than `PIECE`, of one state of the file; empty at its end."""

    def size(self, name: str) -> int:
        """Present size of a file in bytes."""

    def files(self, directory: str) -> Mapping[str, Seen]:
        """The regular files of a directory; the empty name is the place itself."""


class AgentWindow:
    """A sandbox through the files API of its agent (Mesos 0.22 to 1.11)."""

    def __init__(self, client: FilesClient, address: SandboxAddress) -> None:
        self._client = client
        self._address = address

    def read(self, name: str, offset: int, length: int) -> bytes:
        return self._client.read(self._address, name, offset, length)

    def size(self, name: str) -> int:
        return self._client.size(self._address, name)

    def files(self, directory: str) -> Mapping[str, Seen]:
        return _files(self._client.browse(self._address, directory))


class SourceWindow:
    """A sandbox through any source that gives pieces."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def read(self, name: str, offset: int, length: int) -> bytes:
        if not isinstance(self._source, ReadsPieces):
            raise Refused(
                f"{escape(name)} cannot be read piece by piece",
                advice="airavata-mesos get takes it whole",
            )
        return self._source.piece(name, offset, min(length, PIECE))

    def size(self, name: str) -> int:
        return self._entry(name).size

    def files(self, directory: str) -> Mapping[str, Seen]:
        return _files(self._source.entries(directory))

    def _entry(self, name: str) -> Entry:
        directory, _, base = name.rpartition("/")
        for entry in self._source.entries(directory):
            if entry.name == base and entry.is_file:
                return entry
        raise NotFound(f"{escape(name)} is not in the sandbox")


class LocalWindow:
    """A directory of this host, with the rights of the account that it belongs to."""

    def __init__(self, files: UserFiles, directory: str) -> None:
        self._own = files
        self._directory = directory

    def read(self, name: str, offset: int, length: int) -> bytes:
        with told(name):
            return self._own.read_local(self._directory, name, offset, min(length, PIECE)).data

    def size(self, name: str) -> int:
        with told(name):
            piece = self._own.read_local(self._directory, name, -1, 1)
        return piece.offset + len(piece.data)

    def files(self, directory: str) -> Mapping[str, Seen]:
        with told(directory):
            return _files(self._own.list_local(self._directory, directory))


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Errors of the system as ours: NotFound and Refused."""
    shown = escape(name) or "the working directory"
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{shown} is not there") from error
    except OSError as error:
        raise Refused(f"{shown} cannot be read: {error.strerror}") from error


def _files(entries: list[Entry]) -> Mapping[str, Seen]:
    return {entry.name: Seen(entry.size, entry.mtime) for entry in entries if entry.is_file}
