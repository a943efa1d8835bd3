"""At least once, in order, with growing pauses, over restarts, and no job waits for another."""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.airavata.publishers import Announcement, Parcel, Publisher, announcements
from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config.airavata import AiravataSettings
from airavata_mesos_plugin.errors import AiravataMesosError, OutcomeUnknown, Refused, Unreachable
from airavata_mesos_plugin.jobs import JobPhase, JobRecord, JobRequest
from airavata_mesos_plugin.store import Ledger
from tests.support.publishing import FINAL, accept, legal, request

QUICK = AiravataSettings(pause_seconds=0, settle_seconds=0)
STATES = ("ACTIVE", "NON_CRITICAL_FAIL", "QUEUED", "COMPLETE", "FAILED", "CANCELED")


class Wire:
    """A channel that writes down what it was given. ``faults`` says what happens to the next sends."""

    def __init__(self, name: str = "wire", *, words: Collection[str] = STATES, settles: bool = False) -> None:
        self.name = name
        self.settles = settles
        self.words = words
        self.down: set[str] = set()  # destinations
        self.faults: list[Callable[[], AiravataMesosError | None]] = []
        self.tries: list[tuple[int, str]] = []
        self.arrived: list[tuple[int, str]] = []
        self.on_send: Callable[[], None] | None = None

    def wants(self, _request: JobRequest, _script: str) -> bool:
        return True

    def compose(
        self, record: JobRecord, _script: Callable[[], str], announcement: Announcement
    ) -> Parcel | None:
        if announcement.state not in self.words:
            return None
        destination = record.request.account or "there"
        return Parcel(destination, partial(self._send, record.id, announcement.state, destination))

    def close(self) -> None:
        """There is nothing to close."""

    def _send(self, job_id: int, state: str, destination: str) -> None:
        self.tries.append((job_id, state))
        if self.on_send is not None:
            self.on_send()
        if destination in self.down:
            raise Unreachable(f"{destination} is down")
        if self.faults:
            error = self.faults.pop(0)()
            if error is not None:
                if error.outcome_unknown:
                    self.arrived.append((job_id, state))
                raise error
        self.arrived.append((job_id, state))


