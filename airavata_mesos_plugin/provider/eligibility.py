"""Which jobs may be submitted: none that is held, or waits for a time, for others or for its array's limit.

A dependency that can never be fulfilled ends the job. Real SLURM lets it wait for ever; nobody is helped
by that.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from airavata_mesos_plugin.jobs import Hold, JobPhase
from airavata_mesos_plugin.provider import dependencies
from airavata_mesos_plugin.provider.dependencies import Condition, State
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.store import KeptBack, Target, Verdict

log = logging.getLogger(__name__)

HELD = {Hold.USER: "JobHeldUser", Hold.ADMIN: "JobHeldAdmin"}
BEGIN_TIME = "BeginTime"
DEPENDENCY = "Dependency"
ARRAY_LIMIT = "JobArrayTaskLimit"
NEVER = "DependencyNeverSatisfied"

NOBODY = -1
"""In place of a user id: the system itself cancelled the job."""


class Eligibility:
    """Looks at the jobs that are kept back."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def step(self, cluster: str) -> int:
        """Let go what may go, end what can never go; how many jobs changed. Repeatable.

        A handful of queries, whatever the number of jobs.
        """
        jobs = self._parts.ledger.kept_back(cluster)
        if not jobs:
            return 0
        now = self._parts.clock.now()
        doomed: list[int] = []
        verdicts: dict[int, Verdict] = {}
        candidates: list[KeptBack] = []
        remaining = self._dependencies([job for job in jobs if job.dependency], now, doomed)
        for job in jobs:
            if job.id in doomed:
                continue
            left = remaining.get(job.id, "")
            if job.held is not None:
                reason = HELD[job.held]
            elif job.begin_at is not None and job.begin_at > now:
                reason = BEGIN_TIME
            elif left:
                reason = DEPENDENCY
            else:
                reason = ""
                if job.array_limit:
                    candidates.append(job)
            verdicts[job.id] = Verdict(job.id, reason, left)
        for job in self._above_limit(candidates):
            verdicts[job.id] = Verdict(job.id, ARRAY_LIMIT, "")
        before = {job.id: (job.wait_reason, job.dependency) for job in jobs}
        changed = [v for v in verdicts.values() if (v.wait_reason, v.dependency) != before[v.id]]
        if changed:
            self._parts.ledger.decide(changed)
        for job_id in doomed:
            log.warning("job %d can never start: its dependency cannot be fulfilled any more", job_id)
            self._parts.ledger.advance(
                job_id, JobPhase.CANCELLED, source="provider", reason=NEVER, fields={"ended_at": now}
            )
        return len(changed) + len(doomed)

    def _above_limit(self, candidates: Sequence[KeptBack]) -> list[KeptBack]:
        """Those tasks that their array's limit keeps back; the lowest indexes go first."""
        if not candidates:
            return []
        taken = self._parts.ledger.under_way({job.array_id or 0 for job in candidates})
        kept = []
        for job in sorted(candidates, key=lambda job: (job.array_id or 0, job.array_index or 0)):
            number = job.array_id or 0
            if taken.get(number, 0) >= job.array_limit:
                kept.append(job)
            else:
                taken[number] = taken.get(number, 0) + 1
        return kept

    def _dependencies(self, jobs: Sequence[KeptBack], now: float, doomed: list[int]) -> dict[int, str]:
        """What of each dependency is still open, as text; jobs without hope are added to ``doomed``."""
        if not jobs:
            return {}
        parsed = {job.id: dependencies.parse(job.dependency) for job in jobs}
        wanted = {c.job_id for d in parsed.values() for c in d.conditions if c.job_id}
        family: dict[int, list[Target]] = {number: [] for number in wanted}
        for target in self._parts.ledger.targets(wanted):
            if target.array_id is not None and target.array_id in family:
                family[target.array_id].append(target)
            elif target.id in family:
                family[target.id].append(target)
        alone = [
            job for job in jobs if any(c.kind == dependencies.SINGLETON for c in parsed[job.id].conditions)
        ]
        oldest = self._parts.ledger.oldest_active({(job.name, job.user) for job in alone})
        left = {}
        for job in jobs:

            def judge(condition: Condition, job: KeptBack = job) -> State:
                if condition.kind == dependencies.SINGLETON:
                    first = oldest.get((job.name, job.user), job.id)
                    return State.OPEN if first < (job.array_id or job.id) else State.FULFILLED
                return judge_targets(condition, job.array_index, family, now)

            state, rest = parsed[job.id].reduce(judge)
            if state is State.NEVER:
                doomed.append(job.id)
            left[job.id] = str(rest) if state is State.OPEN else ""
        return left


def judge_targets(
    condition: Condition, own_index: int | None, family: Mapping[int, Sequence[Target]], now: float
) -> State:
    """How a condition stands; ``family`` has the job, or the tasks of the array, for each id.

    As in SLURM a job that nobody knows counts as fulfilled, whatever was to become of it.
    """
    jobs = family.get(condition.job_id, ())
    index = condition.index
    if condition.kind == "aftercorr" and index is None and any(job.array_index is not None for job in jobs):
        index = own_index
    if index is not None:
        jobs = [job for job in jobs if job.array_index == index]
    states = {_judge_one(condition, job, now) for job in jobs}
    for state in (State.NEVER, State.OPEN):
        if state in states:
            return state
    return State.FULFILLED


def _judge_one(condition: Condition, job: Target, now: float) -> State:
    if condition.kind == "after":
        if job.started_at is None:
            return State.FULFILLED if job.phase.final else State.OPEN
        return State.FULFILLED if job.started_at + condition.minutes * 60 <= now else State.OPEN
    if not job.phase.final:
        return State.OPEN
    if condition.kind in ("afterok", "aftercorr"):
        return State.FULFILLED if job.phase is JobPhase.COMPLETED else State.NEVER
    if condition.kind == "afternotok":
        return State.NEVER if job.phase is JobPhase.COMPLETED else State.FULFILLED
    return State.FULFILLED
