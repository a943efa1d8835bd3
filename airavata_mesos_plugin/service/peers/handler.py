"""The calls of one caller. They run in threads, and may wait there."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from airavata_mesos_plugin import __version__
from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, NotFound, Refused, ServerFault
from airavata_mesos_plugin.gen.provider import constants, ttypes
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.provider.following import Cursor
from airavata_mesos_plugin.provider.intake import Wish, check_script, complete
from airavata_mesos_plugin.service.peers import wire
from airavata_mesos_plugin.service.peers.identity import Caller
from airavata_mesos_plugin.store import JobSelection

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

SLOW_CALLS = frozenset({"submit", "outputs", "read", "tail", "browse", "choose", "step"})
"""Calls that wait for file systems or agents; the others ask the ledger only."""

_PHASES = {number: phase for phase, number in wire.PHASES.items()}


def _call(
    method: Callable[Concatenate[PeerHandler, P], R],
) -> Callable[Concatenate[PeerHandler, P], R]:
    """A call of the service: refused callers get no further, and errors become declared exceptions."""

    @wraps(method)
    def call(self: PeerHandler, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if self.caller.refusal:
                raise Refused(self.caller.refusal)
            return method(self, *args, **kwargs)
        except AiravataMesosError as cause:
            raise wire.error(cause) from cause
        except Exception as cause:  # a peer must learn that it may have happened, and the daemon must go on
            log.exception("the call %s of %s failed", method.__name__, self.caller.user)
            fault = ServerFault(
                f"internal fault ({type(cause).__name__})", advice="the log of the provider says more"
            )
            raise wire.error(fault) from cause

    return call


class PeerHandler:
    """What `gen.provider.MesosProvider.Iface` promises; its IDL says what each call does and raises."""

    def __init__(self, provider: Provider, caller: Caller) -> None:
        self._provider = provider
        self.caller = caller

    @_call
    def version(self) -> ttypes.Version:
        return ttypes.Version(
            release=__version__,
            interfaceVersion=constants.INTERFACE_VERSION,
            resource=self._provider.settings.name,
            user=self.caller.user,
        )

    @_call
    def queues(self) -> list[ttypes.Queue]:
        settings = self._provider.settings
        return [wire.queue(queue, settings) for queue in settings.queues]

    @_call
    def capacity(self) -> list[ttypes.Cluster]:
        settings = self._provider.settings
        return [
            wire.cluster(name, settings.cluster(name).kind, view)
            for name, view in self._provider.views.items()
        ]

    @_call
    def submit(self, token: str | None, job: ttypes.JobSpec | None) -> ttypes.JobInfo:
        if not token:
            raise InvalidRequest("the token is empty", advice="make one for each job, for instance a UUID")
        wish, script = self._wish(token, job)
        record = self._provider.with_submission_key(self.caller.uid, token)
        if record is None:
            rights = self._provider.files_of(self.caller.uid)
            request = complete(wish, self._provider.settings, self._provider.nodes, rights)
            check_script(script, self._provider.settings.max_script_bytes)
            record = self._provider.submit(request, script, source="peer")
        self._same_job(record, wish, script)
        return wire.job(record)

    @_call
    def find(self, token: str | None) -> ttypes.JobInfo:
        record = self._provider.with_submission_key(self.caller.uid, token or "")
        if record is None:
            raise NotFound(f"{self.caller.user} submitted no job with the token {token!r}")
        return wire.job(record)

    @_call
    def follow(self, cursors: Sequence[ttypes.Cursor] | None) -> list[ttypes.JobInfo]:
        wanted = list(cursors or ())
        _at_most_max_jobs(len(wanted))
        records = self._records(cursor.jobId for cursor in wanted)
        budget = constants.MAX_EVENTS
        answer = []
        for cursor in wanted:
            record = records.get(cursor.jobId)
            if record is None:
                continue
            after = cursor.afterSequence or 0
            events = [event for event in self._provider.events(record.id) if event.sequence > after][:budget]
            budget -= len(events)
            answer.append(wire.job(record, events))
        return answer

    @_call
    def jobs(self, query: ttypes.JobQuery | None) -> list[ttypes.JobInfo]:
        query = query or ttypes.JobQuery()
        limit = constants.MAX_JOBS if query.limit is None else query.limit
        if not 1 <= limit <= constants.MAX_JOBS:
            raise InvalidRequest(f"a limit of {limit} jobs: it must be from 1 to {constants.MAX_JOBS}")
        selection = JobSelection(
            names=_set(query.names),
            users=_set(query.users),
            queues=_set(query.queues),
            phases=None if query.phases is None else _phases(query.phases),
            labels=None if query.labels is None else frozenset(_labels(query.labels)),
            limit=limit,
        )
        return [wire.job(record) for record in self._provider.jobs(selection)]

    @_call
    def cancel(self, job_ids: Sequence[int] | None) -> list[ttypes.CancelResult]:
        wanted = list(dict.fromkeys(job_ids or ()))
        _at_most_max_jobs(len(wanted))
        records = self._records(wanted)
        answer = []
        for job_id in wanted:
            record = records.get(job_id)
            if record is None:
                continue
            asked, refusal = False, None
            try:
                asked = self._provider.request_cancel(job_id, self.caller.user, self.caller.uid)
            except Refused as refused:
                refusal = wire.clean(str(refused))
            answer.append(
                ttypes.CancelResult(
                    jobId=job_id, asked=asked, phaseBefore=wire.PHASES[record.phase], refusal=refusal
                )
            )
        return answer

    @_call
    def script(self, job_id: int) -> str:
        return self._provider.script(self._own(job_id).id)

    @_call
    def outputs(self, job_id: int, after_name: bytes | None) -> list[ttypes.OutputFile]:
        files = (wire.output(file) for file in self._provider.outputs(self._own(job_id).id))
        rest = [file for file in files if file.name > (after_name or b"")]
        return sorted(rest, key=lambda file: bytes(file.name))[: constants.MAX_FILES]

    @_call
    def read(self, job_id: int, name: bytes | None, offset: int | None, length: int) -> ttypes.FileChunk:
        record = self._own(job_id)
        limit = _length(length)
        if not name or b"\0" in name:
            raise InvalidRequest("the file has no name, or one with a NUL byte in it")
        return wire.chunk(self._provider.read_output(record.id, os.fsdecode(name), offset or 0), limit)

    @_call
    def tail(self, job_id: int, standard_error: bool | None, length: int) -> ttypes.FileChunk:
        record = self._own(job_id)
        limit = _length(length)
        name = wire.log_name(record, standard_error=bool(standard_error))
        return wire.chunk(self._provider.read_output(record.id, name, -limit), limit)

    @_call
    def browse(self, job_id: int, directory: bytes | None, after_name: bytes | None) -> ttypes.FileListing:
        record = self._own(job_id)
        place, entries = self._provider.files.entries(record, os.fsdecode(directory or b""))
        return wire.listing(place, entries, (), after_name or b"")

    @_call
    def choose(
        self, job_id: int, patterns: Sequence[bytes] | None, only_new: bool | None, after_name: bytes | None
    ) -> ttypes.FileListing:
        record = self._own(job_id)
        wanted = [os.fsdecode(pattern) for pattern in patterns or ()]
        found = self._provider.files.choose(record, wanted, new_only=bool(only_new))
        return wire.listing(found.place, found.files, found.left_out, after_name or b"")

    @_call
    def step(self, job_id: int, name: bytes | None, cursor: str | None, length: int) -> ttypes.FileStep:
        record = self._own(job_id)
        limit = _length(length)
        found = self._provider.follow(record.id, os.fsdecode(name or b""), Cursor.parse(cursor or ""), limit)
        return wire.step(found)

    def _own(self, job_id: int) -> JobRecord:
        record = self._provider.job(job_id or 0)
        if not self.caller.may_touch(record.request.uid):
            raise Refused(f"job {job_id} belongs to {record.request.user}")
        return record

    def _records(self, job_ids: Iterable[int]) -> dict[int, JobRecord]:
        ids = frozenset(job_ids) - {None}
        return {record.id: record for record in self._provider.jobs(JobSelection(ids=ids))} if ids else {}

    def _wish(self, token: str, job: ttypes.JobSpec | None) -> tuple[Wish, str]:
        job = job or ttypes.JobSpec()
        for name in ("name", "workingDirectory", "script"):
            if getattr(job, name) is None:
                raise InvalidRequest(f"the job has no {name}")
        wish = Wish(
            name=job.name,
            user=self.caller.user,
            uid=self.caller.uid,
            working_directory=job.workingDirectory,
            queue=job.queue,
            nodes=job.nodes,
            tasks=job.tasks,
            cpus_per_task=job.cpusPerTask,
            tasks_per_node=job.tasksPerNode,
            memory_mb=job.memoryMb,
            gpus=job.gpus,
            wall_time_seconds=job.wallTimeSeconds,
            stdout=job.standardOutput,
            stderr=job.standardError,
            arguments=tuple(job.arguments or ()),
            account=job.account or "",
            comment=job.comment or "",
            submission_key=token,
            labels=tuple(_labels(job.labels or {})),
        )
        return wish, job.script

    def _same_job(self, record: JobRecord, wish: Wish, script: str) -> None:
        """Refuse a token that was used for something else. What the queue decided may have changed since."""
        request = record.request
        wanted = wish.shape()
        directories = (request.working_directory, *request.working_directory_aliases)
        pairs = (
            ("name", wish.name, request.name),
            ("workingDirectory", wish.working_directory in directories, True),
            ("queue", wish.queue or request.queue, request.queue),
            ("nodes", wanted.nodes, request.nodes),
            ("tasks", wanted.tasks, request.tasks),
            ("cpusPerTask", wish.cpus_per_task, request.cpus_per_task),
            ("tasksPerNode", wish.tasks_per_node, request.tasks_per_node),
            ("memoryMb", wish.memory_mb or request.resources.memory_mb, request.resources.memory_mb),
            ("gpus", wish.gpus, request.resources.gpus),
            ("arguments", wish.arguments, request.script_arguments),
            ("account", wish.account, request.account),
            ("comment", wish.comment, request.comment),
            ("labels", tuple(sorted(wish.labels)), request.labels),
            ("script", script, self._provider.script(record.id)),
            (
                "wallTimeSeconds",
                wish.wall_time_seconds or request.wall_time_seconds,
                request.wall_time_seconds,
            ),
        )
        changed = [name for name, asked, kept in pairs if asked != kept]
        if changed:
            raise InvalidRequest(
                f"the token {wish.submission_key!r} stands for job {record.id}, whose"
                f" {', '.join(changed)} differ",
                advice="make a new token for each job",
            )


def _at_most_max_jobs(number: int) -> None:
    if number > constants.MAX_JOBS:
        raise InvalidRequest(f"{number} jobs are more than the {constants.MAX_JOBS} of one call")


def _length(length: int | None) -> int:
    if length is None or length < 1:
        raise InvalidRequest(f"a length of {length} bytes: it must be 1 or more")
    return min(length, int(constants.MAX_READ_BYTES))


def _set(texts: Iterable[str] | None) -> frozenset[str] | None:
    return None if texts is None else frozenset(texts)


def _labels(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    return list(labels.items())


def _phases(numbers: Iterable[int]) -> frozenset[JobPhase]:
    unknown = [number for number in numbers if number not in _PHASES]
    if unknown:
        raise InvalidRequest(f"there is no phase with the number {unknown[0]}")
    return frozenset(_PHASES[number] for number in numbers)
