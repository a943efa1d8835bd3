"""The ledger keeps what it was told, in order, over restarts and from several threads."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import LedgerError, NotFound
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.states import may_follow
from airavata_mesos_plugin.store import JobSelection, Ledger
from airavata_mesos_plugin.store.rows import UNDECIDED

WITH_SCHEDULER = frozenset({JobPhase.QUEUED, JobPhase.RUNNING})
RESOURCES = Resources(cpus=1, memory_mb=1024, disk_mb=1024)


def request(name: str = "A1620574137", user: str = "alice", queue: str = "default") -> JobRequest:
    return JobRequest(
        name=name,
        user=user,
        uid=5001,
        queue=queue,
        working_directory="/scratch/PROCESS_1",
        resources=RESOURCES,
        wall_time_seconds=1800,
    )


def accept(ledger: Ledger, wanted: JobRequest | None = None, cluster: str = "c") -> JobRecord:
    return ledger.accept(
        wanted or request(),
        "#!/bin/sh\necho hi\n",
        snapshot="[]",
        cluster=cluster,
        key=lambda job_id, attempt: JobKey("www", "prod", f"job-{job_id}-{attempt}"),
        source="sbatch",
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db", clock)
    yield ledger
    ledger.close()


def test_ids_begin_with_one_and_go_up(ledger: Ledger) -> None:
    assert [accept(ledger).id for _ in range(3)] == [1, 2, 3]


def test_an_accepted_job_is_as_it_was_asked_for(ledger: Ledger) -> None:
    record = accept(ledger)
    assert record.request == request()
    assert record.phase is JobPhase.ACCEPTED
    assert record.key == JobKey("www", "prod", "job-1-1")
    assert (record.attempt, record.run, record.accepted_at) == (1, 0, 1000.0)
    assert ledger.script(1) == "#!/bin/sh\necho hi\n"
    assert ledger.snapshot(1) == "[]"
    assert ledger.job(1) == record


def test_every_change_of_phase_is_an_event(ledger: Ledger, clock: ManualClock) -> None:
    accept(ledger)
    clock.advance(1)
    ledger.advance(1, JobPhase.SUBMITTING, source="provider")
    clock.advance(1)
    ledger.advance(
        1, JobPhase.QUEUED, source="aurora", fields={"native_state": "PENDING", "queued_at": 1002.0}
    )
    ledger.note(1, source="fetch", reason="trying again")
    assert [(e.sequence, e.time, e.phase, e.source, e.reason, e.native_state) for e in ledger.events(1)] == [
        (1, 1000.0, JobPhase.ACCEPTED, "sbatch", "", ""),
        (2, 1001.0, JobPhase.SUBMITTING, "provider", "", ""),
        (3, 1002.0, JobPhase.QUEUED, "aurora", "", "PENDING"),
        (4, 1002.0, JobPhase.QUEUED, "fetch", "trying again", "PENDING"),
    ]
    record = ledger.job(1)
    assert (record.phase, record.changed_at, record.queued_at) == (JobPhase.QUEUED, 1002.0, 1002.0)


def test_a_late_report_changes_nothing(ledger: Ledger) -> None:
    accept(ledger)
    ledger.advance(1, JobPhase.RUNNING, source="aurora", fields={"host": "node1"})
    before = ledger.job(1)
    assert ledger.advance(1, JobPhase.QUEUED, source="aurora", fields={"host": "other"}) is None
    assert ledger.advance(1, JobPhase.RUNNING, source="aurora", fields={"host": "other"}) is None
    assert ledger.job(1) == before
    assert len(ledger.events(1)) == 2


def test_a_rerun_forgets_the_run_before(ledger: Ledger) -> None:
    accept(ledger)
    ledger.advance(
        1,
        JobPhase.RUNNING,
        source="aurora",
        fields={"host": "node1", "node_list": "node[1-2]", "task_id": "t1", "started_at": 5.0},
    )
    record = ledger.advance(
        1, JobPhase.QUEUED, source="aurora", run=1, reason="Rescheduled", fields={"task_id": "t2"}
    )
    assert record is not None
    assert (record.node_list, record.node_names) == ("", ())
    assert (record.run, record.phase, record.host, record.task_id, record.started_at) == (
        1,
        JobPhase.QUEUED,
        "",
        "t2",
        None,
    )


def test_cancel_is_recorded_once(ledger: Ledger, clock: ManualClock) -> None:
    accept(ledger)
    assert ledger.request_cancel(1, "alice")
    clock.advance(5)
    assert not ledger.request_cancel(1, "bob")
    record = ledger.job(1)
    assert (record.cancel_requested_at, record.cancel_requested_by) == (1000.0, "alice")
    assert [e.reason for e in ledger.events(1)] == ["", "cancel requested by alice"]


def test_a_job_that_is_over_cannot_be_cancelled(ledger: Ledger) -> None:
    accept(ledger)
    ledger.advance(1, JobPhase.COMPLETED, source="fetch")
    assert not ledger.request_cancel(1, "alice")
    assert ledger.job(1).cancel_requested_at is None


def test_unknown_jobs(ledger: Ledger) -> None:
    for call in (ledger.job, ledger.events, ledger.script, ledger.snapshot):
        with pytest.raises(NotFound, match="no job has the id 7"):
            call(7)
    with pytest.raises(NotFound):
        ledger.advance(7, JobPhase.RUNNING, source="x")
    with pytest.raises(NotFound, match="id 7"):
        ledger.annotate(7, host="node1")
    with pytest.raises(NotFound):
        ledger.request_cancel(10**30, "alice")


def test_a_field_that_may_not_change_is_refused(ledger: Ledger) -> None:
    accept(ledger)
    with pytest.raises(TypeError, match="accepted_at"):
        ledger.annotate(1, accepted_at=1.0)


def test_selections(ledger: Ledger) -> None:
    accept(ledger, request(name="one", user="alice"))
    accept(ledger, request(name="two", user="bob"))
    accept(ledger, request(name="one", user="bob", queue="long"), cluster="d")
    ledger.advance(2, JobPhase.FAILED, source="x")

    def ids(**conditions: object) -> list[int]:
        return [record.id for record in ledger.jobs(JobSelection(**conditions))]  # type: ignore[arg-type]

    assert ids() == [3, 2, 1]
    assert ids(limit=1) == [3]
    assert ids(ids=frozenset({1, 3, 99})) == [3, 1]
    assert ids(ids=frozenset()) == []
    assert ids(names=frozenset({"one"})) == [3, 1]
    assert ids(names=frozenset({"one"}), users=frozenset({"bob"})) == [3]
    assert ids(queues=frozenset({"long"})) == [3]
    assert ids(clusters=frozenset({"c"})) == [2, 1]
    assert ids(phases=frozenset({JobPhase.FAILED})) == [2]
    assert [record.id for record in ledger.active()] == [1, 3]
    assert [record.id for record in ledger.active("d")] == [3]


@pytest.mark.parametrize(
    ("selection", "index"),
    [
        (JobSelection(phases=ACTIVE_PHASES), "jobs_active"),
        (JobSelection(phases=frozenset({JobPhase.FETCHING})), "jobs_active"),
        (JobSelection(phases=WITH_SCHEDULER), "jobs_active"),
        (JobSelection(clusters=frozenset({"c"}), phases=WITH_SCHEDULER), "jobs_with_scheduler"),
        (JobSelection(clusters=frozenset({"c"}), to_submit=True), "jobs_to_submit"),
    ],
)
def test_jobs_under_way_are_found_by_an_index(ledger: Ledger, selection: JobSelection, index: str) -> None:
    text, values = selection.query()
    assert index in plan(ledger, text, values)


def test_jobs_that_are_kept_back_are_found_by_an_index(ledger: Ledger) -> None:
    assert "jobs_undecided" in plan(ledger, f"SELECT id FROM jobs WHERE {UNDECIDED} AND cluster = ?", ["c"])


def plan(ledger: Ledger, text: str, values: list[object]) -> str:
    with sqlite3.connect(ledger._path) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
    connection.close()
    return " ".join(str(row) for row in rows)


def test_it_is_all_there_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    first = Ledger(tmp_path / "l.db", clock)
    accept(first)
    first.advance(
        1, JobPhase.FETCHING, source="aurora", reason="Task failed.", fields={"outcome": JobPhase.FAILED}
    )
    record, instance = first.job(1), first.instance
    first.close()
    second = Ledger(tmp_path / "l.db", clock)
    assert second.job(1) == record
    assert second.job(1).outcome is JobPhase.FAILED
    assert second.instance == instance
    assert accept(second).id == 2
    second.close()


def test_an_id_that_was_returned_survives_kill(tmp_path: Path) -> None:
    program = """
