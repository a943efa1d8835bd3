"""Inputs that are added to a job, or replaced, before it starts or starts again.

The files themselves go into the working directory, put there by their account. A job that waits has a list
of its inputs, which changes by the names of these files. It is held meanwhile, so that no agent gets half
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.errors import InvalidRequest, StagingError
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.control import Control
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox.inputs.restaging import with_files
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.paths import components, escape
from airavata_mesos_plugin.store.restaging import restage


@dataclass(frozen=True)
class Opened:
    """A job whose inputs may be changed now."""

    held: bool  # it is held for this only, and to be released afterwards
    over: bool  # its attempt is over; the next one will find the files by itself


class Putting:
    """Changes inputs. For the owner of a job, and for root."""

    def __init__(self, parts: Parts, control: Control) -> None:
        self._parts = parts
        self._control = control

    def begin(self, record: JobRecord, uid: int) -> Opened:
        """Hold a job that waits. Repeatable.

        Raises Refused for another account's job, and InvalidRequest for one that has its inputs already or
        may get them at any moment.
        """
        if record.phase.final:
            return Opened(held=False, over=True)
        name = f"job {record.id}"
        if record.requeue_requested_at is not None:
            raise InvalidRequest(
                f"{name} is being ended to be started again", advice="try again when it is pending"
            )
        if record.phase is JobPhase.ACCEPTED and record.wait_reason:
            if record.held is None:
                self._control.hold(record.id, uid)
                return Opened(held=True, over=False)
            return Opened(held=False, over=False)
        if record.phase.rank >= JobPhase.RUNNING.rank:
            raise InvalidRequest(
                f"{name} is {record.phase.value}: it has got its inputs",
                advice=f"scontrol requeuehold {record.id} starts it again and holds it before",
            )
        raise InvalidRequest(
            f"{name} may get its inputs at any moment",
            advice=f"hold it first: scontrol hold {record.id}; and then: scontrol release {record.id}",
        )

    def end(self, record: JobRecord, uid: int, names: Sequence[str], *, release: bool) -> None:
        """Take these files of the working directory, as they are now, as inputs. Repeatable.

        Raises StagingError for a name that is not there, and InvalidRequest for a job that was sent to a
        scheduler meanwhile.
        """
        for name in names:
            components(name)
        if record.phase.final:
            return
        request = record.request
        files = self._parts.files_of(request.uid)
        taken_at = self._parts.clock.now()
        now = files.take_snapshot(request.working_directory, taken_at, {request.name})
        before = self._parts.ledger.snapshot(record.id)
        changed = with_files(Snapshot.from_json(before), Snapshot.from_json(now), names)
        shown = ", ".join(escape(name) for name in names)
        done = restage(
            self._parts.ledger, record.id, changed.to_json(), source="put", reason=f"inputs changed: {shown}"
        )
        if not done:
            raise StagingError(
                f"job {record.id} was released meanwhile; its inputs in {request.working_directory} have"
                " changed under it",
                advice=f"start it again: scontrol requeue {record.id}",
            )
        if release:
            self._control.release(record.id, uid)
