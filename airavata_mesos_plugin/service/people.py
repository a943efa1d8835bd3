"""What the `airavata-mesos` command asks of the daemon: plain data about jobs and clusters.

Every answer is a JSON document on stdout, apart from ``read``, which gives the bytes of a file there and
its JSON on stderr. Times are seconds since the epoch, durations are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from airavata_mesos_plugin import __version__
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobEvent, JobRecord
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.provider.following import log_names
from airavata_mesos_plugin.service.answers import Answer, failed, json_answer
from airavata_mesos_plugin.service.people_files import FileCalls, job_number, own
from airavata_mesos_plugin.states import AIRAVATA_STATES, SLURM_STATES
from airavata_mesos_plugin.store import JobSelection


def describe(record: JobRecord, events: Sequence[JobEvent], now: float) -> dict[str, object]:
    """One job as a document: all that the ledger knows, and the time spent in each phase."""
    output, errors = log_names(record)
    request = record.request.model_dump(mode="json", exclude_defaults=True)
    return {
        "id": record.id,
        "name": record.request.name,
        "user": record.request.user,
        "queue": record.request.queue,
        "cluster": record.cluster,
        "job_key": str(record.key),
        "phase": record.phase.value,
        "state": SLURM_STATES[record.phase].word,
        "airavata_state": AIRAVATA_STATES[record.phase],
        "native_state": record.native_state,
        "final": record.phase.final,
        "exit_code": record.exit_code,
        "signal": record.signal,
        "reason": record.reason or record.pending_reason,
        "run": record.run,
        "task_id": record.task_id,
        "host": record.host,
        "nodes": list(record.node_names),
        "working_directory": record.request.working_directory,
        "stdout_file": output,
        "stderr_file": errors,
        "accepted_at": record.accepted_at,
        "queued_at": record.queued_at,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "changed_at": record.changed_at,
        "phase_seconds": phase_seconds(events, now),
        "request": request,
    }


def phase_seconds(events: Sequence[JobEvent], now: float) -> dict[str, float]:
    """How long the job was in each phase that it went through; the present one up to ``now``."""
    seconds: dict[str, float] = {}
    steps = [(event.phase, event.time) for event in events]
    for index, (phase, begin) in enumerate(steps):
        if phase.final:
            continue
        end = steps[index + 1][1] if index + 1 < len(steps) else now
        seconds[phase.value] = round(seconds.get(phase.value, 0.0) + max(0.0, end - begin), 3)
    return seconds


class PeopleCalls:
    """Answers the calls of one daemon."""

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        facts: Callable[[], dict[str, object]],
        announced: Callable[[int], list[dict[str, object]]],
    ) -> None:
        """``announced`` gives what Airavata was told of a job."""
        self._announced = announced
        self._provider = provider
        self._clock = clock
        self._facts = facts
        self._calls: dict[str, Callable[[Sequence[str], int, str], Answer]] = {
            "status": self._status,
            "jobs": self._jobs,
            "show": self._show,
            "cancel": self._cancel,
            "read": self._read,
            "outputs": self._outputs,
            "document": self._document,
            **FileCalls(provider).calls,
        }

    def seen_by(self, uid: int, user: str) -> PeopleCalls:
        """The same for an account that may see its own jobs only."""
        seen = self._provider.seen_by(uid, user)
        return PeopleCalls(seen, self._clock, self._facts, self._announced)

    def run(self, argv: Sequence[str], uid: int, user: str) -> Answer:
        """Answer one call. Errors of the caller come back as text on stderr and exit code 1."""
        try:
            if not argv or argv[0] not in self._calls:
                raise InvalidRequest(f"the daemon knows no call {argv[0] if argv else ''!r}")
            return self._calls[argv[0]](argv[1:], uid, user)
        except AiravataMesosError as error:
            return failed(error)

    def _status(self, _argv: Sequence[str], _uid: int, _user: str) -> Answer:
        clusters = []
        for name, view in self._provider.views.items():
            settings = self._provider.settings.cluster(name)
            clusters.append(
                {
                    "name": name,
                    "kind": settings.kind,
                    "schedulers": settings.schedulers,
                    "mesos_masters": settings.mesos_masters,
                    "answered_at": view.answered_at,
                    "trouble": view.trouble,
                    "nodes": [
                        {**asdict(node), "total": node.total.model_dump(), "used": node.used.model_dump()}
                        for node in view.nodes
                    ],
                }
            )
        active = len(self._provider.jobs(JobSelection(phases=ACTIVE_PHASES)))
        return json_answer(
            {"version": __version__, "active_jobs": active, "clusters": clusters, **self._facts()}
        )

    def _jobs(self, argv: Sequence[str], _uid: int, _user: str) -> Answer:
        phases = None if "--all" in argv else ACTIVE_PHASES
        records = self._provider.jobs(JobSelection(phases=phases, limit=1000))
        now = self._clock.now()
        return json_answer([self._listed(record, now) for record in records])

    def _listed(self, record: JobRecord, now: float) -> dict[str, object]:
        document = describe(record, self._provider.events(record.id), now)
        progress = self._provider.collector.progress(record.id)
        if progress is not None:
            document["fetch"] = {"progress": asdict(progress)}
        return document

    def _show(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        record = self._provider.job(_job_id(argv))
        events = self._provider.events(record.id)
        document = describe(record, events, self._clock.now())
        document["events"] = [
            {
                "time": event.time,
                "phase": event.phase.value,
                "source": event.source,
                "reason": event.reason,
                "native_state": event.native_state,
            }
            for event in events
        ]
        view = self._provider.views.get(record.cluster)
        if view is not None and not record.phase.final:
            # How old is what is said about the job here.
            age = None if view.answered_at is None else max(0.0, self._clock.now() - view.answered_at)
            document["cluster_answered_at"] = view.answered_at
            document["cluster_age_seconds"] = age
            document["cluster_trouble"] = view.trouble
        document["fetch"] = self._fetch(record, uid)
        document["announced"] = self._announced(record.id)
        return json_answer(document)

    def _fetch(self, record: JobRecord, uid: int) -> dict[str, object] | None:
        """How far the outputs have come, or how they came; names of files are for the owner only."""
        progress = self._provider.collector.progress(record.id)
        if progress is not None:
            return {"progress": asdict(progress)}
        fetched = self._provider.fetched(record.id)
        if fetched is not None and uid not in (0, record.request.uid):
            fetched.pop("left_out", None)
        return fetched

    def _cancel(self, argv: Sequence[str], uid: int, user: str) -> Answer:
        job_id = _job_id(argv)
        return json_answer({"id": job_id, "asked": self._provider.request_cancel(job_id, user, uid)})

    def _read(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        if len(argv) != 3 or not argv[2].isdecimal():
            raise InvalidRequest("read needs a job id, a file name and an offset in bytes")
        record = own(self._provider, argv[0], uid)
        chunk = self._provider.read_output(record.id, argv[1], int(argv[2]))
        told = json.dumps({"offset": chunk.offset, "over": chunk.over})
        return Answer(stdout=chunk.data, stderr=told.encode())

    def _outputs(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        record = own(self._provider, _one(argv), uid)
        files = self._provider.outputs(record.id)
        return json_answer([{"name": file.name, "bytes": file.size} for file in files])

    def _document(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        record = own(self._provider, _one(argv), uid)  # it holds the address of the inputs
        return json_answer(self._provider.document(record.id))


def _one(argv: Sequence[str]) -> str:
    return argv[0] if argv else ""


def _job_id(argv: Sequence[str]) -> int:
    return job_number(_one(argv))
