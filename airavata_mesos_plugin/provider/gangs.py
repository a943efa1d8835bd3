"""Jobs over several nodes: a gang, of which every node starts or none does.

A node registers when it is ready and asks until all are there; only then does the first one run the script.
Nodes that wait for the last one too long are given back, and the job tries again after a pause that nobody
can foresee: two gangs which together need more than there is so never wait for each other for good.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.gang_nodes import (
    answer,
    named,
    node_list,
    node_of,
    same_start,
    with_tasks,
)
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox.tickets import Purpose
from airavata_mesos_plugin.schedulers.base import TaskObservation
from airavata_mesos_plugin.store import JobSelection
from airavata_mesos_plugin.store.gangs import Gang, GangNode

log = logging.getLogger(__name__)

FRESH_SECONDS = 45.0
"""A node that has not asked for so long is not there; nodes ask every ten seconds or so."""

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0

_GATHERING = frozenset({JobPhase.SUBMITTING, JobPhase.QUEUED})


@dataclass
class _Gathering:
    """The nodes of an attempt that are there, with the time of their last question (monotonic)."""

    began: float
    seen: dict[int, tuple[GangNode, float]] = field(default_factory=dict)

    def present(self, now: float) -> list[GangNode]:
        return [node for _, (node, at) in sorted(self.seen.items()) if now - at < FRESH_SECONDS]


class GangDesk:
    """Brings the nodes of jobs together. Safe to use from several threads."""

    def __init__(self, parts: Parts, chance: Callable[[], float] = random.random) -> None:
        """``chance`` gives numbers from 0 to 1 for the pauses."""
        self._parts = parts
        self._chance = chance
        self._lock = threading.Lock()  # of the gatherings alone: nothing waits for the ledger within it
        self._gatherings: dict[tuple[int, int], _Gathering] = {}

    def register(self, ticket: str, number: int, said: Mapping[str, object]) -> dict[str, object]:
        """A node says that it is ready and asks for the others. Repeatable; nodes do so until all are there.

        The answer has ``nodes`` and ``variables`` once all are, else ``present``, their number. Raises
        NotFound for a ticket that is not ours, a job that has no use for the node, and a node that was
        started anew after all had been there; InvalidRequest for words that no node says.
        """
        parts = self._parts
        holder = parts.tickets.check(ticket, parts.clock.now(), Purpose.GANG)
        if holder is None:
            raise NotFound("no such address")
        node = node_of(number, said)
        ledger = parts.ledger
        record = ledger.job(holder.job_id)
        if (
            record.attempt != holder.attempt
            or number >= record.request.nodes
            or record.phase not in (*_GATHERING, JobPhase.RUNNING)
        ):
            raise NotFound("no such address")
        gang = ledger.gangs.of(record.id, record.attempt)
        if gang is None:
            present = self._join(record, node)
            if len(present) == record.request.nodes:
                gang = self._settle(record, present)
            else:
                # Another one may have been the last, and have closed the gathering that this one just opened.
                gang = ledger.gangs.of(record.id, record.attempt)
        if gang is None:
            return {"present": len(present)}
        if not same_start(gang.nodes[number], node):
            raise NotFound("this node was started again, but its job cannot be joined again")
        return answer(gang.nodes)

    def seen(self, record: JobRecord, task: TaskObservation) -> TaskObservation:
        """What a scheduler says about the first node, as far as it is true of the whole job.

        To be called within `Ledger.together`, so that what it says is still so when it is written.
        """
        if record.request.nodes == 1:
            return task
        ledger = self._parts.ledger
        gang = ledger.gangs.of(record.id, record.attempt)
        record = ledger.job(record.id)  # the nodes may have come since it was read
        if gang is None:
            if task.phase is JobPhase.RUNNING:
                return replace(task, phase=JobPhase.QUEUED, started_at=None)
            if task.phase.final and _ending(record):
                # Nodes end by themselves when they hear that the job is to end, before they are killed.
                return replace(task, kill_seen=True)
            if task.phase is JobPhase.LOST:
                self._take_back(record, f"a node was lost before all had started ({task.message})")
            return task
        if task.task_id and gang.task_id in ("", task.task_id):
            nodes = with_tasks(gang.nodes, task.nodes)
            if (nodes, task.task_id) != (gang.nodes, gang.task_id):
                ledger.gangs.observe(record.id, record.attempt, task.task_id, nodes)
        elif task.task_id != gang.task_id:
            # The scheduler has replaced the first node. A job that has begun cannot go on with another one.
            return replace(
                task,
                task_id=gang.task_id,
                run=record.run,
                host=record.host,
                agent_id=record.agent_id,
                phase=JobPhase.LOST,
                queued_at=None,
                started_at=record.started_at,
                message=f"the first node, {gang.nodes[0].name}, was lost",
            )
        return replace(task, started_at=record.started_at or task.started_at)

    def waiting_reason(self, record: JobRecord, reason: str) -> str:
        """Why the job waits: the scheduler's ``reason``, and how many nodes are there."""
        if record.request.nodes == 1:
            return reason
        now = self._parts.clock.monotonic()
        with self._lock:
            gathering = self._gatherings.get((record.id, record.attempt))
            present = gathering.present(now) if gathering is not None else []
        if not present:
            return reason
        told = f"{len(present)} of {record.request.nodes} nodes have started"
        return f"{told}; {reason}" if reason else told

    def step(self, cluster: str) -> None:
        """Give back the nodes of jobs that wait for their last one too long. Repeatable."""
        parts = self._parts
        now = parts.clock.monotonic()
        with self._lock:
            found = [
                (*key, gathering.began, len(gathering.present(now)))
                for key, gathering in self._gatherings.items()
            ]
        for job_id, attempt, began, present in found:
            record = parts.ledger.job(job_id)
            if record.cluster != cluster:
                continue
            if not _gathers(record, attempt):
                self._forget(job_id, attempt)
                continue
            limit = parts.settings.queue(record.request.queue).gathering_seconds
            if now - began >= limit:
                told = f"only {present} of {record.request.nodes} nodes had started after {limit} s"
                self._give_back(record, told)

    def admitted(self, cluster: str, records: list[JobRecord]) -> list[JobRecord]:
        """Those that may go to a scheduler which starts nodes one by one.

        There only one gang of a cluster gathers its nodes at a time, or several might each get a part of
        what they need.
        """
        if all(record.request.nodes == 1 for record in records):
            return records
        there = JobSelection(clusters=frozenset({cluster}), phases=_GATHERING)
        under_way = [record for record in self._parts.ledger.jobs(there) if record.request.nodes > 1]
        first = under_way[-1].id if under_way else None
        chosen = []
        for record in records:
            if record.request.nodes == 1 or record.id == first or record.phase is JobPhase.SUBMITTING:
                chosen.append(record)
            elif first is None:
                first = record.id
                chosen.append(record)
            else:
                reason = f"waits until job {first} has all its nodes"
                if record.pending_reason != reason:
                    self._parts.ledger.annotate(record.id, pending_reason=reason)
        return chosen

    def _join(self, record: JobRecord, node: GangNode) -> list[GangNode]:
        """The nodes that are there, with this one. Raises NotFound for a job that is being ended."""
        if not _gathers(record, record.attempt):
            raise NotFound("no such address")
        now = self._parts.clock.monotonic()
        with self._lock:
            gathering = self._gatherings.setdefault((record.id, record.attempt), _Gathering(began=now))
            gathering.seen[node.number] = (node, now)
            return gathering.present(now)

    def _settle(self, record: JobRecord, present: list[GangNode]) -> Gang:
        """The job runs on these nodes, or on those that another one was quicker with.

        Raises NotFound when it is being ended by now.
        """
        ledger = self._parts.ledger
        nodes = named(present)
        with ledger.together():  # nobody else ends the job or gives it back meanwhile
            gang = ledger.gangs.of(record.id, record.attempt)
            if gang is None and _gathers(ledger.job(record.id), record.attempt):
                gang = ledger.gangs.keep(record.id, record.attempt, nodes)
                ledger.advance(
                    record.id,
                    JobPhase.RUNNING,
                    source="provider",
                    reason=f"all {len(nodes)} nodes have started",
                    fields={"started_at": self._parts.clock.now(), "node_list": node_list(gang.nodes)},
                )
        self._forget(record.id, record.attempt)
        if gang is None:
            raise NotFound("no such address")
        return gang

    def _give_back(self, record: JobRecord, told: str) -> None:
        with self._parts.ledger.together():
            self._take_back(record, told)
        self._parts.views[record.cluster].wake.set()

    def _take_back(self, record: JobRecord, told: str) -> None:
        """To be called within `Ledger.together`."""
        parts = self._parts
        if not _gathers(parts.ledger.job(record.id), record.attempt):
            return  # the last node has come, or somebody was quicker to end it
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(record.attempt, 10))
        pause = longest * (0.5 + self._chance() / 2)
        now = parts.clock.now()
        parts.ledger.annotate(
            record.id, requeue_requested_at=now, requeue_requested_by="", begin_at=now + pause
        )
        parts.ledger.note(record.id, source="provider", reason=f"{told}: given back, to be tried again")
        log.warning("job %d: %s; they are given back for %.0f s", record.id, told, pause)

    def _forget(self, job_id: int, attempt: int) -> None:
        with self._lock:
            self._gatherings.pop((job_id, attempt), None)


def _gathers(record: JobRecord, attempt: int) -> bool:
    """True while nodes may still come for this attempt, which nobody has asked to end."""
    return record.attempt == attempt and record.phase in _GATHERING and not _ending(record)


def _ending(record: JobRecord) -> bool:
    return record.cancel_requested_at is not None or record.requeue_requested_at is not None