class Bench:
    """Channels on a ledger, each with its publisher."""

    def __init__(
        self, ledger: Ledger, clock: ManualClock, *wires: Wire, settings: AiravataSettings = QUICK
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.wires = wires
        self.settings = settings
        self.stop = threading.Event()
        ledger.outbox.open([wire.name for wire in wires], lambda _request, _script: [w.name for w in wires])
        self.restart()

    def restart(self) -> None:
        self.publishers = [Publisher(wire, self.ledger, self.clock, self.settings) for wire in self.wires]

    def turn(self, seconds: float = 0.0) -> list[float]:
        self.clock.advance(seconds)
        return [publisher.turn(self.stop) for publisher in self.publishers]

    def go(self, job_id: int, *phases: JobPhase) -> None:
        for phase in phases:
            self.ledger.advance(job_id, phase, source="test")


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def bench(ledger: Ledger, clock: ManualClock, wire: Wire) -> Bench:
    return Bench(ledger, clock, wire)


def test_a_job_is_told_from_its_start_to_its_end(bench: Bench, wire: Wire) -> None:
    job = accept(bench.ledger).id
    bench.turn()
    assert wire.arrived == []
    bench.go(job, JobPhase.QUEUED, JobPhase.RUNNING)
    bench.turn()
    bench.turn()
    assert wire.arrived == [(job, "ACTIVE")]
    bench.go(job, JobPhase.FETCHING)
    bench.turn()
    assert wire.arrived == [(job, "ACTIVE")]
    bench.go(job, JobPhase.COMPLETED)
    bench.turn()
    bench.turn(3600)
    assert wire.arrived == [(job, "ACTIVE"), (job, "COMPLETE")]
    (delivery,) = bench.ledger.outbox.of(job)
    assert (delivery.over, delivery.due_at, delivery.state) == (True, None, "COMPLETE")
    assert bench.publishers[0].told(delivery) == (["ACTIVE", "COMPLETE"], [])


def test_pauses_grow_and_the_order_stays(bench: Bench, wire: Wire) -> None:
    job = accept(bench.ledger).id
    bench.go(job, JobPhase.RUNNING, JobPhase.COMPLETED)
    wire.down.add("there")
    begin = bench.clock.now()
    tried_at: list[float] = []
    for _ in range(1200):
        before = len(wire.tries)
        bench.turn(1)
        if len(wire.tries) > before:
            tried_at.append(bench.clock.now() - begin)
    pauses = [round(b - a) for a, b in pairwise(tried_at)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    assert set(wire.tries) == {(job, "ACTIVE")}
    (delivery,) = bench.ledger.outbox.of(job)
    assert (delivery.failures, delivery.trouble) == (9, "there is down")
    assert bench.publishers[0].told(delivery) == ([], ["ACTIVE", "COMPLETE"])
    wire.down.clear()
    bench.turn(300)
    assert wire.arrived == [(job, "ACTIVE"), (job, "COMPLETE")]
    assert bench.ledger.outbox.of(job)[0].failures == 0


def test_a_new_event_does_not_shorten_the_pause_after_a_failure(bench: Bench, wire: Wire) -> None:
    job = accept(bench.ledger).id
    bench.go(job, JobPhase.RUNNING)
    wire.faults = [lambda: Refused("no such task")]
    bench.turn()
    bench.go(job, JobPhase.COMPLETED)
    bench.turn(1)
    assert wire.tries == [(job, "ACTIVE")]
    bench.turn(4)
    assert wire.arrived == [(job, "ACTIVE"), (job, "COMPLETE")]


def test_it_goes_on_after_a_restart(tmp_path: Path, clock: ManualClock, wire: Wire) -> None:
    first = Ledger(tmp_path / "restart.db", clock)
    bench = Bench(first, clock, wire)
    done, waiting, job = (accept(first).id for _ in range(3))
    bench.go(done, JobPhase.RUNNING, JobPhase.COMPLETED)
    bench.turn()
    bench.go(waiting, JobPhase.RUNNING)
    bench.go(job, JobPhase.RUNNING, JobPhase.FAILED)
    wire.down.add("there")
    bench.turn()
    bench.turn(5)
    bench.turn(10)
    first.close()  # the process dies

    wire.arrived.clear()
    wire.down.clear()
    second = Ledger(tmp_path / "restart.db", clock)
    bench = Bench(second, clock, wire)
    bench.turn()
    assert wire.arrived == []  # the pause is in the ledger
    bench.turn(20)
    assert sorted(wire.arrived) == [(waiting, "ACTIVE"), (job, "ACTIVE"), (job, "FAILED")]
    assert wire.arrived.index((job, "ACTIVE")) < wire.arrived.index((job, "FAILED"))
    second.close()


def test_an_end_that_was_recorded_just_before_a_crash_is_told(
    tmp_path: Path, clock: ManualClock, wire: Wire
) -> None:
    first = Ledger(tmp_path / "crash.db", clock)
    bench = Bench(first, clock, wire)
    job = accept(first).id
    bench.go(job, JobPhase.RUNNING, JobPhase.COMPLETED)
    first.close()
    second = Ledger(tmp_path / "crash.db", clock)
    Bench(second, clock, wire).turn()
    assert wire.arrived == [(job, "ACTIVE"), (job, "COMPLETE")]
    second.close()


def test_a_channel_that_is_down_does_not_hold_up_another(ledger: Ledger, clock: ManualClock) -> None:
    dead, alive = Wire("dead"), Wire("alive")
    dead.down.add("there")
    bench = Bench(ledger, clock, dead, alive)
    job = accept(ledger).id
    bench.go(job, JobPhase.RUNNING, JobPhase.COMPLETED)
    bench.turn()
    assert alive.arrived == [(job, "ACTIVE"), (job, "COMPLETE")]
    assert dead.arrived == []
    assert [(d.channel, d.over) for d in ledger.outbox.of(job)] == [("alive", True), ("dead", False)]


def test_a_destination_that_is_down_is_tried_once_for_all_its_jobs(bench: Bench, wire: Wire) -> None:
    lost = [accept(bench.ledger, request(account="down")).id for _ in range(150)]
    good = accept(bench.ledger, request(account="up")).id
    for job in (*lost, good):
        bench.go(job, JobPhase.RUNNING)
    wire.down.add("down")
    bench.turn()
    bench.turn()
    assert wire.tries == [(lost[0], "ACTIVE"), (good, "ACTIVE")]
    wire.down.clear()
    for _ in range(3):
        bench.turn(5)
    assert sorted(wire.arrived) == sorted((job, "ACTIVE") for job in (*lost, good))


def test_a_message_that_is_refused_does_not_hold_up_others(bench: Bench, wire: Wire) -> None:
    bad, good = accept(bench.ledger).id, accept(bench.ledger).id
    bench.go(bad, JobPhase.RUNNING)
    bench.go(good, JobPhase.RUNNING)
    wire.faults = [lambda: Refused("no such task")]
    bench.turn()
    assert wire.arrived == [(good, "ACTIVE")]
    bench.turn(5)
    assert wire.arrived == [(good, "ACTIVE"), (bad, "ACTIVE")]


def test_a_fault_of_ours_silences_one_job_only(
    bench: Bench, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    def fault() -> AiravataMesosError:
        raise ZeroDivisionError("a mistake")

    bad, good = accept(bench.ledger).id, accept(bench.ledger).id
    bench.go(bad, JobPhase.RUNNING)
    bench.go(good, JobPhase.RUNNING)
    wire.faults = [fault]
    bench.turn()
    assert wire.arrived == [(good, "ACTIVE")]
    assert bench.ledger.outbox.of(bad)[0].trouble == "ZeroDivisionError: a mistake"
    assert "a mistake" in caplog.text


def test_an_event_that_comes_while_something_is_sent_is_not_missed(bench: Bench, wire: Wire) -> None:
    job = accept(bench.ledger).id
    bench.go(job, JobPhase.RUNNING)
    wire.on_send = lambda: bench.go(job, JobPhase.COMPLETED)
    bench.turn()
    assert wire.arrived == [(job, "ACTIVE")]
    wire.on_send = None
    bench.turn()
    assert wire.arrived == [(job, "ACTIVE"), (job, "COMPLETE")]


def test_what_a_channel_has_no_word_for_is_left_out(ledger: Ledger, clock: ManualClock) -> None:
    mail = Wire("mail", words=("ACTIVE", "COMPLETE", "NON_CRITICAL_FAIL"))
    old = Wire("old", words=("ACTIVE", "COMPLETE"))
    bench = Bench(ledger, clock, mail, old)
    job = accept(ledger).id
    bench.go(job, JobPhase.RUNNING)
    ledger.advance(job, JobPhase.QUEUED, run=1, source="test")
    bench.go(job, JobPhase.RUNNING, JobPhase.COMPLETED)
    bench.turn()
    assert [state for _, state in mail.arrived] == ["ACTIVE", "NON_CRITICAL_FAIL", "ACTIVE", "COMPLETE"]
    assert [state for _, state in old.arrived] == ["ACTIVE", "COMPLETE"]
    told = dict(zip(("mail", "old"), ledger.outbox.of(job), strict=True))
    assert bench.publishers[1].told(told["old"]) == (["ACTIVE", "COMPLETE"], [])


def test_a_pause_lies_between_two_states_and_a_start_is_told_again(
    ledger: Ledger, clock: ManualClock
) -> None:
    wire = Wire(settles=True)
    bench = Bench(ledger, clock, wire, settings=AiravataSettings())
    job = accept(ledger).id
    bench.go(job, JobPhase.RUNNING)
    told: list[tuple[float, str]] = []
    begin = clock.now()
    for _ in range(40):
        before = len(wire.arrived)
        bench.turn(0.5)
        told += [(clock.now() - begin, state) for _, state in wire.arrived[before:]]
        if clock.now() - begin == 14.5:
            bench.go(job, JobPhase.FETCHING, JobPhase.COMPLETED)
    assert told == [(0.5, "ACTIVE"), (10.0, "ACTIVE"), (15.0, "COMPLETE")]


def test_a_start_is_not_told_again_after_the_end(ledger: Ledger, clock: ManualClock) -> None:
    wire = Wire(settles=True)
    bench = Bench(ledger, clock, wire, settings=AiravataSettings())
    job = accept(ledger).id
    bench.go(job, JobPhase.RUNNING)
    bench.turn()
    bench.go(job, JobPhase.FETCHING, JobPhase.COMPLETED)
    for _ in range(30):
        bench.turn(1)
    assert wire.arrived == [(job, "ACTIVE"), (job, "COMPLETE")]


def test_it_is_given_up_at_last(bench: Bench, wire: Wire) -> None:
    job = accept(bench.ledger).id
    bench.go(job, JobPhase.RUNNING)
    wire.down.add("there")
    bench.turn()
    bench.turn(7 * 86400 + 1)
    (delivery,) = bench.ledger.outbox.of(job)
    assert (delivery.over, delivery.trouble) == (True, "given up: there is down")
    wire.down.clear()
    bench.go(job, JobPhase.COMPLETED)
    bench.turn(3600)
    assert wire.arrived == []


def test_jobs_of_before_the_channel_are_left_alone_when_they_are_over(
    ledger: Ledger, clock: ManualClock, wire: Wire
) -> None:
    over, active = accept(ledger).id, accept(ledger).id
    ledger.advance(over, JobPhase.COMPLETED, source="test")
    bench = Bench(ledger, clock, wire)
    ledger.outbox.open([wire.name], lambda _r, _s: [wire.name], [(active, wire.name)])
    bench.go(active, JobPhase.RUNNING)
    ledger.note(over, source="test", reason="much later")
    bench.turn()
    assert wire.arrived == [(active, "ACTIVE")]


def test_the_next_look_is_when_something_is_due(bench: Bench, wire: Wire) -> None:
    assert bench.turn() == [1.0]
    job = accept(bench.ledger).id
    assert bench.turn() == [1.0]
    bench.go(job, JobPhase.RUNNING)
    wire.down.add("there")
    assert bench.turn() == [1.0]
    assert bench.turn(4.75) == [0.25]


def test_a_stop_ends_a_turn(bench: Bench, wire: Wire) -> None:
    jobs = [accept(bench.ledger).id for _ in range(3)]
    for job in jobs:
        bench.go(job, JobPhase.RUNNING, JobPhase.COMPLETED)
    wire.on_send = bench.stop.set
    bench.turn()
    assert len(wire.arrived) == 1


def test_deliveries_are_found_by_their_index(ledger: Ledger) -> None:
    statements = (
        "SELECT * FROM deliveries WHERE channel = 'x' AND due_at IS NOT NULL AND due_at <= 5"
        " ORDER BY due_at, job_id LIMIT 9",
        "SELECT MIN(due_at) FROM deliveries WHERE channel = 'x' AND due_at IS NOT NULL",
    )
    connection = sqlite3.connect(ledger._path)
    for text in statements:
        plan = " ".join(str(row) for row in connection.execute(f"EXPLAIN QUERY PLAN {text}"))
        assert "USING INDEX deliveries_due" in plan or "COVERING INDEX deliveries_due" in plan
    connection.close()


chaos = st.lists(
    st.tuples(
        st.sampled_from(["advance", "turn", "turn", "restart", "wait"]),
        st.integers(0, 2),
        st.sampled_from([p for p in JobPhase if p.rank >= 2]),
        st.sampled_from(["good", "lost", "unknown"]),
    ),
    max_size=30,
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(chaos)
def test_nothing_is_lost_and_nothing_is_out_of_order(
    ledger: Ledger, clock: ManualClock, happenings: list[tuple[str, int, JobPhase, str]]
) -> None:
    wire = Wire(settles=True)
    bench = Bench(ledger, clock, wire, settings=AiravataSettings())
    jobs = [accept(ledger).id for _ in range(3)]
    for what, number, phase, luck in happenings:
        if what == "advance":
            ledger.advance(jobs[number], phase, run=ledger.job(jobs[number]).run + number % 2, source="test")
        elif what == "restart":
            bench.restart()
        elif what == "wait":
            clock.advance(number * 7)
        else:
            if luck == "lost":
                wire.faults = [lambda: Unreachable("down")]
            elif luck == "unknown":
                wire.faults = [lambda: OutcomeUnknown("torn")]
            bench.turn(number)
    wire.faults.clear()
    for _ in range(60):
        bench.turn(20)

    got: dict[int, list[str]] = defaultdict(list)
    for job_id, state in wire.arrived:
        if got[job_id][-1:] != [state]:  # a repeat
            got[job_id].append(state)
    for job_id in jobs:
        states = got[job_id]
        assert states == [step.state for step in announcements(ledger.events(job_id))]
        assert legal(states)
        everything = [state for number, state in wire.arrived if number == job_id]
        ends = [index for index, state in enumerate(everything) if state in FINAL]
        assert not ends or set(everything[ends[0] :]) == {everything[ends[0]]}
        assert all(delivery.due_at is None for delivery in ledger.outbox.of(job_id))
