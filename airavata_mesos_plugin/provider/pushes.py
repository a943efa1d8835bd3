"""Outputs that agents send by themselves, for agents that this host cannot reach."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from airavata_mesos_plugin.errors import NotFound, NotReady
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.origins import PUSH
from airavata_mesos_plugin.sandbox.tickets import Purpose

STAGING = "staging"
"""Source of what is told about inputs in a job's history."""

SAID_LINES = 3
"""How much of what a failed stage-in said goes into the job's record."""


class Pushes:
    """Takes what the holders of tickets send. Safe to use from several threads."""

    def __init__(self, parts: Parts, arrived: Callable[[int], None]) -> None:
        """``arrived`` is told the job whose outputs are there."""
        self._parts = parts
        self._arrived = arrived
        self._lock = threading.Lock()
        self._at_work: set[int] = set()

    def check(self, ticket: str) -> JobRecord:
        """The job that ``ticket`` was issued for.

        Raises NotFound for a ticket that is not ours, has expired, is of an earlier attempt, or whose job is
        over: whoever asks learns nothing else.
        """
        holder = self._parts.tickets.check(ticket, self._parts.clock.now(), Purpose.OUTPUTS)
        if holder is None:
            raise NotFound("no such address")
        record = self._parts.ledger.job(holder.job_id)
        wanted = self._parts.settings.queue(record.request.queue).outputs.method == PUSH
        if record.attempt != holder.attempt or record.phase.final or not wanted:
            raise NotFound("no such address")
        return record

    def take(self, ticket: str, chunks: Iterable[bytes]) -> None:
        """Take the archive of a job, whole or not at all. A repeat replaces what came before.

        Raises NotFound as `check` does, NotReady while the same job sends on another connection, and what
        `push.receive` raises.
        """
        record = self.check(ticket)
        with self._lock:
            if record.id in self._at_work:
                raise NotReady(f"the outputs of job {record.id} are coming already")
            self._at_work.add(record.id)
        try:
            name = layout.pushed_archive(record.id, record.attempt)
            files = self._parts.files_of(record.request.uid)
            said = files.receive(record.request.working_directory, name, chunks)
        finally:
            with self._lock:
                self._at_work.discard(record.id)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        # What the daemon itself noted about the inputs says more than what the agent saw of it.
        if lines and all(event.source != STAGING for event in self._parts.ledger.events(record.id)):
            self._parts.ledger.note(record.id, source=STAGING, reason="; ".join(lines[-SAID_LINES:]))
        self._arrived(record.id)
