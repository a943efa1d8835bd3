"""What an agent downloads before a job starts: the working directory, the script and the wrapper."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import NotFound, StagingError
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.control_files import control_files
from airavata_mesos_plugin.provider.input_methods import input_method
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox.inputs import archive
from airavata_mesos_plugin.sandbox.inputs.digests import Digests


class InputSource:
    """Gives the holder of a ticket the inputs of its job. Safe to use from several threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._digests = Digests()

    @property
    def clock(self) -> Clock:
        """The clock by which tickets expire."""
        return self._parts.clock

    def job(self, ticket: str) -> JobRecord:
        """The job that ``ticket`` was issued for.

        Raises NotFound for a ticket that is not ours, has expired, is of an earlier attempt, or whose job
        is over: whoever asks learns nothing else.
        """
        holder = self._parts.tickets.check(ticket, self._parts.clock.now())
        if holder is None:
            raise NotFound("no such address")
        record = self._parts.ledger.job(holder.job_id)
        if record.attempt != holder.attempt or record.phase.rank >= JobPhase.FETCHING.rank:
            raise NotFound("no such address")
        return record

    def stream(self, record: JobRecord, start: int = 0, lead: bytes = b"") -> Generator[bytes, None, None]:
        """The archive of a job from byte ``start`` on, made while it is read. A repeat gives the same bytes.

        ``lead`` is what was sent before the archive; then ``start`` must be 0. Raises StagingError, also in
        the middle, when an input is not as it was at submission; the job's history names it then.
        """
        key = record.id, record.attempt
        position, digest = self._digests.before(key, start)
        if lead:
            digest = hashlib.sha256(lead)
        try:
            for piece in self._archive(record, position):
                digest.update(piece)
                position += len(piece)
                if not lead:
                    self._digests.note(key, position, digest)
                if position > start:
                    yield piece[max(0, start - (position - len(piece))) :]
        except StagingError as error:
            self._note_once(record, str(error))
            raise
        yield archive.ending(digest.hexdigest())[max(0, start - position) :]

    def _archive(self, record: JobRecord, start: int) -> Iterator[bytes]:
        method = input_method(self._parts.settings.queue(record.request.queue))
        return self._parts.files_of(record.request.uid).open_archive(
            record.request.working_directory,
            method.sent(self._parts.ledger.snapshot(record.id)),
            control_files(self._parts, record),
            start=start,
        )

    def _note_once(self, record: JobRecord, reason: str) -> None:
        """Agents try more than once; one entry in the history of the job is enough."""
        told = [event.reason for event in self._parts.ledger.events(record.id) if event.source == "staging"]
        if told[-1:] != [reason]:
            self._parts.ledger.note(record.id, source="staging", reason=reason)
