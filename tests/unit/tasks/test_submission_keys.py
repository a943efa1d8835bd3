"""A submission key makes a submission repeatable; labels find a job again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.jobs import JobKey, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.store import JobSelection, Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db", ManualClock())
    yield ledger
    ledger.close()


def accept(
    ledger: Ledger, *, key: str = "", uid: int = 5001, labels: tuple[tuple[str, str], ...] = ()
) -> JobRecord:
    request = JobRequest(
        name="A1",
        user="alice",
        uid=uid,
        queue="default",
        working_directory="/scratch/P1",
        resources=Resources(cpus=1, memory_mb=1, disk_mb=1),
        wall_time_seconds=60,
        submission_key=key,
        labels=labels,
    )
    return ledger.accept(
        request,
        "#!/bin/sh\n",
        snapshot="[]",
        cluster="c",
        key=lambda job_id, attempt: JobKey("www", "prod", f"{job_id}-{attempt}"),
        source="peer",
    )


def test_the_same_key_gives_the_same_job(ledger: Ledger) -> None:
    first = accept(ledger, key="T1")
    assert accept(ledger, key="T1") == first
    assert ledger.with_submission_key(5001, "T1") == first
    assert len(ledger.jobs(JobSelection())) == 1
    assert len(ledger.events(first.id)) == 1


def test_keys_of_accounts_never_meet_and_no_key_is_no_key(ledger: Ledger) -> None:
    ids = [accept(ledger, key=key, uid=uid).id for key, uid in [("T", 1), ("T", 2), ("", 1), ("", 1)]]
    assert ids == [1, 2, 3, 4]
    assert ledger.with_submission_key(3, "T") is None
    assert ledger.with_submission_key(1, "") is None


def test_a_key_outlives_the_daemon(tmp_path: Path, ledger: Ledger) -> None:
    first = accept(ledger, key="T1")
    ledger.close()
    again = Ledger(tmp_path / "ledger.db", ManualClock())
    try:
        assert accept(again, key="T1").id == first.id
    finally:
        again.close()


def test_a_key_used_by_many_threads_at_once_makes_one_job(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda _: accept(ledger, key="T"), range(40)))
    assert {record.id for record in records} == {1}


def test_jobs_are_found_by_all_of_their_labels(ledger: Ledger) -> None:
    accept(ledger, labels=(("process", "P1"), ("task", "T1")))
    second = accept(ledger, labels=(("process", "P1"), ("task", "T2")))
    third = accept(ledger, labels=(("process", "P2"), ("task", "T2")))

    def found(**labels: str) -> list[int]:
        return [record.id for record in ledger.jobs(JobSelection(labels=frozenset(labels.items())))]

    assert found(process="P1") == [2, 1]
    assert found(process="P1", task="T2") == [second.id]
    assert found(task="T2") == [third.id, second.id]
    assert found(process="P3") == []
    assert ledger.job(second.id).request.labels == (("process", "P1"), ("task", "T2"))
