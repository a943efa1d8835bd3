"""From the history of a job to the states that Airavata is told, in their order.

Airavata develop drops what its ``JobStateValidator`` does not allow: a repeat, a step back, anything after an
end. A job that begins again has to be told as ACTIVE, NON_CRITICAL_FAIL, QUEUED, ACTIVE. SUSPENDED and
UNKNOWN are never told, because nothing is accepted after them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airavata_mesos_plugin.jobs import JobEvent, JobPhase
from airavata_mesos_plugin.states import AIRAVATA_STATES

ACTIVE = "ACTIVE"
QUEUED = "QUEUED"
NON_CRITICAL_FAIL = "NON_CRITICAL_FAIL"

_RERUN = (NON_CRITICAL_FAIL, QUEUED)


@dataclass(frozen=True)
class Announcement:
    """One state to tell; ``event`` is what made it true."""

    state: str
    event: JobEvent
    since: float  # when the state before began, seconds since the epoch

    @property
    def phase(self) -> JobPhase:
        """The phase behind the state."""
        return self.event.phase

    @property
    def final(self) -> bool:
        """True when Airavata accepts nothing after it."""
        return self.phase.final


def announcements(events: Iterable[JobEvent]) -> list[Announcement]:
    """All that is to be told of a job with this history. Later events only add to the end.

    A job that waits is not told until it ran once: Airavata puts it into its queue itself when it submits.
    What comes after an end is not told, whoever starts the job again.
    """
    told: list[Announcement] = []
    state = ""
    before: JobEvent | None = None
    since = 0.0
    for event in events:
        if before is None:
            since = event.time
        wanted = AIRAVATA_STATES[event.phase]
        went_back = before is not None and event.phase.rank < before.phase.rank
        for step in _steps(state, wanted, went_back):
            told.append(Announcement(step, event, since))
            state, since = step, event.time
        if event.phase.final:
            break
        before = event
    return told


def _steps(state: str, wanted: str, went_back: bool) -> tuple[str, ...]:
    """What to tell to come from ``state`` to ``wanted``, the state of a new event."""
    if wanted in ("SUBMITTED", QUEUED):
        return _RERUN if state == ACTIVE else ()
    if wanted == state:
        # It ran, was lost, and runs again before anybody saw it wait.
        return (*_RERUN, ACTIVE) if went_back else ()
    return (wanted,)
