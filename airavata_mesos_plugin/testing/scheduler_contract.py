"""What every adapter of a scheduler must do, whatever scheduler it speaks to: tests to inherit."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from airavata_mesos_plugin.errors import AlreadyExists, InvalidRequest
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import (
    KeepsMetadata,
    Scheduler,
    Submission,
    TaskObservation,
)
from airavata_mesos_plugin.testing.waiting import wait_for

Document = dict[str, Any]
Job = Callable[..., Document]
"""Key and a shell command to a document; ``cpus`` is how many it asks for."""

METADATA = ("airavata-mesos.id", "7")


_NUMBERS = itertools.count()


class SchedulerContract:
    """The clauses; each is a promise of `schedulers.base`.

    A test class inherits them and gives two fixtures: ``scheduler``, the adapter on a cluster that runs,
    closed afterwards; and ``job``, which makes a document whose metadata holds `METADATA`. ``key`` makes keys
    of jobs that never were, and may be replaced.
    """

    @pytest.fixture
    def key(self) -> Callable[[], JobKey]:
        """Makes keys."""
        return lambda: JobKey("www", "prod", f"contract-{next(_NUMBERS)}")

    @staticmethod
    def create(scheduler: Scheduler, key: JobKey, document: Document) -> None:
        (result,) = scheduler.submit([Submission(key, document)])
        assert (result.key, result.error) == (key, None)

    @staticmethod
    def until(scheduler: Scheduler, key: JobKey, good: Callable[[TaskObservation], bool]) -> TaskObservation:
        found = wait_for(
            lambda: scheduler.poll([key]).get(key), lambda now: now is not None and good(now), "reached"
        )
        assert found is not None
        return found

    def test_validating_needs_no_server_and_names_the_mistake(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]
    ) -> None:
        document = job(key(), "true")
        before = copy.deepcopy(document)
        scheduler.validate(document)
        assert document == before
        with pytest.raises(InvalidRequest, match="no_such_member"):
            scheduler.validate({**document, "no_such_member": 1})

    def test_results_keep_the_order_and_one_failure_is_one_jobs(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]
    ) -> None:
        keys = [key() for _ in range(3)]
        documents = [job(one, "true") for one in keys]
        documents[1] = {**documents[1], "no_such_member": 1}
        results = scheduler.submit([Submission(*pair) for pair in zip(keys, documents, strict=True)])
        assert [result.key for result in results] == keys
        assert [result.error is None for result in results] == [True, False, True]
        assert isinstance(results[1].error, InvalidRequest)
        assert not results[1].error.outcome_unknown
        for one in (keys[0], keys[2]):
            self.until(scheduler, one, lambda seen: seen.phase is JobPhase.COMPLETED)
        assert keys[1] not in scheduler.poll(keys)

    def test_a_job_of_another_key_is_not_created(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]
    ) -> None:
        one, other = key(), key()
        (result,) = scheduler.submit([Submission(one, job(other, "true"))])
        assert isinstance(result.error, InvalidRequest)
        assert scheduler.poll([one, other]) == {}

    def test_an_active_key_is_taken(self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]) -> None:
        one = key()
        self.create(scheduler, one, job(one, "sleep 600"))
        (result,) = scheduler.submit([Submission(one, job(one, "sleep 600"))])
        assert isinstance(result.error, AlreadyExists)
        scheduler.cancel([one], "done")

    @pytest.mark.parametrize(
        ("command", "phase"), [("true", JobPhase.COMPLETED), ("exit 3", JobPhase.FAILED)]
    )
    def test_ends_are_told_with_times_and_a_task(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey], command: str, phase: JobPhase
    ) -> None:
        one, begin = key(), time.time() - 1
        self.create(scheduler, one, job(one, command))
        seen = self.until(scheduler, one, lambda seen: seen.phase.final)
        assert (seen.key, seen.phase, seen.run, seen.kill_seen) == (one, phase, 0, False)
        assert seen.task_id
        assert seen.native_state
        assert begin <= (seen.queued_at or 0) <= (seen.started_at or 0) <= seen.changed_at <= time.time() + 1
        assert seen == scheduler.poll([one])[one]
        assert METADATA in seen.metadata

    def test_unknown_jobs_are_missing_and_cancelling_them_is_no_error(
        self, scheduler: Scheduler, key: Callable[[], JobKey]
    ) -> None:
        one = key()
        assert scheduler.poll([one]) == {}
        assert scheduler.poll([]) == {}
        assert scheduler.pending_reasons([one]) == {}
        for _ in range(2):
            assert [result.error for result in scheduler.cancel([one], "why")] == [None]

    def test_a_running_job_is_cancelled_once_or_often(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]
    ) -> None:
        one = key()
        self.create(scheduler, one, job(one, "sleep 600"))
        self.until(scheduler, one, lambda seen: seen.phase is JobPhase.RUNNING)
        for _ in range(3):
            assert [result.error for result in scheduler.cancel([one], "by alice")] == [None]
        seen = self.until(scheduler, one, lambda seen: seen.phase.final)
        assert (seen.phase, seen.kill_seen) == (JobPhase.CANCELLED, True)

    def test_a_waiting_job_says_why_and_can_be_cancelled(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]
    ) -> None:
        one = key()
        self.create(scheduler, one, job(one, "true", cpus=1000))
        reasons = wait_for(lambda: scheduler.pending_reasons([one]), lambda now: one in now, "a reason")
        assert reasons[one]
        waiting = scheduler.poll([one])[one]
        assert waiting.phase is JobPhase.QUEUED
        assert scheduler.sandboxes([waiting]) == {}
        assert [result.error for result in scheduler.cancel([one], "why")] == [None]
        wait_for(
            lambda: scheduler.poll([one]).get(one), lambda seen: seen is None or seen.phase.final, "gone"
        )

    def test_a_task_that_ran_has_a_sandbox(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]
    ) -> None:
        one = key()
        self.create(scheduler, one, job(one, "true"))
        seen = self.until(scheduler, one, lambda seen: seen.phase.final)
        address = scheduler.sandboxes([seen])[one]
        assert address.agent_url.startswith("http")
        assert address.path.startswith("/")

    def test_many_keys_in_one_poll(self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]) -> None:
        one = key()
        self.create(scheduler, one, job(one, "true"))
        others = [key() for _ in range(2500)]
        assert set(scheduler.poll([*others, one, one])) == {one}

    def test_threads_may_share_it(self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]) -> None:
        keys = [key() for _ in range(8)]
        troubles: list[object] = []

        def work(one: JobKey) -> None:
            try:
                self.create(scheduler, one, job(one, "true"))
                self.until(scheduler, one, lambda seen: seen.phase is JobPhase.COMPLETED)
            except BaseException as error:
                troubles.append(error)

        threads = [threading.Thread(target=work, args=(one,)) for one in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert troubles == []

    def test_capacity_and_check(self, scheduler: Scheduler) -> None:
        assert [node for node in scheduler.capacity() if node.active and node.total.cpus > 0]
        checks = scheduler.check()
        assert checks
        assert all(check.ok and check.subject and check.detail for check in checks), checks

    def test_jobs_are_known_with_their_metadata(
        self, scheduler: Scheduler, job: Job, key: Callable[[], JobKey]
    ) -> None:
        one = key()
        assert isinstance(scheduler, KeepsMetadata)
        self.create(scheduler, one, job(one, "sleep 600"))
        (known,) = [found for found in scheduler.known_jobs(one.role) if found.key == one]
        assert known.active
        assert METADATA in known.metadata
        assert known.resources.cpus > 0
        scheduler.cancel([one], "done")

    def test_closing_is_repeatable(self, scheduler: Scheduler) -> None:
        scheduler.close()
        scheduler.close()
