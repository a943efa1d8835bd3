"""The threads of one fetch: each takes files from a queue, over connections of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AlreadyExists,
    NotFound,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.outputs.placing import RESUMABLE_BYTES, Place, Tally
from airavata_mesos_plugin.sandbox.outputs.plan import SPARE_BYTES, Plan
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.sandbox.source import Body, Entry, Source, Transfers

_BATCH = 256  # files until a connection is offered to other fetches from the same agent
_MOST_ERRORS = 8  # files that fail until the fetch is given up
_GROWTH_BYTES = 16 * 1024 * 1024  # a file may be so much longer than listed without another look at the disk


@dataclass
class Transfer:
    """One fetch while its files come. Several threads work on it."""

    source: Source
    place: Place
    plan: Plan
    rules: OutputRules
    abort: Abort
    left_out: list[tuple[str, str]] = field(default_factory=list)
    errors: list[AiravataMesosError] = field(default_factory=list)
    vanished: bool = False
    tallies: list[Tally] = field(default_factory=list)

    @property
    def tally(self) -> Tally:
        """What has come so far."""
        return Tally(sum(one.files for one in self.tallies), sum(one.bytes for one in self.tallies))

    def fail(self, error: AiravataMesosError, *, at_once: bool = True) -> None:
        """Take up an error. Those that come after the end are its consequence and say nothing."""
        if not self.abort.aborted:
            self.errors.append(error)
            if at_once:
                self.abort.abort()

    def workers(self, connections: int) -> list[Worker]:
        """The threads' work, for so many connections in all.

        Large files get a thread each, which copies with little help of the interpreter. All small ones
        together get one thread with the other connections.
        """
        large = deque(entry for entry in self.plan.files if entry.size >= RESUMABLE_BYTES)
        small = deque(entry for entry in self.plan.files if entry.size < RESUMABLE_BYTES)
        threads = min(len(large), max(1, connections // 2) if small else connections)
        workers = [Worker(self, large, 1, large=True) for _ in range(threads)]
        if small:
            workers.append(Worker(self, small, max(1, connections - threads)))
        self.tallies = [worker.tally for worker in workers]
        return workers

    def finish(self) -> None:
        """When all threads have ended: raises what went wrong, and makes the links."""
        if self.errors:
            raise self.errors[0]
        if self.vanished:
            # One file may vanish; when the whole sandbox did, this raises.
            self.source.entries("", self.abort)
        for link in self.plan.links:
            try:
                self.place.make_link(link)
            except (UnsafePath, AlreadyExists) as error:
                self.left_out.append((link.entry.name, error.message))
        if self.plan.no_room:
            need = sum(entry.size for entry in self.plan.no_room)
            raise TransferError(
                f"no room for {len(self.plan.no_room)} outputs with {need} bytes; all others have arrived",
                advice="free space in the working directory's file system; the fetch is then tried again",
            )


@dataclass
class Worker:
    """The work of one thread."""

    transfer: Transfer
    queue: deque[Entry]  # shared with others
    connections: int
    large: bool = False
    tally: Tally = field(default_factory=Tally)

    def run(self) -> None:
        """Take files until there are none, or the fetch is over. Raises nothing of our own errors."""
        transfer = self.transfer
        while self.queue and not transfer.abort.aborted:
            try:
                source = transfer.source
                with source.transfers(transfer.abort, self.connections, long=self.large) as transfers:
                    if self.large:
                        for entry in self._batch():
                            self._one(transfers, entry)
                    else:
                        for entry, body in transfers.each(self._batch()):
                            self._try(entry, body)
            except AiravataMesosError as error:  # no connection was to be had, or it is all over
                transfer.fail(error)

    def _batch(self) -> Iterator[Entry]:
        for _ in range(1 if self.large else _BATCH):
            if self.transfer.abort.aborted:
                return
            try:
                yield self.queue.popleft()
            except IndexError:
                return

    def _one(self, transfers: Transfers, entry: Entry) -> None:
        offset = self.transfer.plan.offsets.get(entry.name, 0)
        if not offset:
            for _, body in transfers.each([entry]):
                self._try(entry, body)
            return
        try:
            rest: Body | AiravataMesosError = transfers.rest(entry, offset)
        except AiravataMesosError as error:
            rest = error
        self._try(entry, rest, offset)

    def _try(self, entry: Entry, body: Body | AiravataMesosError, offset: int = 0) -> None:
        transfer = self.transfer
        try:
            if isinstance(body, AiravataMesosError):
                raise body
            if offset + body.length != entry.size:
                self._check_length(entry, offset, body.length)
            transfer.place.store(entry, body, self.tally, offset)
        except NotFound:
            transfer.vanished = True
            transfer.left_out.append((entry.name, "vanished before it was fetched"))
        except (UnsafePath, AlreadyExists) as error:
            transfer.left_out.append((entry.name, error.message))
        except TransferError as error:
            # One bad file must not keep the others away; a bad agent or a full disk shows itself soon.
            transfer.fail(error, at_once=len(transfer.errors) + 1 >= _MOST_ERRORS)
        except AiravataMesosError as error:
            transfer.fail(error)

    def _check_length(self, entry: Entry, offset: int, length: int) -> None:
        """The file has another size than was listed: it still changes, or the listing lied."""
        shown = escape(entry.name)
        if offset:
            raise TransferError(f"{shown} was changed while it was fetched")
        rules = self.transfer.rules
        if rules.file_bytes is not None and length > rules.file_bytes:
            raise UnsafePath(f"{length} bytes, more than the {rules.file_bytes} that one file may have")
        growth = length - entry.size
        if growth > _GROWTH_BYTES and length > self.transfer.place.free_bytes() - SPARE_BYTES:
            raise TransferError(f"no room for the {length} bytes of {shown}; {entry.size} were listed")
