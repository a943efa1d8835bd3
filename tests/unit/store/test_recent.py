"""Listings give records that they gave before, and never one that has changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.jobs import Hold, JobKey, JobPhase, JobRequest, Resources
from airavata_mesos_plugin.store import JobSelection, KeptBack, Ledger, Verdict, recent
from airavata_mesos_plugin.store.reader import LedgerReader

EVERYTHING = JobSelection()
REQUEST = JobRequest(
    name="A1",
    user="alice",
    uid=5001,
    queue="default",
    working_directory="/scratch/PROCESS_1",
    resources=Resources(cpus=1, memory_mb=1024, disk_mb=1024),
    wall_time_seconds=1800,
)


def key(job_id: int, attempt: int) -> JobKey:
    return JobKey("www", "prod", f"job-{job_id}-{attempt}")


def accept(ledger: Ledger, **changes: object) -> int:
    request = REQUEST.model_copy(update=changes)
    return ledger.accept(request, "#!/bin/sh\n", snapshot="", cluster="c", key=key, source="sbatch").id


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db", ManualClock(1000.0))
    yield ledger
    ledger.close()


CHANGES: dict[str, Callable[[Ledger, int], object]] = {
    "advance": lambda ledger, job: ledger.advance(job, JobPhase.SUBMITTING, source="test"),
    "annotate": lambda ledger, job: ledger.annotate(job, pending_reason="Insufficient: CPU"),
    "request_cancel": lambda ledger, job: ledger.request_cancel(job, "alice", 5001),
    "amend": lambda ledger, job: ledger.amend(
        job, REQUEST.model_copy(update={"name": "A2"}), key=key, source="test", reason=""
    ),
    "decide": lambda ledger, job: ledger.decide([Verdict(job, "BeginTime", "")]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen_and_the_others_are_the_same(
    ledger: Ledger, change: Callable[[Ledger, int], object]
) -> None:
    jobs = [accept(ledger) for _ in range(3)]
    before = ledger.jobs(EVERYTHING)
    change(ledger, jobs[1])
    after = ledger.jobs(EVERYTHING)
    assert after == [ledger.job(job) for job in reversed(jobs)]
    assert after[1] != before[1]
    assert after[0] is before[0]
    assert after[2] is before[2]


def test_a_new_attempt_is_seen(ledger: Ledger) -> None:
    job = accept(ledger)
    ledger.advance(job, JobPhase.CANCELLED, source="test")
    assert [found.attempt for found in ledger.jobs(EVERYTHING)] == [1]
    ledger.requeue(job, state="CANCELLED", key=key, snapshot="", source="test", reason="")
    assert [found.attempt for found in ledger.jobs(EVERYTHING)] == [2]


def test_what_was_undone_is_not_seen(ledger: Ledger) -> None:
    job = accept(ledger)

    def fail() -> None:
        with ledger.together():
            ledger.annotate(job, host="undone")
            assert [found.host for found in ledger.jobs(EVERYTHING)] == [""]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    ledger.annotate(job, host="done")
    assert [found.host for found in ledger.jobs(EVERYTHING)] == ["done"]


def test_another_process_sees_changes(ledger: Ledger, tmp_path: Path) -> None:
    job = accept(ledger)
    other = LedgerReader(tmp_path / "ledger.db")
    assert [found.host for found in other.jobs(EVERYTHING)] == [""]
    ledger.annotate(job, host="node1")
    assert [found.host for found in other.jobs(EVERYTHING)] == ["node1"]
    other.close()


def test_selections_hold_whatever_was_read_before(ledger: Ledger) -> None:
    first, second = accept(ledger), accept(ledger, user="bob")
    ledger.jobs(EVERYTHING)
    ledger.advance(first, JobPhase.CANCELLED, source="test")
    assert [job.id for job in ledger.jobs(JobSelection(users=frozenset({"bob"})))] == [second]
    assert [job.id for job in ledger.active()] == [second]


def test_more_than_is_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST_RECORDS", 4)
    monkeypatch.setattr(recent, "_CHUNK", 2)
    jobs = [accept(ledger) for _ in range(7)]
    for _ in range(2):
        assert [job.id for job in ledger.jobs(EVERYTHING)] == jobs[::-1]


def test_held_jobs_that_wait_for_nothing_else_are_not_looked_at(ledger: Ledger) -> None:
    held = accept(ledger, hold=True)
    also = accept(ledger, hold=True, dependency=f"afterok:{held}")
    later = accept(ledger, begin_at=5000.0)

    def kept() -> list[int]:
        found: list[KeptBack] = ledger.kept_back("c")
        return [job.id for job in found]

    assert kept() == [also, later]
    ledger.annotate(held, held=None)
    assert kept() == [held, also, later]
    ledger.annotate(held, held=Hold.ADMIN)  # the reason is still that of the user's hold
    assert kept() == [held, also, later]
    ledger.annotate(held, wait_reason="JobHeldAdmin")
    assert kept() == [also, later]
