"""What the fetch engine asks of a sandbox, whatever way its bytes travel.

A source is one sandbox seen through one method (`config.OutputSettings.method`). It gives names, sizes
and bytes as they come and need not distrust them: names, kinds, sizes and links are checked by the engine.
What it must do itself is to bound time and memory: a silent peer ends in an error, a body is never held as
a whole, a listing has a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.schedulers.base import SandboxAddress


@dataclass(frozen=True)
class Entry:
    """One line of a listing.

    ``name`` is relative to the directory that was listed, as the source says it: check it before use.
    ``mtime`` is in whole seconds since the epoch.
    """

    name: str
    kind: str  # the letter of ls: - regular file, d directory, l link, p FIFO, s socket, c and b devices
    size: int
    mtime: int
    mode: int  # permission bits without set-uid, set-gid and sticky
    nlink: int
    target: str | None = None  # of a link, as it stands there; only where the source shows links
    sha256: str = ""  # in hexadecimal digits, where the source knows it; a file is checked against it

    @property
    def is_file(self) -> bool:
        return self.kind == "-"

    @property
    def is_directory(self) -> bool:
        return self.kind == "d"

    @property
    def is_link(self) -> bool:
        return self.kind == "l"


@dataclass(frozen=True)
class Origin:
    """From what a source is opened. Plain data without secrets: the processes that work as other accounts
    get it too, and whoever opens it there may be wrong about it but not gain anything.
    """

    method: str
    address: SandboxAddress
    details: tuple[tuple[str, str], ...] = ()  # what the method needs besides


class Body(Protocol):
    """The bytes of a file, or of its rest, on their way."""

    @property
    def length(self) -> int:
        """How many bytes come in all."""

    def chunks(self) -> Iterator[memoryview]:
        """The bytes in pieces; each is valid until the next is asked for.

        Either exactly ``length`` bytes come or TransferError is raised.
        """


class Transfers(Protocol):
    """Some connections of a source, held by one thread. Not for several threads."""

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        """Each file in turn, whole as it is now, or the error that it ended with.

        The next entries are asked for while a body is read, so that requests can be under way. A body
        is to be read before the next pair is asked for; what is not read is dropped.
        """

    def rest(self, entry: Entry, offset: int) -> Body:
        """A file from byte ``offset`` on; asked for only where `Source.resumes` said so, between two `each`.

        Raises NotFound, UnsafePath, TransferError.
        """


class Source(Protocol):
    """One sandbox. Safe to use from several threads. All calls are repeatable and raise

    SandboxGone    there is no such sandbox (any more)
    NotFound       there is no such file
    UnsafePath     the source refuses the path: it leads out of the sandbox, or is of the wrong kind
    Refused        the source does not let us
    Unreachable    no connection
    TransferError  the source failed, was silent for too long, or the abort was set
    ProtocolError  what answers is not what it should be
    """

    @property
    def shows_links(self) -> bool:
        """Whether listings show links as links. Where not, a link is listed as what it leads to."""

    def entries(self, directory: str, abort: Abort | None = None) -> list[Entry]:
        """What is in a directory of the sandbox; the empty name is the sandbox itself.

        Names in the answer are relative to the directory.
        """

    def transfers(self, abort: Abort, most: int, *, long: bool = False) -> AbstractContextManager[Transfers]:
        """Connections for one thread: one, which is waited for, and up to ``most`` if they are idle.

        Other fetches wait for them, so they are given back from time to time; with ``long`` that may take
        any time, so some connections should be kept for others.
        """

    def resumes(self, size: int, offset: int) -> bool:
        """Whether `Transfers.rest` brings a file of ``size`` bytes to its end sooner than a new start."""

    def read(self, name: str, limit: int) -> bytes:
        """A small file, at most ``limit`` bytes of it (65536 at most)."""


@runtime_checkable
class ReadsPieces(Protocol):
    """A source that gives pieces of files, for whoever follows one."""

    def piece(self, name: str, offset: int, length: int) -> bytes:
        """At most ``length`` bytes (65536 at most) of one state of a file; empty at its end. Raises as
        `Source`.
        """
