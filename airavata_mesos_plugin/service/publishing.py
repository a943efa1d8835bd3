"""The threads that tell Airavata how its jobs stand: one for each channel, so that none waits for another."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from functools import partial

from airavata_mesos_plugin.airavata.publishers import Channel, Publisher, wanting
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config.airavata import AiravataSettings
from airavata_mesos_plugin.jobs import JobRequest
from airavata_mesos_plugin.service.loops import guarded
from airavata_mesos_plugin.store import Ledger

FAULT_SECONDS = 5.0
"""Pause after a turn that failed for a fault of ours."""


class Publishing:
    """Starts and ends the threads. Jobs that are accepted from its making on are told."""

    def __init__(
        self, channels: Sequence[Channel], ledger: Ledger, clock: Clock, settings: AiravataSettings
    ) -> None:
        self._channels = channels
        self._ledger = ledger
        self._clock = clock
        self._publishers = {channel.name: Publisher(channel, ledger, clock, settings) for channel in channels}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open()

    def start(self) -> None:
        """Start all threads; they go on where the ledger says that the last ones ended."""
        for name, publisher in self._publishers.items():
            thread = threading.Thread(target=self._run, args=(publisher,), name=f"publish-{name}")
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End all threads, each after the call that it is in, and close the channels. Repeatable."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for channel in self._channels:
            channel.close()

    def describe(self, job_id: int) -> list[dict[str, object]]:
        """What was told of a job on each channel, and what waits, as plain data."""
        found: list[dict[str, object]] = []
        for delivery in self._ledger.outbox.of(job_id):
            publisher = self._publishers.get(delivery.channel)
            told, waiting = publisher.told(delivery) if publisher else ([delivery.state], [])
            found.append(
                {
                    "channel": delivery.channel,
                    "told": [state for state in told if state],
                    "told_at": delivery.told_at,
                    "waiting": waiting,
                    "next_try_at": delivery.due_at if waiting else None,
                    "failures": delivery.failures,
                    "trouble": delivery.trouble if publisher else "this channel is not configured any more",
                }
            )
        return found

    def _run(self, publisher: Publisher) -> None:
        while not self._stop.is_set():
            pause = guarded(partial(publisher.turn, self._stop), FAULT_SECONDS)
            self._clock.wait(self._stop, pause)

    def _open(self) -> None:
        """Have new jobs told, and those that were accepted before one of the channels was there."""
        new = self._publishers.keys() - self._ledger.outbox.opened()
        entries = [
            (record.id, name)
            for record in (self._ledger.active() if new else [])
            for name in self._choose(record.request, self._ledger.script(record.id))
            if name in new
        ]
        self._ledger.outbox.open(list(self._publishers), self._choose, entries)

    def _choose(self, request: JobRequest, script: str) -> Collection[str]:
        return wanting(self._channels, request, script)
