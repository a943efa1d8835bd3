"""Nodes of a parallel job that come at the very moment when something else happens to the job."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import InvalidRequest, NotFound, Refused, Unreachable
from airavata_mesos_plugin.jobs import Hold, JobPhase
from airavata_mesos_plugin.schedulers.base import CallResult
from airavata_mesos_plugin.testing.scripted import Look, ScriptedScheduler
from airavata_mesos_plugin.testing.stage import ProviderStage
from tests.unit.provider.test_gangs import QUEUE, MakeProvider, queued, says

HANGS_SECONDS = 60.0
"""Nothing here waits for long: what takes more is a deadlock."""

Together = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def stage(make_provider: MakeProvider, scripted_scheduler: ScriptedScheduler) -> ProviderStage:
    return make_provider(scripted_scheduler, queues=QUEUE)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def before_writing(stage: ProviderStage, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let something happen to the ledger just before the next block of changes begins."""

    def once(happens: Callable[[], object]) -> None:
        together: Together = stage.ledger.together

        @contextmanager
        def changed() -> Iterator[None]:
            monkeypatch.setattr(stage.ledger, "together", together)
            happens()
            with together():
                yield

        monkeypatch.setattr(stage.ledger, "together", changed)

    return once


def came(stage: ProviderStage, job_id: int, number: int, **changes: object) -> dict[str, Any] | None:
    """What a node is told; None when it is sent away."""
    try:
        return says(stage, job_id, number, **changes)
    except NotFound:
        return None


def settled(stage: ProviderStage, scheduler: ScriptedScheduler) -> int:
    """A job that runs on two nodes."""
    job_id = queued(stage, scheduler, nodes=2)
    says(stage, job_id, 0)
    says(stage, job_id, 1)
    return job_id


def starts(stage: ProviderStage, job_id: int) -> int:
    return sum(event.phase is JobPhase.RUNNING for event in stage.provider.events(job_id))


def step(stage: ProviderStage) -> None:
    (cluster,) = stage.parts.views
    stage.provider.gangs.step(cluster)


def look(stage: ProviderStage) -> None:
    (cluster,) = stage.parts.views
    stage.provider.monitor.round(cluster)


def overdue(stage: ProviderStage, scheduler: ScriptedScheduler, clock: ManualClock) -> int:
    """A job of two nodes whose first one has waited for the other for too long, and still does."""
    job_id = queued(stage, scheduler, nodes=2)
    says(stage, job_id, 0)
    clock.advance(QUEUE["gathering_seconds"] + 1)
    says(stage, job_id, 0)
    return job_id


def test_all_nodes_come_at_the_same_instant(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, threads: ThreadPoolExecutor
) -> None:
    """Whoever hears of the others hears the same, and the next question is answered at the latest."""
    for _ in range(15):
        job_id = queued(stage, scripted_scheduler)
        start = threading.Barrier(6)

        def come(job_id: int, number: int, start: threading.Barrier = start) -> dict[str, Any]:
            start.wait(HANGS_SECONDS)
            return says(stage, job_id, number, port=4000 + number)

        told = list(threads.map(come, [job_id] * 6, [0, 1, 2, 0, 1, 2]))
        final = says(stage, job_id, 0, port=4000)
        assert [node["port"] for node in final["nodes"]] == [4000, 4001, 4002]
        assert {str(answer) for answer in told if "nodes" in answer} == {str(final)}
        assert (stage.phase(job_id), starts(stage, job_id)) == (JobPhase.RUNNING, 1)


