"""Jobs over several nodes in the life cycle: nodes meet, are given back, are lost."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import InvalidRequest, NotFound
from airavata_mesos_plugin.jobs import JobPhase, JobRequest, Resources
from airavata_mesos_plugin.provider.gang_nodes import gang_description
from airavata_mesos_plugin.provider.gangs import FRESH_SECONDS
from airavata_mesos_plugin.testing.scripted import Look, ScriptedScheduler
from airavata_mesos_plugin.testing.stage import ProviderStage

QUEUE = {"max_nodes": 8, "gathering_seconds": 100}
MakeProvider = Callable[..., ProviderStage]


@pytest.fixture
def stage(make_provider: MakeProvider, scripted_scheduler: ScriptedScheduler) -> ProviderStage:
    return make_provider(scripted_scheduler, queues=QUEUE)


def ticket_of(stage: ProviderStage, job_id: int) -> str:
    meeting = json.loads(gang_description(stage.parts, stage.job(job_id)))["meeting"]
    return str(meeting).rpartition("/")[2]


def says(stage: ProviderStage, job_id: int, number: int, **changes: object) -> dict[str, Any]:
    said: dict[str, object] = {
        "name": f"agent-{number + 1}.example",
        "address": "10.0.0.1",
        "port": 4000,
        "run": "a",
    }
    return stage.provider.gangs.register(ticket_of(stage, job_id), number, {**said, **changes})


def queued(stage: ProviderStage, scheduler: ScriptedScheduler, nodes: int = 3) -> int:
    """A job whose first node runs, as the scheduler sees it."""
    scheduler.jobs_go("RUNNING")
    job_id = stage.submit(nodes=nodes, tasks=nodes)
    stage.turn()
    stage.turn()
    return job_id


def test_the_job_runs_when_the_last_node_has_come(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    job_id = queued(stage, scripted_scheduler)
    assert stage.phase(job_id) is JobPhase.QUEUED
    assert says(stage, job_id, 2) == {"present": 1}
    assert says(stage, job_id, 0) == {"present": 2}
    stage.turn()
    assert stage.job(job_id).pending_reason == "2 of 3 nodes have started"
    answer = says(stage, job_id, 1)
    assert [(node["number"], node["name"]) for node in answer["nodes"]] == [
        (0, "agent-1"),
        (1, "agent-2"),
        (2, "agent-3"),
    ]
    assert answer["variables"]["SLURM_JOB_NODELIST"] == "agent-[1-3]"
    record = stage.job(job_id)
    assert (record.phase, record.node_list, record.pending_reason) == (JobPhase.RUNNING, "agent-[1-3]", "")
    assert record.host == "agent1.example.org"
    stage.turn()
    assert (stage.job(job_id).node_list, stage.job(job_id).host) == ("agent-[1-3]", "agent1.example.org")
    assert says(stage, job_id, 2) == answer


def test_the_answer_survives_a_restart(stage: ProviderStage, scripted_scheduler: ScriptedScheduler) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    stage.restart()
    assert says(stage, job_id, 1) == {"present": 1}
    answer = says(stage, job_id, 0)
    stage.restart()
    assert says(stage, job_id, 1) == answer
    assert stage.phase(job_id) is JobPhase.RUNNING


def test_a_node_that_went_away_is_not_there(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, manual_clock: ManualClock
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    manual_clock.advance(FRESH_SECONDS + 1)
    assert says(stage, job_id, 1) == {"present": 1}
    assert "nodes" in says(stage, job_id, 0, run="b")


def test_a_node_that_starts_again_after_the_meeting_is_sent_away(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    says(stage, job_id, 1)
    with pytest.raises(NotFound, match="started again"):
        says(stage, job_id, 1, run="b")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a b"},
        {"name": ""},
        {"name": "x" * 300},
        {"name": "-o"},
        {"address": "host.example"},
        {"port": 0},
        {"port": "80"},
        {"run": "Z"},
        {"run": 7},
    ],
)
def test_words_that_no_node_says(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, changes: dict[str, object]
) -> None:
    job_id = queued(stage, scripted_scheduler)
    with pytest.raises(InvalidRequest):
        says(stage, job_id, 0, **changes)


def test_strangers_learn_nothing(stage: ProviderStage, scripted_scheduler: ScriptedScheduler) -> None:
    job_id = queued(stage, scripted_scheduler)
    with pytest.raises(NotFound):
        says(stage, job_id, 3)
    with pytest.raises(NotFound):
        stage.provider.gangs.register("x" * 72, 0, {})
    stage.provider.request_cancel(job_id, "root", 0)
    with pytest.raises(NotFound):
        says(stage, job_id, 0)


def test_two_nodes_on_one_host_have_two_names(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    job_id = queued(stage, scripted_scheduler)
    says(stage, job_id, 0, name="127.0.0.1")
    says(stage, job_id, 1, name="127.0.0.1")
    answer = says(stage, job_id, 2, name="other.example")
    assert [node["name"] for node in answer["nodes"]] == ["127-0-0-1-0", "127-0-0-1-1", "other"]


def test_nodes_that_wait_too_long_are_given_back(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, manual_clock: ManualClock
) -> None:
    job_id = queued(stage, scripted_scheduler)
    says(stage, job_id, 0)
    key = stage.job(job_id).key
    manual_clock.advance(99)
    stage.turn()
    assert stage.job(job_id).requeue_requested_at is None
    says(stage, job_id, 0)
    manual_clock.advance(2)
    stage.turn()
    stage.turn()
    stage.turn()
    record = stage.job(job_id)
    assert (record.phase, record.attempt, record.wait_reason) == (JobPhase.ACCEPTED, 2, "BeginTime")
    assert record.begin_at is not None
    assert 2.5 <= record.begin_at - manual_clock.now() <= 20
    assert any(
        "only" in event.reason and "given back" in event.reason for event in stage.provider.events(job_id)
    )
    assert stage.provider.past_attempts([job_id]) == []
    manual_clock.advance(30)
    stage.wait_for_phase(job_id, JobPhase.QUEUED)
    assert stage.job(job_id).key != key


def test_a_node_that_is_lost_before_all_are_there_gives_all_back(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler, manual_clock: ManualClock
) -> None:
    """Without --requeue, too: nothing of the job has run."""
    job_id = queued(stage, scripted_scheduler)
    says(stage, job_id, 0)
    scripted_scheduler.job_goes(stage.job(job_id).key, Look("LOST", message="node agent-3: it is gone"))
    stage.turn()
    stage.turn()
    record = stage.job(job_id)
    assert (record.phase, record.attempt, record.wait_reason) == (JobPhase.ACCEPTED, 2, "BeginTime")
    assert record.begin_at is not None
    assert record.begin_at > manual_clock.now()
    told = [event.reason for event in stage.provider.events(job_id)]
    assert any("lost before all had started (node agent-3: it is gone): given back" in one for one in told)
    assert stage.provider.past_attempts([job_id]) == []
    scripted_scheduler.jobs_go("RUNNING")
    manual_clock.advance(30)
    stage.wait_for_phase(job_id, JobPhase.QUEUED)
    for number in range(3):
        says(stage, job_id, number)
    assert stage.phase(job_id) is JobPhase.RUNNING


def test_only_one_gang_gathers_at_a_time(stage: ProviderStage, scripted_scheduler: ScriptedScheduler) -> None:
    scripted_scheduler.jobs_go("PENDING")
    first = stage.submit(nodes=2, tasks=2)
    second = stage.submit(nodes=3, tasks=3)
    single = stage.submit()
    stage.turn()
    assert [stage.phase(job) for job in (first, second, single)] == [
        JobPhase.QUEUED,
        JobPhase.ACCEPTED,
        JobPhase.QUEUED,
    ]
    assert stage.job(second).pending_reason == f"waits until job {first} has all its nodes"
    says(stage, first, 0)
    says(stage, first, 1)
    stage.turn()
    assert stage.phase(second) is JobPhase.QUEUED


def test_a_first_node_that_was_replaced_means_a_lost_job(
    stage: ProviderStage, scripted_scheduler: ScriptedScheduler
) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    says(stage, job_id, 1)
    stage.turn()
    scripted_scheduler.job_goes(stage.job(job_id).key, Look("PENDING", run=1))
    stage.turn()
    stage.turn()
    record = stage.job(job_id)
    assert record.phase is JobPhase.LOST
    assert "the first node, agent-1, was lost" in record.reason


def test_each_attempt_keeps_its_nodes(stage: ProviderStage, scripted_scheduler: ScriptedScheduler) -> None:
    job_id = queued(stage, scripted_scheduler, nodes=2)
    says(stage, job_id, 0)
    says(stage, job_id, 1)
    stage.provider.control.requeue(job_id, "somebody", os.geteuid())
    scripted_scheduler.job_goes(stage.job(job_id).key, Look("KILLED", kill_seen=True))
    stage.wait_for_phase(job_id, JobPhase.ACCEPTED)
    record = stage.job(job_id)
    assert (record.attempt, record.node_list, record.node_names) == (2, "", ())
    (past,) = stage.provider.past_attempts([job_id])
    assert (past.node_list, past.host, past.state) == ("agent-[1-2]", "agent1.example.org", "REQUEUED")


def test_tasks_are_spread_over_nodes() -> None:
    def spread(**members: int) -> tuple[int, ...]:
        one = Resources(cpus=1, memory_mb=1, disk_mb=1)
        request = JobRequest(
            name="n", user="u", uid=1, queue="q", working_directory="/w", wall_time_seconds=1, resources=one
        )
        return request.model_copy(update=members).tasks_on_nodes

    assert spread(nodes=1, tasks=5) == (5,)
    assert spread(nodes=3, tasks=7) == (3, 2, 2)
    assert spread(nodes=3, tasks=7, tasks_per_node=3) == (3, 3, 1)
    assert spread(nodes=3, tasks=3, tasks_per_node=2) == (1, 1, 1)


@pytest.mark.parametrize("seed", range(20))
def test_two_gangs_that_need_more_than_there_is_both_run(
    make_provider: MakeProvider,
    scripted_scheduler: ScriptedScheduler,
    manual_clock: ManualClock,
    seed: int,
) -> None:
    """Two resources compete for four hosts, each with a gang of three: neither waits for the other for good.

    Hosts go to whoever asks, one by one and in any order, as Aurora does. A gang that has run frees them.
    """
    chance = random.Random(seed)
    stages = [make_provider(scripted_scheduler, queues=QUEUE, name=f"resource{one}") for one in range(2)]
    scripted_scheduler.jobs_go("RUNNING")
    jobs = [stage.submit(nodes=3, tasks=3) for stage in stages]
    held: list[set[int]] = [set(), set()]  # which nodes of each gang have a host
    runs: dict[int, int] = {}
    over: set[int] = set()
    for _ in range(400):
        for one, stage in enumerate(stages):
            stage.turn()
            record = stage.job(jobs[one])
            if record.requeue_requested_at is not None or record.phase is JobPhase.ACCEPTED:
                held[one] = set()
                if record.phase is not JobPhase.ACCEPTED:
                    scripted_scheduler.job_goes(record.key, Look("KILLED", kill_seen=True))
        free = 4 - sum(len(nodes) for nodes in held)
        waiting = [
            (one, number)
            for one, stage in enumerate(stages)
            if stage.phase(jobs[one]) is JobPhase.QUEUED and stage.job(jobs[one]).requeue_requested_at is None
            for number in range(3)
            if number not in held[one]
        ]
        for one, number in chance.sample(waiting, min(free, len(waiting))):
            held[one].add(number)
        for one, stage in enumerate(stages):
            if (
                stage.phase(jobs[one]) is JobPhase.QUEUED
                and stage.job(jobs[one]).requeue_requested_at is None
            ):
                for number in held[one]:
                    says(stage, jobs[one], number)
            if stage.phase(jobs[one]) is JobPhase.RUNNING:
                runs[one] = runs.get(one, 0) + 1
                if runs[one] == 5:  # it is done
                    scripted_scheduler.job_goes(stage.job(jobs[one]).key, "FINISHED")
                    held[one] = set()
                    over.add(one)
        if over == {0, 1}:
            break
        manual_clock.advance(10)
    assert over == {0, 1}
