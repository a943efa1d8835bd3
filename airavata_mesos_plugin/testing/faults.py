"""Switches for faults of a server, as methods with types."""

from __future__ import annotations

from collections.abc import Callable

from airavata_mesos_plugin.minicluster.faults import EVERY_METHOD, Fault, Kind


class FaultSwitches:
    """Faults of answers.

    ``call`` names what meets the fault, such as ``createJob`` of Aurora, ``ACCEPT`` of a Mesos
    master, or ``download`` of an agent; without
    one every call is meant. ``skip`` calls pass unharmed, then ``count`` of them meet the fault; None means
    all, until it is cleared. Several faults may be switched on at once: delays add up, of the others the
    first one strikes.
    """

    def __init__(self, add: Callable[[Fault], None]) -> None:
        self._add = add

    def drop_before(self, call: str = EVERY_METHOD, *, count: int | None = 1, skip: int = 0) -> None:
        """The connection is closed without an answer, and nothing was done."""
        self._add(Fault(Kind.DROP_BEFORE, call, count, skip))

    def tear(self, call: str = EVERY_METHOD, *, count: int | None = 1, skip: int = 0) -> None:
        """The call is carried out, half of the answer's body comes, then the connection is closed."""
        self._add(Fault(Kind.TORN, call, count, skip))

    def delay(
        self, seconds: float, call: str = EVERY_METHOD, *, count: int | None = 1, skip: int = 0
    ) -> None:
        """The call is carried out so many seconds late."""
        self._add(Fault(Kind.DELAY, call, count, skip, delay=seconds))

    def answer_status(
        self, status: int, call: str = EVERY_METHOD, *, count: int | None = 1, skip: int = 0
    ) -> None:
        """An HTTP error instead of an answer, such as 401, 500 or 503. Nothing was done.

        Raises ValueError for a status that is no error.
        """
        if not 400 <= status <= 599:
            raise ValueError(f"status must be an HTTP error from 400 to 599, not {status}")
        self._add(Fault(Kind.STATUS, call, count, skip, status=status))


class ApiFaults(FaultSwitches):
    """Those that the APIs of Aurora and of Mesos masters have besides."""

    def drop_after(self, call: str = EVERY_METHOD, *, count: int | None = 1, skip: int = 0) -> None:
        """The call is carried out, and its answer is lost."""
        self._add(Fault(Kind.DROP_AFTER, call, count, skip))

    def lose_event(self, event: str, *, count: int | None = 1, skip: int = 0) -> None:
        """An event of a Mesos master, such as ``UPDATE``, does not reach its framework."""
        self._add(Fault(Kind.LOSE_EVENT, event, count, skip))

    def wrong_leader(
        self, location: str, call: str = EVERY_METHOD, *, count: int | None = 1, skip: int = 0
    ) -> None:
        """The client is sent to ``location``, as by a scheduler that does not lead. Nothing was done."""
        self._add(Fault(Kind.WRONG_LEADER, call, count, skip, location=location))

    def not_ready(self, call: str = EVERY_METHOD, *, count: int | None = 1, skip: int = 0) -> None:
        """``ERROR_TRANSIENT``, as while a new leader loads its storage. Nothing was done."""
        self._add(Fault(Kind.NOT_READY, call, count, skip))
