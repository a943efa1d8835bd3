"""The files of a job, wherever they are: looked at, chosen by patterns, and taken whole."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, NotFound, NotReady, SandboxGone
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.provider.places import Places
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.outputs.changes import Changes
from airavata_mesos_plugin.sandbox.outputs.listing import Listing, list_tree
from airavata_mesos_plugin.sandbox.outputs.rules import compiled
from airavata_mesos_plugin.sandbox.paths import components, escape
from airavata_mesos_plugin.sandbox.source import Entry, Source

T = TypeVar("T")

SANDBOX = "sandbox"
DIRECTORY = "directory"

LISTERS = 4
"""Directories of one tree that are listed at the same time."""

MOST_TRANSFERS = 4
"""Files that are sent at the same time to one account."""

CHUNK = 256 * 1024
"""Bytes that are passed on at once, at least, but for the last."""


@dataclass(frozen=True)
class Chosen:
    """Files that patterns name, with names below the working directory; what cannot be taken, and why."""

    place: str
    files: tuple[Entry, ...]
    left_out: tuple[tuple[str, str], ...]


class JobFiles:
    """Files of jobs as they are now: in the sandbox while there is one, else in the working directory. Keeps
    nothing. Safe to use from several threads; all calls block on the network and may be repeated.

    They raise NotFound for what is not there, UnsafePath for names that lead out, and what `Source` raises.
    """

    def __init__(self, parts: Parts, places: Places) -> None:
        self._parts = parts
        self._places = places
        self._lock = threading.Lock()
        self._under_way: Counter[int] = Counter()  # transfers by account

    def entries(self, record: JobRecord, directory: str) -> tuple[str, list[Entry]]:
        """Where a directory was found, and what is in it; the empty name is the working directory itself."""
        if directory:
            components(directory)
        return self._where_it_is(record, lambda source: _entries(source, directory))

    def choose(self, record: JobRecord, patterns: Sequence[str], *, new_only: bool = False) -> Chosen:
        """The files that have one of the patterns as their name, or else match it as in a ``.gitignore``.

        With ``new_only`` inputs are not among them unless they have changed. Raises InvalidRequest for a
        pattern that is none.
        """
        place, tree = self._where_it_is(record, _tree)
        files = tree.files
        if new_only and place == SANDBOX:
            changes = Changes(Snapshot.from_json(self._parts.ledger.snapshot(record.id)))
            files = changes.wanted(files, []).files
        others = [(link.name, "a symbolic link") for link in tree.links] + tree.left_out
        listed = {entry.name for entry in files} | {name for name, _ in others}
        names = listed.intersection(patterns)
        spec = compiled([pattern for pattern in patterns if pattern not in names])

        def wanted(name: str) -> bool:
            return not patterns or name in names or spec.match_file(name)

        return Chosen(
            place,
            tuple(entry for entry in files if wanted(entry.name)),
            tuple((name, why) for name, why in others if wanted(name)),
        )

    def content(self, record: JobRecord, place: str, name: str) -> Iterator[bytes]:
        """A file as it is when it is opened, in pieces: all of it, or an error.

        Raises NotReady when too many are being sent to the same account.
        """
        components(name)
        with self._turn(record):
            yield from self._content(record, place, name)

    def _content(self, record: JobRecord, place: str, name: str) -> Iterator[bytes]:
        directory, _, base = name.rpartition("/")
        with self._open(record, place) as source:
            entry = next((e for e in source.entries(directory) if e.name == base), None)
            if entry is None:
                raise NotFound(f"{escape(name)} is not there any more")
            wanted = Entry(name, entry.kind, entry.size, entry.mtime, entry.mode, entry.nlink)
            with source.transfers(Abort(), 1, long=True) as transfers:
                for _, body in transfers.each([wanted]):
                    if isinstance(body, AiravataMesosError):
                        raise body
                    gathered = bytearray()
                    for chunk in body.chunks():
                        gathered += chunk
                        if len(gathered) >= CHUNK:
                            yield bytes(gathered)
                            gathered.clear()
                    yield bytes(gathered)

    def _where_it_is(self, record: JobRecord, look: Callable[[Source], T]) -> tuple[str, T]:
        if record.phase.rank >= JobPhase.RUNNING.rank:
            try:
                with self._open(record, SANDBOX) as source:
                    return SANDBOX, look(source)
            except AiravataMesosError as error:
                # Of a job that is over all is, or was, in the working directory too.
                gone = isinstance(error, SandboxGone) or error.transient
                if not (record.phase.final and gone):
                    raise
        with self._open(record, DIRECTORY) as source:
            return DIRECTORY, look(source)

    @contextlib.contextmanager
    def _turn(self, record: JobRecord) -> Iterator[None]:
        """A place among the transfers of an account: each keeps a connection to an agent."""
        uid = record.request.uid
        with self._lock:
            if self._under_way[uid] >= MOST_TRANSFERS:
                raise NotReady(
                    f"{MOST_TRANSFERS} files are on their way to {record.request.user}",
                    advice="try again when one of them has arrived",
                )
            self._under_way[uid] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[uid] -= 1

    @contextlib.contextmanager
    def _open(self, record: JobRecord, place: str) -> Iterator[Source]:
        if place == DIRECTORY:
            yield self._places.directory_source(record)
        elif place == SANDBOX:
            with self._places.sandbox_source(record) as source:
                yield source
        else:
            raise InvalidRequest(f"files are in the {SANDBOX} or in the {DIRECTORY}, not in {place!r}")


def _entries(source: Source, directory: str) -> list[Entry]:
    try:
        found = source.entries(directory)
    except NotFound:
        source.entries("")  # raises when there is no sandbox at all
        raise
    if directory and not found:
        parent, _, base = directory.rpartition("/")
        # To an agent a file is a directory with nothing in it.
        if any(entry.name == base and entry.is_file for entry in source.entries(parent)):
            raise InvalidRequest(f"{escape(directory)} is a file")
    return found


def _tree(source: Source) -> Listing:
    with ThreadPoolExecutor(LISTERS, thread_name_prefix="list") as pool:
        return list_tree(source, pool, Abort(), lambda _: False)
