"""The provider: what sbatch, Airavata's task adapters and the CLI call."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import InvalidRequest, NotFound, Refused, SandboxGone, StagingError
from airavata_mesos_plugin.jobs import JobEvent, JobPhase, JobRecord, JobRequest, PastAttempt
from airavata_mesos_plugin.provider import output_rules
from airavata_mesos_plugin.provider.control import Control
from airavata_mesos_plugin.provider.deliveries import Deliveries
from airavata_mesos_plugin.provider.eligibility import Eligibility
from airavata_mesos_plugin.provider.files import JobFiles
from airavata_mesos_plugin.provider.following import STEP_BYTES, Cursor, Followed, Following
from airavata_mesos_plugin.provider.gangs import GangDesk
from airavata_mesos_plugin.provider.inputs import InputSource
from airavata_mesos_plugin.provider.live import LiveOutputs
from airavata_mesos_plugin.provider.monitoring import Monitor
from airavata_mesos_plugin.provider.outputs import OutputCollector
from airavata_mesos_plugin.provider.parts import ClusterView, Parts
from airavata_mesos_plugin.provider.places import Places
from airavata_mesos_plugin.provider.pushes import Pushes
from airavata_mesos_plugin.provider.putting import Putting
from airavata_mesos_plugin.provider.submission import Submitter
from airavata_mesos_plugin.sandbox.live.windows import PIECE
from airavata_mesos_plugin.sandbox.origins import SFTP
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.sandbox.user_files import UserFiles
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.store import JobSelection

LOCAL_PIECE = 1024 * 1024
"""Bytes that are read at once from a file that came back."""


@dataclass(frozen=True)
class FileChunk:
    """A piece of an output file while or after the job runs."""

    data: bytes
    offset: int  # of the first byte after the piece
    over: bool  # the job has ended and the file has been read to its end


@dataclass(frozen=True)
class OutputFile:
    """A file that came from a job; ``name`` is relative to the working directory."""

    name: str
    size: int


class Provider:
    """One provider over its clusters. Safe to use from several threads.

    The calls of this class return at once; the network is left to `submitter`, `monitor` and
    `collector`, which the service drives.
    """

    def __init__(self, parts: Parts, stop: threading.Event | None = None) -> None:
        self._parts = parts
        self.gangs = GangDesk(parts)
        self.monitor = Monitor(parts, self.gangs)
        self.submitter = Submitter(parts, self.monitor, self.gangs)
        self.control = Control(parts)
        self.eligibility = Eligibility(parts)
        self.collector = OutputCollector(parts, self.control, stop)
        self.inputs = InputSource(parts)
        self.pushes = Pushes(parts, self.collector.arrived)
        self.deliveries = None
        if parts.sftp and any(queue.inputs.method == SFTP for queue in parts.settings.queues):
            self.deliveries = Deliveries(parts, self.inputs, self.collector.address, parts.sftp.open)
        self.places = Places(parts, self.collector)
        self.files = JobFiles(parts, self.places)
        self.live = LiveOutputs(parts, self.places, self.files)
        self.collector.before = self.live.leave
        self.putting = Putting(parts, self.control)
        self._following = Following(self.places)
        self._seen_by: tuple[int, str] | None = None  # uid and name; None for everybody

    @property
    def settings(self) -> ProviderSettings:
        """The settings that this provider runs with."""
        return self._parts.settings

    @property
    def views(self) -> Mapping[str, ClusterView]:
        """What is known of each cluster now."""
        return self._parts.views

    def submit(
        self, request: JobRequest, script: str, *, source: str = "sbatch", environment: str = ""
    ) -> JobRecord:
        """Accept a job, or all tasks of an array. Its id is durable on return; all else happens later.

        ``environment`` holds the submitter's variables, as ``NAME=value`` joined by NUL characters.

        Not repeatable, unless the request has a submission key: then a repeat gives the job that has it,
        even when the request differs. ``source`` is who says so in the history. Raises InvalidRequest, or
        NotFound for an unknown queue.
        """
        known = self._parts.ledger.with_submission_key(request.uid, request.submission_key)
        if known is not None:
            return known
        queue = self.settings.queue(request.queue)
        output_rules.check(script, queue)
        directory = Path(request.working_directory)
        if not directory.is_absolute():
            raise InvalidRequest(f"the working directory {directory} is not an absolute path")
        # Airavata pipes sbatch's answer through `tee WORKDIR/<job name>`, while we look at WORKDIR.
        try:
            listing = self.files_of(request.uid).take_snapshot(
                str(directory), self._parts.clock.now(), {request.name}
            )
        except StagingError as error:
            raise InvalidRequest(error.message, advice=error.advice) from error
        record = self._parts.ledger.accept(
            request,
            script,
            snapshot=listing,
            cluster=queue.cluster,
            key=lambda job_id, attempt: self._parts.key(queue.name, job_id, attempt),
            source=source,
            environment=environment,
        )
        self.views[queue.cluster].wake.set()
        return record

    def job(self, job_id: int) -> JobRecord:
        """One job. Raises NotFound."""
        record = self._parts.ledger.job(job_id)
        if self._seen_by is not None and record.request.uid != self._seen_by[0]:
            raise NotFound(f"no job has the id {job_id}")
        return record

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        """The selected jobs, newest first."""
        if self._seen_by is None:
            return self._parts.ledger.jobs(selection)
        uid, user = self._seen_by
        users = frozenset({user}) if selection.users is None else selection.users & {user}
        found = self._parts.ledger.jobs(replace(selection, users=users)) if users else []
        return [record for record in found if record.request.uid == uid]

    def with_submission_key(self, uid: int, key: str) -> JobRecord | None:
        """The job that this account submitted with this key; None when there is none."""
        return self._parts.ledger.with_submission_key(uid, key)

    def events(self, job_id: int) -> list[JobEvent]:
        """The history of a job, oldest first. Raises NotFound."""
        self._check_seen(job_id)
        return self._parts.ledger.events(job_id)

    def script(self, job_id: int) -> str:
        """The job script as it was accepted. Raises NotFound."""
        self._check_seen(job_id)
        return self._parts.ledger.script(job_id)

    def past_attempts(self, job_ids: Iterable[int]) -> list[PastAttempt]:
        """The attempts of these jobs that were followed by others, oldest first."""
        return self._parts.ledger.past_attempts(job_ids)

    def request_cancel(self, job_id: int, by: str, uid: int) -> bool:
        """Ask for the end of a job. Durable on return; the kill is repeated until it arrives.

        False when the job is over or was asked to end before. Raises NotFound, or Refused when the job
        belongs to another account and ``uid`` is not root's.
        """
        record = self.job(job_id)
        if uid not in (0, record.request.uid):
            raise Refused(f"job {job_id} belongs to {record.request.user}")
        asked = self._parts.ledger.request_cancel(job_id, by, uid)
        self.views[record.cluster].wake.set()
        return asked

    def nodes(self, cluster: str) -> list[Node]:
        """The nodes of a cluster as last seen; empty when none was ever seen."""
        return list(self.views[cluster].nodes)

    def document(self, job_id: int) -> Mapping[str, object]:
        """The job configuration that is, or was, sent to the scheduler."""
        return self.submitter.document(self.job(job_id))

    def read_output(self, job_id: int, name: str, offset: int) -> FileChunk:
        """A piece of an output file from byte ``offset`` on: from the sandbox while the job runs, from the
        working directory afterwards. Empty when there is nothing new. Blocks on the network. A negative
        ``offset`` counts from the end that the file has now.

        Raises NotFound for an unknown job, UnsafePath for a name that leads out.
        """
        record = self.job(job_id)
        if record.phase.final:
            return self._read_local(record, name, offset)
        if record.phase in (JobPhase.RUNNING, JobPhase.FETCHING):
            try:
                with self.places.sandbox(record, self.places.origin(record), name) as window:
                    if offset < 0:
                        offset = max(0, window.size(name) + offset)
                    data = window.read(name, offset, PIECE)
            except (SandboxGone, NotFound):
                data, offset = b"", max(0, offset)  # the file is not there yet
            return FileChunk(data, offset + len(data), over=False)
        return FileChunk(b"", max(0, offset), over=False)

    def follow(self, job_id: int, name: str, cursor: Cursor, limit: int = STEP_BYTES) -> Followed:
        """What comes after ``cursor`` in a file of a job: `Following.step`. Blocks on the network.

        Raises NotFound for an unknown job, and what `Following.step` raises.
        """
        return self._following.step(self.job(job_id), name, cursor, limit)

    def outputs(self, job_id: int) -> list[OutputFile]:
        """The files of the working directory that were not there, or not like this, at submission.

        Raises NotFound for an unknown job, or when the directory is gone.
        """
        record = self.job(job_id)
        directory = record.request.working_directory
        before = self._parts.ledger.snapshot(job_id)
        files = self.files_of(record.request.uid)
        try:
            changed = files.changed(directory, before, self._parts.clock.now(), {record.request.name})
        except StagingError as error:
            raise NotFound(f"the working directory {directory} of job {job_id} is gone") from error
        return [OutputFile(file.name, file.size) for file in changed]

    def fetched(self, job_id: int) -> dict[str, object] | None:
        """What there is to say about the fetch of a job's outputs; None before its first end.

        Raises NotFound for an unknown job.
        """
        self._check_seen(job_id)
        return self._parts.ledger.fetches.of(job_id)

    def files_of(self, uid: int) -> UserFiles:
        """The files of an account, with its rights. Raises Refused for one that the host does not know."""
        return self._parts.files_of(uid)

    def seen_by(self, uid: int, user: str) -> Provider:
        """This provider as an account sees it that may see its own jobs only: there are no others."""
        seen = copy.copy(self)
        seen._seen_by = uid, user
        return seen

    def _check_seen(self, job_id: int) -> None:
        if self._seen_by is not None:
            self.job(job_id)

    def _read_local(self, record: JobRecord, name: str, offset: int) -> FileChunk:
        request = record.request
        try:
            piece = self.files_of(request.uid).read_local(
                request.working_directory, name, offset, LOCAL_PIECE
            )
        except FileNotFoundError:
            return FileChunk(b"", max(0, offset), over=True)
        except OSError as error:
            raise Refused(f"{escape(name)} of job {record.id} cannot be read: {error.strerror}") from error
        return FileChunk(piece.data, piece.offset + len(piece.data), over=piece.at_end)