import os, signal, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.jobs import *
from airavata_mesos_plugin.store import Ledger
ledger = Ledger(Path(sys.argv[1]), SystemClock())
request = JobRequest(name="a", user="u", uid=1, queue="q", working_directory="/w",
                     resources=Resources(cpus=1, memory_mb=1, disk_mb=1), wall_time_seconds=1)
for _ in range(20):
    record = ledger.accept(request, "#!", snapshot="", cluster="c",
                           key=lambda i, a: JobKey("r", "e", str(i)), source="t")
    print(record.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "l.db")], capture_output=True, text=True
    )
    assert done.returncode == -9, done.stderr
    printed = [int(line) for line in done.stdout.split()]
    assert printed == list(range(1, 21))
    ledger = Ledger(tmp_path / "l.db", ManualClock())
    assert [record.id for record in ledger.active()] == printed
    ledger.close()


def test_ledgers_have_names_of_their_own(tmp_path: Path, clock: ManualClock) -> None:
    ledgers = [Ledger(tmp_path / f"{n}.db", clock) for n in range(2)]
    assert ledgers[0].instance != ledgers[1].instance
    for ledger in ledgers:
        ledger.close()


def test_many_threads(ledger: Ledger) -> None:
    def work(_: int) -> int:
        record = accept(ledger)
        ledger.advance(record.id, JobPhase.QUEUED, source="aurora")
        assert ledger.job(record.id).phase is JobPhase.QUEUED
        return record.id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(work, range(80)))
    assert sorted(ids) == list(range(1, 81))
    assert all(len(ledger.events(job_id)) == 2 for job_id in ids)


