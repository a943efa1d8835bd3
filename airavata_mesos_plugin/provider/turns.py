"""Whose outputs are fetched now, when many jobs end together.

Jobs begin in the order in which they came. What a fetch will cost is not known before, so each begins in one
of the quick places; when it has not ended after a while it moves to one of the places for long ones. Where
none is free it makes way, and goes on from where it was as soon as one is. So no quick place is ever held
for longer than that while, and nobody waits behind a terabyte: a job with ``n`` others before it begins
after at most ``n / quick`` whiles. Those that made way have places of their own, in their order, so they
do not wait for ever either.

No I/O and no threads; not safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Iterable

from airavata_mesos_plugin.clock import Clock


class Turns:
    """Jobs are known by their ids."""

    def __init__(self, clock: Clock, *, quick: int, long: int, seconds: float) -> None:
        """So many fetches may run in either kind of place; after ``seconds`` one counts as long."""
        self._clock = clock
        self._quick = quick
        self._long = long
        self._seconds = seconds
        self._waiting: dict[int, None] = {}  # in their order
        self._known_long: set[int] = set()
        self._in_quick: dict[int, float] = {}  # and since when
        self._in_long: set[int] = set()

    def offer(self, jobs: Iterable[int]) -> None:
        """All jobs that want a turn now; those that do not want one any more are forgotten.

        New ones go behind those that wait already, in the order given.
        """
        wanted = [job for job in jobs if job not in self._in_quick and job not in self._in_long]
        now = set(wanted)
        self._waiting = dict.fromkeys(
            [*(job for job in self._waiting if job in now), *(j for j in wanted if j not in self._waiting)]
        )

    def begin(self) -> list[int]:
        """Jobs that begin now; `ended` is to be called for each of them."""
        self._promote()
        begun = []
        for job in list(self._waiting):
            if job in self._known_long:
                if len(self._in_long) >= self._long:
                    continue
                self._in_long.add(job)
            else:
                if len(self._in_quick) >= self._quick:
                    continue
                self._in_quick[job] = self._clock.monotonic()
            del self._waiting[job]
            begun.append(job)
        return begun

    def overdue(self) -> list[int]:
        """Jobs in quick places that have to make way for others now; they come back as long ones."""
        self._promote()
        if len(self._in_quick) < self._quick or all(job in self._known_long for job in self._waiting):
            return []
        late = self._late()
        self._known_long.update(late)
        return late

    def ended(self, job: int, *, over: bool) -> None:
        """The fetch has ended; ``over`` when no other one of this job will follow."""
        self._in_quick.pop(job, None)
        self._in_long.discard(job)
        if over:
            self._known_long.discard(job)

    def _promote(self) -> None:
        for job in self._late():
            if len(self._in_long) < self._long:
                self._known_long.add(job)
                del self._in_quick[job]
                self._in_long.add(job)

    def _late(self) -> list[int]:
        """Those in quick places that have been there for too long, the longest first."""
        limit = self._clock.monotonic() - self._seconds
        return [job for job, since in self._in_quick.items() if since <= limit]
