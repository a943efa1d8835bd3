"""Whatever happens to a job, Airavata is told a sequence of states that it accepts."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.airavata.publishers import announcements
from airavata_mesos_plugin.jobs import JobEvent, JobKey, JobPhase
from airavata_mesos_plugin.store import Ledger
from tests.support.publishing import ALLOWED, FINAL, accept, legal

A, S, Q, R, F = (
    JobPhase.ACCEPTED,
    JobPhase.SUBMITTING,
    JobPhase.QUEUED,
    JobPhase.RUNNING,
    JobPhase.FETCHING,
)
DONE, FAILED, TIMEOUT, CANCELLED, LOST = (
    JobPhase.COMPLETED,
    JobPhase.FAILED,
    JobPhase.TIMEOUT,
    JobPhase.CANCELLED,
    JobPhase.LOST,
)
RERUN = ["NON_CRITICAL_FAIL", "QUEUED", "ACTIVE"]


def history(*phases: JobPhase) -> list[JobEvent]:
    return [
        JobEvent(1, number, 100.0 + number, phase, "test", "") for number, phase in enumerate(phases, start=1)
    ]


@pytest.mark.parametrize(
    ("phases", "states"),
    [
        ([A], []),
        ([A, S, Q], []),
        ([A, S, Q, Q, Q], []),
        ([A, S, Q, R], ["ACTIVE"]),
        ([A, S, Q, R, R, F, F], ["ACTIVE"]),
        ([A, S, Q, R, F, DONE], ["ACTIVE", "COMPLETE"]),
        ([A, S, Q, F, DONE], ["ACTIVE", "COMPLETE"]),
        ([A, S, Q, R, F, FAILED], ["ACTIVE", "FAILED"]),
        ([A, S, Q, R, F, TIMEOUT], ["ACTIVE", "FAILED"]),
        ([A, S, Q, R, F, LOST], ["ACTIVE", "FAILED"]),
        ([A, S, Q, R, F, CANCELLED], ["ACTIVE", "CANCELED"]),
        ([A, CANCELLED], ["CANCELED"]),
        ([A, S, FAILED], ["FAILED"]),
        ([A, S, Q, R, Q], ["ACTIVE", "NON_CRITICAL_FAIL", "QUEUED"]),
        ([A, S, Q, R, Q, R, F, DONE], ["ACTIVE", *RERUN, "COMPLETE"]),
        ([A, S, Q, R, F, R, F, DONE], ["ACTIVE", *RERUN, "COMPLETE"]),
        ([A, S, Q, R, F, A, S, Q, R], ["ACTIVE", *RERUN]),
        ([A, S, Q, R, Q, R, Q, R], ["ACTIVE", *RERUN, *RERUN]),
        ([A, S, Q, R, Q, CANCELLED], ["ACTIVE", "NON_CRITICAL_FAIL", "QUEUED", "CANCELED"]),
        ([A, S, Q, R, F, FAILED, A, S, Q, R, F, DONE], ["ACTIVE", "FAILED"]),
        ([A, CANCELLED, CANCELLED], ["CANCELED"]),
    ],
)
def test_what_follows_from_a_history(phases: list[JobPhase], states: list[str]) -> None:
    told = announcements(history(*phases))
    assert [step.state for step in told] == states
    assert legal(states)
    assert [step.event.sequence for step in told] == sorted(step.event.sequence for step in told)


def test_when_the_state_before_began() -> None:
    told = announcements(history(A, S, Q, R, Q, R, F, DONE))
    assert [(step.state, step.event.time, step.since) for step in told] == [
        ("ACTIVE", 104.0, 101.0),
        ("NON_CRITICAL_FAIL", 105.0, 104.0),
        ("QUEUED", 105.0, 105.0),
        ("ACTIVE", 106.0, 105.0),
        ("COMPLETE", 108.0, 106.0),
    ]


def test_the_table_of_this_test_is_airavatas() -> None:
    assert not legal(["ACTIVE", "ACTIVE"])
    assert not legal(["ACTIVE", "QUEUED"])
    assert not legal(["NON_CRITICAL_FAIL", "NON_CRITICAL_FAIL"])
    assert not legal(["COMPLETE", "ACTIVE"])
    assert all(not ALLOWED[state] for state in FINAL)


steps = st.one_of(
    st.tuples(st.just("advance"), st.integers(0, 3), st.sampled_from(list(JobPhase))),
    st.tuples(st.sampled_from(["note", "cancel", "requeue"]), st.just(0), st.just(A)),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(steps, max_size=14))
def test_any_history_gives_a_legal_sequence(ledger: Ledger, changes: list[tuple[str, int, JobPhase]]) -> None:
    record = accept(ledger)
    earlier: list[str] = []
    for what, run, phase in changes:
        if what == "advance":
            ledger.advance(record.id, phase, run=run, source="test")
        elif what == "note":
            ledger.note(record.id, source="test", reason="a note")
        elif what == "cancel":
            ledger.request_cancel(record.id, "alice")
        else:
            ledger.requeue(
                record.id,
                state="NODE_FAIL",
                key=lambda job_id, attempt: JobKey("www", "prod", f"{job_id}-{attempt}"),
                snapshot="[]",
                source="test",
                reason="",
            )
        states = [step.state for step in announcements(ledger.events(record.id))]
        # What was told is never taken back, so a number is enough to remember it.
        assert states[: len(earlier)] == earlier
        earlier = states
    for begin in ("SUBMITTED", "QUEUED"):
        assert legal(earlier, begin)
    if earlier and earlier[0] == "ACTIVE":
        assert legal(earlier[1:], "ACTIVE")  # Airavata saw it run when it looked after the submission
    if ledger.job(record.id).phase.final:
        assert earlier[-1] in FINAL