def test_two_starts_of_the_last_node_at_once(
    stage: ProviderStage,
    scripted_scheduler: ScriptedScheduler,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    both = threading.Barrier(2)
    together: Together = stage.ledger.together

    def at_once() -> AbstractContextManager[None]:
        both.wait(HANGS_SECONDS)  # each has seen that all are there
        return together()

    monkeypatch.setattr(stage.ledger, "together", at_once)
    first, second = threads.map(lambda run: came(stage, job_id, 1, run=run), ["a", "b"])
    gang = stage.ledger.gangs.of(job_id, 1)
    assert gang is not None
    assert (first is not None, second is not None) == (gang.nodes[1].run == "a", gang.nodes[1].run == "b")
    assert starts(stage, job_id) == 1


def test_a_node_that_comes_while_the_last_one_settles_need_not_ask_again(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    asked = stage.ledger.gangs.of

    def late(job_id: int, attempt: int) -> object:
        monkeypatch.setattr(stage.ledger.gangs, "of", asked)
        found = asked(job_id, attempt)
        says(stage, job_id, 1)
        return found

    monkeypatch.setattr(stage.ledger.gangs, "of", late)
    assert "nodes" in says(stage, job_id, 0)


@pytest.mark.parametrize("how", ["cancel", "hold", "end"])
def test_the_last_node_comes_when_the_job_has_just_been_ended(
    stage: ProviderStage,
    scripted_scheduler: ScriptedScheduler,
    before_writing: Callable[..., None],
    how: str,
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    provider, uid = stage.provider, os.geteuid()
    ways: dict[str, Callable[[], object]] = {
        "cancel": lambda: provider.request_cancel(job_id, "root", uid),
        "hold": lambda: provider.control.hold(job_id, uid),
        "end": lambda: stage.ledger.advance(
            job_id, JobPhase.FETCHING, source="test", fields={"outcome": JobPhase.FAILED}
        ),
    }
    before_writing(ways[how])
    assert came(stage, job_id, 1) is None
    assert stage.ledger.gangs.of(job_id, 1) is None
    assert starts(stage, job_id) == 0


def test_a_job_whose_nodes_were_just_given_back_does_not_run(
    stage: ProviderStage,
    scripted_scheduler: ScriptedScheduler,
    before_writing: Callable[..., None],
    manual_clock: ManualClock,
) -> None:
    job_id = overdue(stage, scripted_scheduler, manual_clock)
    before_writing(lambda: step(stage))
    assert came(stage, job_id, 1) is None
    assert (starts(stage, job_id), stage.ledger.gangs.of(job_id, 1)) == (0, None)
    assert stage.job(job_id).requeue_requested_at is not None


def test_nodes_are_not_given_back_when_the_last_one_has_just_come(
    stage: ProviderStage,
    scripted_scheduler: ScriptedScheduler,
    before_writing: Callable[..., None],
    manual_clock: ManualClock,
) -> None:
    job_id = overdue(stage, scripted_scheduler, manual_clock)
    before_writing(lambda: says(stage, job_id, 1))
    step(stage)
    record = stage.job(job_id)
    assert (record.phase, record.requeue_requested_at, record.begin_at) == (JobPhase.RUNNING, None, None)


def test_a_job_that_has_just_begun_is_held_but_not_taken_back(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, before_writing: Callable[..., None]
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    before_writing(lambda: says(stage, job_id, 1))
    stage.provider.control.hold(job_id, os.geteuid())
    record = stage.job(job_id)
    assert (record.phase, record.held, record.requeue_requested_at) == (JobPhase.RUNNING, Hold.USER, None)


def test_a_job_that_has_just_ended_begins_again_at_once(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, before_writing: Callable[..., None]
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=1)
    scripted_scheduler.job_goes(stage.job(job_id).key, "RUNNING")
    stage.wait_for_phase(job_id, JobPhase.RUNNING)

    def end() -> None:
        scripted_scheduler.job_goes(stage.job(job_id).key, "FINISHED")
        stage.wait_for_phase(job_id, JobPhase.COMPLETED)

    before_writing(end)
    stage.provider.control.requeue(job_id, "alice", os.geteuid())
    record = stage.job(job_id)
    assert (record.phase, record.attempt, record.requeue_requested_at) == (JobPhase.ACCEPTED, 2, None)


def test_a_hold_by_an_administrator_is_not_undone(
    stage: ProviderStage, before_writing: Callable[..., None]
) -> None:
    job_id = stage.submit(uid=4711)
    stage.ledger.annotate(job_id, held=Hold.USER)
    before_writing(lambda: stage.ledger.annotate(job_id, held=Hold.ADMIN))
    with pytest.raises(Refused, match="held by an administrator"):
        stage.provider.control.release(job_id, 4711)
    assert stage.job(job_id).held is Hold.ADMIN


def test_a_job_that_was_just_submitted_is_not_put_off(
    stage: ProviderStage, before_writing: Callable[..., None]
) -> None:
    job_id = stage.submit()
    before_writing(lambda: stage.ledger.advance(job_id, JobPhase.SUBMITTING, source="test"))
    with pytest.raises(InvalidRequest, match="already"):
        stage.provider.control.put_off(job_id, os.geteuid(), stage.parts.clock.now() + 60)
    assert stage.job(job_id).begin_at is None


def test_either_the_job_runs_or_its_nodes_are_given_back(
    stage: ProviderStage,
    scripted_scheduler: ScriptedScheduler,
    threads: ThreadPoolExecutor,
    manual_clock: ManualClock,
) -> None:
    scripted_scheduler.mock.starts_together = True
    for _ in range(15):
        job_id = overdue(stage, scripted_scheduler, manual_clock)
        start = threading.Barrier(3)

        def come(job_id: int = job_id, start: threading.Barrier = start) -> dict[str, Any] | None:
            start.wait(HANGS_SECONDS)
            return came(stage, job_id, 1)

        def give_back(start: threading.Barrier = start) -> None:
            start.wait(HANGS_SECONDS)
            step(stage)

        last, once, again = threads.submit(come), threads.submit(give_back), threads.submit(give_back)
        for done in (last, once, again):
            done.result(HANGS_SECONDS)
        runs = stage.phase(job_id) is JobPhase.RUNNING
        given_back = stage.job(job_id).requeue_requested_at is not None
        begins = "nodes" in (last.result() or {})
        assert (begins, runs, given_back) in [(True, True, False), (False, False, True)]
        told = [event for event in stage.provider.events(job_id) if "given back" in event.reason]
        assert len(told) == given_back


def test_why_a_job_waits_can_be_asked_while_its_last_node_comes(
    stage: ProviderStage,
    scripted_scheduler: ScriptedScheduler,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever holds the ledger waits for nobody who waits for it."""
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    record = stage.job(job_id)
    together: Together = stage.ledger.together
    comes = threading.Event()

    def noticed() -> AbstractContextManager[None]:
        comes.set()
        return together()

    reads, writing = threading.Event(), threading.Event()

    def come() -> dict[str, Any]:
        stage.job(job_id)  # the first look of a thread opens the ledger, and waits for writers
        reads.set()
        assert writing.wait(HANGS_SECONDS)
        return says(stage, job_id, 1)

    last = threads.submit(come)
    assert reads.wait(HANGS_SECONDS)
    with stage.ledger.together():
        monkeypatch.setattr(stage.ledger, "together", noticed)
        writing.set()
        assert comes.wait(HANGS_SECONDS)
        # In a thread, so that a deadlock is a failure and no standstill.
        reason = threads.submit(stage.provider.gangs.waiting_reason, record, "")
        try:
            told = reason.result(HANGS_SECONDS)
        finally:
            monkeypatch.setattr(stage.ledger, "together", together)
    assert told == "2 of 2 nodes have started"
    assert "nodes" in last.result(HANGS_SECONDS)


def test_a_look_that_began_before_the_nodes_met_changes_no_start(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, manual_clock: ManualClock
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    manual_clock.advance(7)
    poll = scripted_scheduler.mock.poll.side_effect

    def slow(keys: Any) -> Any:
        found = poll(keys)
        if stage.phase(job_id) is JobPhase.QUEUED:
            says(stage, job_id, 0)
            says(stage, job_id, 1)
        return found

    scripted_scheduler.mock.poll.side_effect = slow
    met_at = manual_clock.now()
    look(stage)
    record = stage.job(job_id)
    assert (record.phase, record.started_at) == (JobPhase.RUNNING, met_at)
    assert record.node_list == "agent-[1-2]"


def test_a_job_that_runs_does_not_wait_for_anything(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)

    def slow(keys: Any) -> dict[Any, str]:
        says(stage, job_id, 1)
        return dict.fromkeys(keys, "Insufficient: CPU")

    scripted_scheduler.mock.pending_reasons.side_effect = slow
    look(stage)
    record = stage.job(job_id)
    assert (record.phase, record.pending_reason) == (JobPhase.RUNNING, "")


def test_a_node_that_leaves_before_it_is_killed_was_cancelled_all_the_same(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    scripted_scheduler.ignores_kills = True
    poll = scripted_scheduler.mock.poll.side_effect

    def slow(keys: Any) -> Any:
        if stage.job(job_id).cancel_requested_at is None:
            stage.provider.request_cancel(job_id, "root", 0)
            assert came(stage, job_id, 0) is None  # its program ends with 75
            scripted_scheduler.job_goes(stage.job(job_id).key, Look("FAILED", exit_code=None))
        return poll(keys)

    scripted_scheduler.mock.poll.side_effect = slow
    record = stage.wait_for_phase(job_id, JobPhase.CANCELLED)
    assert record.reason == "cancelled by root"


def test_other_nodes_are_ended_after_the_ledger_was_written(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, threads: ThreadPoolExecutor
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    says(stage, job_id, 1)
    cancel = scripted_scheduler.mock.cancel.side_effect

    def slow(keys: Any, message: str) -> Any:
        # Somebody else can write meanwhile.
        noted = threads.submit(stage.ledger.note, job_id, source="test", reason="written")
        noted.result(HANGS_SECONDS)
        return cancel(keys, message)

    scripted_scheduler.mock.cancel.side_effect = slow
    scripted_scheduler.job_goes(stage.job(job_id).key, "FINISHED")
    look(stage)
    assert stage.phase(job_id) is JobPhase.FETCHING
    assert scripted_scheduler.mock.cancel.call_count == 1
    assert "written" in [event.reason for event in stage.provider.events(job_id)]


def test_other_nodes_that_cannot_be_ended_now_are_ended_later(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    says(stage, job_id, 1)
    cancel = scripted_scheduler.mock.cancel
    works, cancel.side_effect = cancel.side_effect, Unreachable("no route")
    scripted_scheduler.job_goes(stage.job(job_id).key, "FINISHED")
    look(stage)
    assert (stage.phase(job_id), cancel.call_count) == (JobPhase.FETCHING, 1)
    cancel.side_effect = works
    look(stage)
    look(stage)
    assert cancel.call_count == 2


def test_other_nodes_of_several_jobs_are_ended_in_one_call(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    ids = [settled(stage, scripted_scheduler) for _ in range(3)]
    keys = [stage.job(job_id).key for job_id in ids]
    for key in keys:
        scripted_scheduler.job_goes(key, "FINISHED")
    look(stage)
    (call,) = scripted_scheduler.mock.cancel.call_args_list
    assert sorted(call.args[0], key=str) == sorted(keys, key=str)


def test_a_job_whose_other_nodes_are_not_ended_is_asked_for_again_alone(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    first, second = (stage.job(settled(stage, scripted_scheduler)).key for _ in range(2))
    cancel = scripted_scheduler.mock.cancel
    works = cancel.side_effect
    cancel.side_effect = lambda keys, _: [
        CallResult(key, Unreachable("no route") if key == second else None) for key in keys
    ]
    for key in (first, second):
        scripted_scheduler.job_goes(key, "FINISHED")
    look(stage)
    cancel.side_effect = works
    look(stage)
    look(stage)
    assert [set(call.args[0]) for call in cancel.call_args_list] == [{first, second}, {second}]
