"""Holding, releasing, changing and starting jobs again."""

from __future__ import annotations

from airavata_mesos_plugin.errors import InvalidRequest, Refused, StagingError
from airavata_mesos_plugin.jobs import Hold, JobPhase, JobRecord, JobRequest
from airavata_mesos_plugin.provider.eligibility import HELD
from airavata_mesos_plugin.provider.parts import Parts

MOST_LOSSES = 5
"""How often a job is started again because the cluster lost it; then it counts as lost."""


class Control:
    """What an account may do with its waiting jobs. Root may do it with every job."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def hold(self, job_id: int, uid: int, *, as_admin: bool = False) -> None:
        """Keep a waiting job back until it is released. A repeat changes nothing.

        A job that waits at a scheduler is taken back from there; one that runs goes on, and is held when it
        is started again. Raises NotFound, Refused for another account's job, and
        InvalidRequest for one that is over.
        """
        with self._parts.ledger.together():  # a job that begins meanwhile must not be taken back
            record = self._own(job_id, uid)
            if record.phase.final:
                raise InvalidRequest(f"job {job_id} is over")
            who = Hold.ADMIN if as_admin else record.held or Hold.USER
            fields: dict[str, object] = {"held": who}
            if record.phase is JobPhase.ACCEPTED:
                fields["wait_reason"] = HELD[who]
            elif (
                record.phase in (JobPhase.SUBMITTING, JobPhase.QUEUED) and record.requeue_requested_at is None
            ):
                fields["requeue_requested_at"] = self._parts.clock.now()
                fields["requeue_requested_by"] = ""  # nobody wants a new attempt to be seen
            self._parts.ledger.annotate(job_id, **fields)
        self.wake(record)

    def release(self, job_id: int, uid: int) -> None:
        """Let a held job go on. A repeat changes nothing.

        Raises NotFound, Refused for another account's job or an administrator's hold, and InvalidRequest
        for a job that is over.
        """
        with self._parts.ledger.together():  # an administrator may hold it meanwhile
            record = self._own(job_id, uid)
            if record.phase.final:
                raise InvalidRequest(f"job {job_id} is over")
            if record.held is Hold.ADMIN and uid != 0:
                raise Refused(f"job {job_id} is held by an administrator")
            # The reason stays until `Eligibility` has looked at what else may keep the job back.
            self._parts.ledger.annotate(job_id, held=None)
        self.wake(record)

    def amend(self, job_id: int, uid: int, request: JobRequest, reason: str) -> None:
        """Change what a waiting job asks for. A repeat changes nothing.

        Raises NotFound, Refused for another account's job, and InvalidRequest for a job that was sent to a
        scheduler already, or a queue of another cluster.
        """
        record = self._own(job_id, uid)
        queue = self._parts.settings.queue(request.queue)
        if queue.cluster != record.cluster:
            raise InvalidRequest(f"job {job_id} cannot move to queue {queue.name} of another cluster")
        changed = self._parts.ledger.amend(
            job_id,
            request,
            key=lambda number, attempt: self._parts.key(queue.name, number, attempt),
            source="scontrol",
            reason=reason,
        )
        if not changed:
            raise InvalidRequest(f"job {job_id} was submitted to {record.cluster} already")
        self.wake(record)

    def put_off(self, job_id: int, uid: int, begin_at: float | None) -> None:
        """Change the time that a job waits for; None is at once. A repeat changes nothing.

        Raises NotFound, Refused for another account's job, and InvalidRequest for one that was sent to a
        scheduler already.
        """
        with self._parts.ledger.together():  # it may be submitted meanwhile
            record = self._own(job_id, uid)
            if record.phase is not JobPhase.ACCEPTED:
                raise InvalidRequest(f"job {job_id} was submitted to {record.cluster} already")
            fields: dict[str, object] = {"begin_at": begin_at}
            if begin_at is not None and begin_at > self._parts.clock.now() and not record.wait_reason:
                fields["wait_reason"] = "BeginTime"
            self._parts.ledger.annotate(job_id, **fields)
        self.wake(record)

    def requeue(self, job_id: int, by: str, uid: int, *, hold: bool = False) -> None:
        """Start a job again, from its script and the working directory as it will be then.

        A running attempt is ended first and its outputs are fetched. A repeat before that changes nothing.
        Raises NotFound, Refused for another account's job, and InvalidRequest for a job that waits, that
        must not be started again, or whose working directory cannot be read.
        """
        ledger = self._parts.ledger
        with ledger.together():  # one that ends meanwhile begins again as such
            record = self._own(job_id, uid)
            if record.request.requeue is False:
                raise InvalidRequest(f"job {job_id} was submitted with --no-requeue")
            running = record.phase in (JobPhase.RUNNING, JobPhase.FETCHING)
            if running and record.requeue_requested_at is None:
                fields: dict[str, object] = {"held": Hold.USER} if hold else {}
                now = self._parts.clock.now()
                ledger.annotate(job_id, requeue_requested_at=now, requeue_requested_by=by, **fields)
                ledger.note(job_id, source="scontrol", reason=f"requeue requested by {by}")
        if running:
            self.wake(record)
        elif record.phase.final:
            self.begin_again(
                record, state_of(record), "scontrol", f"requeued by {by}", held=Hold.USER if hold else None
            )
        else:
            raise InvalidRequest(f"job {job_id} is waiting to be started")

    def begin_again(
        self, record: JobRecord, state: str, source: str, reason: str, *, held: Hold | None = None
    ) -> None:
        """A new attempt with a new key. Raises InvalidRequest when the working directory cannot be read.

        The attempt that is over is remembered as ``state``, or not at all when that is empty.
        """
        request = record.request
        try:
            listing = self._parts.files_of(request.uid).take_snapshot(
                request.working_directory, self._parts.clock.now(), {request.name}
            )
        except StagingError as error:
            raise InvalidRequest(error.message, advice=error.advice) from error
        self._parts.ledger.requeue(
            record.id,
            state=state,
            key=lambda job_id, attempt: self._parts.key(request.queue, job_id, attempt),
            snapshot=listing,
            source=source,
            reason=reason,
            held=held,
        )
        self.wake(record)

    def wake(self, record: JobRecord) -> None:
        """Let the job's cluster look at it at once."""
        self._parts.views[record.cluster].wake.set()

    def _own(self, job_id: int, uid: int) -> JobRecord:
        record = self._parts.ledger.job(job_id)
        if uid not in (0, record.request.uid):
            raise Refused(f"job {job_id} belongs to {record.request.user}")
        return record


_STATE_WORDS = {
    JobPhase.COMPLETED: "COMPLETED",
    JobPhase.FAILED: "FAILED",
    JobPhase.TIMEOUT: "TIMEOUT",
    JobPhase.CANCELLED: "CANCELLED",
    JobPhase.LOST: "NODE_FAIL",
}


def state_of(record: JobRecord) -> str:
    """SLURM's word under which an attempt that has ended is remembered."""
    return _STATE_WORDS[record.phase]