def test_a_ledger_of_a_later_release_is_left_alone(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "l.db"
    Ledger(path, clock).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="later release"):
        Ledger(path, clock)


def test_what_is_no_ledger(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "l.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match=r"l\.db"):
        Ledger(tmp_path / "l.db", clock)
    with pytest.raises(LedgerError, match="cannot open"):
        Ledger(tmp_path / "missing" / "l.db", clock)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(list(JobPhase))), max_size=12))
def test_any_sequence_of_reports_keeps_the_order(ledger: Ledger, reports: list[tuple[int, JobPhase]]) -> None:
    record = accept(ledger)
    run, phase = 0, JobPhase.ACCEPTED
    for next_run, next_phase in reports:
        moved = ledger.advance(record.id, next_phase, run=next_run, source="test")
        assert (moved is not None) == may_follow(run, phase, next_run, next_phase)
        if moved is not None:
            run, phase = next_run, next_phase
        now = ledger.job(record.id)
        assert (now.run, now.phase) == (run, phase)


def test_changes_that_belong_together_come_together(ledger: Ledger) -> None:
    first, second = accept(ledger).id, accept(ledger).id
    with ledger.together():
        ledger.advance(first, JobPhase.QUEUED, source="aurora")
        ledger.advance(second, JobPhase.QUEUED, source="aurora")
        assert ledger.job(first).phase is JobPhase.ACCEPTED, "readers see nothing before the end"
    assert [r.phase for r in ledger.active()] == [JobPhase.QUEUED] * 2


def test_an_error_undoes_all_of_a_block(ledger: Ledger) -> None:
    job_id = accept(ledger).id

    def block() -> None:
        with ledger.together():
            ledger.advance(job_id, JobPhase.QUEUED, source="aurora")
            ledger.advance(99, JobPhase.QUEUED, source="aurora")

    with pytest.raises(NotFound):
        block()
    assert ledger.job(job_id).phase is JobPhase.ACCEPTED
    ledger.advance(job_id, JobPhase.QUEUED, source="aurora")
    assert ledger.job(job_id).phase is JobPhase.QUEUED, "the ledger goes on"
