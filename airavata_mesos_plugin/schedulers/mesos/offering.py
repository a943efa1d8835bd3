"""What becomes of offers: launches, what is kept and what goes back, and whether we want any at all."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.mesos.amounts import Need
from airavata_mesos_plugin.schedulers.mesos.book import JobBook
from airavata_mesos_plugin.schedulers.mesos.driver import Driver
from airavata_mesos_plugin.schedulers.mesos.explaining import explain
from airavata_mesos_plugin.schedulers.mesos.limits import Limits
from airavata_mesos_plugin.schedulers.mesos.matching import (
    Agent,
    Assignment,
    Launch,
    Offered,
    Plan,
    Reservation,
    Wanted,
    match,
    would_start,
)
from airavata_mesos_plugin.schedulers.mesos.shunning import Shunned
from airavata_mesos_plugin.schedulers.mesos.taskinfo import need_of, task_info

REVIVE_SECONDS = 1.0
"""Least time between two calls for all offers."""

_NO_AGENT = frozenset[str]()

IDLE_REFUSAL_SECONDS = 3600.0
"""How long Mesos keeps offers from us when nothing waits."""


class OfferDesk:
    """The offers of one subscription. `use` and `call` send, and are for one thread."""

    def __init__(
        self,
        book: JobBook,
        lock: threading.RLock,
        clock: Clock,
        limits: Limits,
        shunned: Shunned,
        roles: Sequence[str],
    ) -> None:
        """Everything but `use` and `call` must be called with ``lock`` held."""
        self._book = book
        self._lock = lock
        self._clock = clock
        self._limits = limits
        self._shunned = shunned
        self._roles = tuple(roles)
        self._offers: dict[str, Offered] = {}
        self._agents: tuple[Agent, ...] = ()
        self._agents_told = False
        self._reservations: tuple[Reservation, ...] = ()
        self._replan = True
        self._suppressed = False
        self._filtered = False
        self._revive = False
        self._revive_not_before = 0.0
        self._gather_pause = REVIVE_SECONDS
        self._gather_not_before = 0.0
        self._shun_ends: float | None = None

    def begin(self) -> None:
        """A new subscription: no offers, no filters."""
        self.clear()
        self._suppressed = self._filtered = False
        self._replan = True

    def clear(self) -> None:
        """The master has taken all offers back."""
        self._offers.clear()

    def add(self, offers: Sequence[Offered]) -> None:
        self._offers.update((offer.id, offer) for offer in offers)
        self._replan = True

    def rescind(self, offer_id: str) -> None:
        self._offers.pop(offer_id, None)

    def rescind_agent(self, agent_id: str) -> None:
        """An agent is gone, and its offers with it."""
        for offer in [one for one in self._offers.values() if one.agent_id == agent_id]:
            del self._offers[offer.id]

    def know_agents(self, agents: Sequence[Agent]) -> None:
        """What the master has told of its agents just now."""
        self._agents = tuple(agents)
        self._agents_told = True
        self._replan = True

    def reasons(self, keys: Sequence[JobKey]) -> dict[JobKey, str]:
        """Why those of these jobs wait that do."""
        shunned = self._shunned.now(self._clock.monotonic())
        owners = {one.key for one in self._reservations}
        found = {}
        explained: dict[object, str] = {}
        for key in keys:
            wanted = self._book.wanted(key)
            if wanted is None:
                continue
            job = self._book.jobs[key]
            if job.not_before > self._clock.now():
                found[key] = job.note
                continue
            avoid = shunned.get("", _NO_AGENT) | shunned.get(wanted.image, _NO_AGENT)
            # Thousands of jobs of an array ask for the same.
            shape = (wanted.shape, avoid, key if key in owners else None)
            if shape not in explained:
                explained[shape] = explain(wanted, self._agents, avoid=avoid, reservations=self._reservations)
            found[key] = explained[shape]
        return found

    def use(self, driver: Driver) -> None:
        """Launch what fits, keep what is reserved, give back the rest. Raises what a call raises."""
        with self._lock:
            self._replan = self._replan or self._book.moved
            self._book.moved = False
            if not self._replan or not self._offers:
                return
            self._replan = False
            now = self._clock.now()
            wanted, avoid = self._in_order(now)
            impatient = any(now - job.since >= self._limits.patience for job in wanted)
            plan = match(
                wanted,
                list(self._offers.values()),
                agents=self._within_reach() if impatient else (),
                reservations=self._reservations,
                avoid=avoid,
                now=now,
                patience_seconds=self._limits.patience,
            )
            self._reservations = plan.reservations
            for offer_id in (*plan.decline, *(id for launch in plan.launches for id in launch.offer_ids)):
                del self._offers[offer_id]
            self._note(plan)
            if plan.launches:
                self._gather_pause = REVIVE_SECONDS
            self._book.moved = False  # what was launched now is no reason to plan again
            waits = self._book.any_waiting
        filters = {"refuse_seconds": self._limits.refuse if waits else IDLE_REFUSAL_SECONDS}
        self._filtered = self._filtered or bool(plan.launches or plan.decline)
        self._launch(driver, plan.launches, filters)
        if plan.decline:
            driver.declineOffer([{"value": id} for id in plan.decline], filters=filters)

    def _in_order(self, wall: float) -> tuple[list[Wanted], frozenset[str]]:
        """The jobs that wait, kept from agents where their image fails; and the agents that none may use."""
        wanted = self._book.in_order(wall)
        shunned = self._shunned.now(self._clock.monotonic())
        if shunned.keys() - {""}:
            wanted = [
                replace(one, avoid=shunned[one.image]) if one.image and one.image in shunned else one
                for one in wanted
            ]
        return wanted, shunned.get("", _NO_AGENT)

    def _within_reach(self) -> list[Agent]:
        """The agents, with what jobs of ours have there counted as what will be free some day."""
        ours: dict[str, list[Need]] = {}
        for job in self._book.launched.values():
            for member, task in zip(job.members, job.form.tasks, strict=True):
                if not member.over:
                    ours.setdefault(member.agent_id, []).append(need_of(task))
        return [
            replace(agent, reach=agent.free.plus(ours.get(agent.place.agent_id, ())))
            for agent in self._agents
        ]

    def call(self, driver: Driver) -> None:
        """Say whether we want offers: none while nothing waits, all of them when something new does."""
        now = self._clock.monotonic()
        with self._lock:
            if not self._book.any_waiting:
                self._revive = self._book.grown = False
                if self._suppressed or self._offers:
                    return
                self._suppressed = True
            else:
                self._note_what_may_start_again(now)
                if not self._suppressed and not (self._revive and self._filtered):
                    self._revive = False
                    return
                if now < self._revive_not_before:
                    return
                self._revive_not_before = now + REVIVE_SECONDS
                self._revive = self._suppressed = self._filtered = False
            suppress = self._suppressed
        if suppress:
            driver.suppressOffers(self._roles)
        else:
            driver.reviveOffers(self._roles)

    def _note_what_may_start_again(self, now: float) -> None:
        """What was declined before a job came, or in the pause of a job or an agent, is of use now."""
        wall = self._clock.now()
        if self._book.grown:
            self._book.grown = False
            self._revive = True
        for key in self._book.waiting:
            job = self._book.jobs[key]
            if 0.0 < job.not_before <= wall:
                job.not_before = 0.0
                self._revive = self._replan = True
        if self._shun_ends is not None and now >= self._shun_ends:
            self._revive = self._replan = True
        self._shun_ends = self._shunned.next_end(now)
        self._gather(now, wall)

    def _gather(self, now: float, wall: float) -> None:
        """Nodes that came free one after the other were each too few for a gang, and were declined: once they
        suffice they are asked for together. Others may hold them, so that is not tried all the time.
        """
        told, self._agents_told = self._agents_told, False
        if not (told and self._filtered and now >= self._gather_not_before):
            return
        wanted, avoid = self._in_order(wall)
        if would_start(wanted, self._agents, reservations=self._reservations, avoid=avoid):
            self._revive = True
            self._gather_not_before = now + self._gather_pause
            self._gather_pause = min(2 * self._gather_pause, self._limits.refuse)

    def _note(self, plan: Plan) -> None:
        """Write down what is about to be launched."""
        now = self._clock.now()
        places: dict[JobKey, dict[int, Assignment]] = {}
        for launch in plan.launches:
            for one in launch.assignments:
                places.setdefault(one.key, {})[one.index] = one
        for key, assigned in places.items():
            job = self._book.jobs[key]
            job.begin_launch([(assigned[i].agent_id, assigned[i].host) for i in sorted(assigned)], now)
            job.framework_id = self._book.framework_id or ""
            self._book.changed(job)
        self._book.flush()

    def _launch(self, driver: Driver, launches: Sequence[Launch], filters: Mapping[str, float]) -> None:
        for number, launch in enumerate(launches):
            with self._lock:
                jobs = [(self._book.jobs[one.key], one) for one in launch.assignments]
                infos = [task_info(job.form, one.index, job.task_id(one.index), one) for job, one in jobs]
            operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
            try:
                driver.acceptOffers([{"value": id} for id in launch.offer_ids], [operation], filters=filters)
            except AiravataMesosError as error:
                # What was not even tried is undone as well: its offers go with the subscription.
                undone = launches[number + error.outcome_unknown :]
                with self._lock:
                    self._undo([one for launch in undone for one in launch.assignments])
                raise

    def _undo(self, assignments: Sequence[Assignment]) -> None:
        """These tasks were not launched, for sure."""
        now = self._clock.now()
        for key in dict.fromkeys(one.key for one in assignments):
            job = self._book.jobs[key]
            indexes = {one.index for one in assignments if one.key == key}
            if len(indexes) == len(job.members):
                job.undo_launch()
                if job.kill is not None:
                    job.ended, job.changed_at = JobPhase.CANCELLED, now
            else:
                for index in indexes:
                    dropped = {"state": "TASK_DROPPED", "message": "the launch could not be sent"}
                    job.update(job.task_id(index), dropped, now)
            self._book.changed(job)
        self._book.flush()
