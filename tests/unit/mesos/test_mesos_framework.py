"""What a framework writes down and sends, event by event, with a driver that only remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import AlreadyExists, InvalidRequest, LedgerError, OutcomeUnknown
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.mesos.agents import agents_of
from airavata_mesos_plugin.schedulers.mesos.framework import Framework
from airavata_mesos_plugin.schedulers.mesos.jobform import parse
from airavata_mesos_plugin.schedulers.mesos.limits import Limits


class Store:
    """A store in memory that can be broken."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.broken = False

    def load(self) -> Mapping[str, str]:
        return dict(self.kept)

    def keep(self, changes: Mapping[str, str | None]) -> None:
        if self.broken:
            raise LedgerError("disk full")
        for name, text in changes.items():
            self.kept.pop(name, None)
            if text is not None:
                self.kept[name] = text


class Master:
    """A driver that writes down its calls, and what the store held at each."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls: list[tuple[str, Any]] = []
        self.held: list[dict[str, str]] = []
        self.refuse: Exception | None = None
        self.forgotten = False

    def _note(self, name: str, what: Any) -> None:
        self.calls.append((name, what))
        self.held.append(dict(self.store.kept))
        if self.refuse is not None:
            refuse, self.refuse = self.refuse, None
            raise refuse

    def acceptOffers(  # noqa: N802
        self,
        offer_ids: Sequence[Any],
        operations: Sequence[Any],
        filters: Any = None,  # noqa: ARG002
    ) -> None:
        tasks = [info["task_id"]["value"] for one in operations for info in one["launch"]["task_infos"]]
        self._note("accept", ([one["value"] for one in offer_ids], tasks))

    def declineOffer(self, offer_ids: Sequence[Any], filters: Any = None) -> None:  # noqa: N802
        self._note("decline", ([one["value"] for one in offer_ids], filters["refuse_seconds"]))

    def reviveOffers(self, roles: Sequence[str] = ()) -> None:  # noqa: N802
        self._note("revive", list(roles))

    def suppressOffers(self, roles: Sequence[str] = ()) -> None:  # noqa: N802
        self._note("suppress", list(roles))

    def acknowledgeStatusUpdate(self, status: Any) -> None:  # noqa: N802
        self._note("acknowledge", status["uuid"])

    def kill(self, task_id: str, agent_id: str, grace_seconds: float | None) -> None:  # noqa: ARG002
        self._note("kill", (task_id, agent_id))

    def reconcile(self, tasks: Sequence[tuple[str, str]]) -> None:
        self._note("reconcile", list(tasks))

    def forget(self) -> None:
        self.forgotten = True

    def teardown(self) -> None:
        self._note("teardown", None)

    def take(self, *names: str) -> list[tuple[str, Any]]:
        """The calls since the last look, of these kinds."""
        found = [call for call in self.calls if not names or call[0] in names]
        self.calls.clear()
        self.held.clear()
        return found


class Stage:
    """A framework with a clock that is moved by hand."""

    def __init__(self, **limits: float) -> None:
        self.clock = ManualClock()
        self.store = Store()
        self.limits = Limits(**limits)
        self.master = Master(self.store)
        self.framework = self._made()

    def _made(self) -> Framework:
        return Framework(self.store, self.clock, self.limits, lambda: None)

    def restart(self) -> None:
        """The daemon ends and comes back."""
        self.framework = self._made()

    def subscribe(self) -> None:
        self.framework.opened()
        if self.framework.framework_id is None:
            self.framework.registered(self.master, {"value": "F1"}, {})
        else:
            self.framework.reregistered(self.master, {})
        self.step()

    def step(self, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        self.framework.step(self.master)

    def submit(self, name: str, cpus: float = 1, count: int = 1, **members: Any) -> JobKey:
        task = {"arguments": ["true"], "resources": {"cpus": cpus, "mem": 1}}
        document = {"role": "www", "environment": "prod", "name": name, "tasks": [task] * count}
        (refusal,) = self.framework.submit([parse({**document, **members})])
        if refusal is not None:
            raise refusal
        return JobKey("www", "prod", name)

    def offer(self, number: int, cpus: float = 4, agent: str = "S1") -> None:
        resources = [
            {"name": name, "type": "SCALAR", "scalar": {"value": value}}
            for name, value in (("cpus", cpus), ("mem", 1000))
        ]
        offer = {"id": {"value": f"O{number}"}, "agent_id": {"value": agent}, "hostname": "h"}
        self.framework.resourceOffers(self.master, [{**offer, "resources": resources}])

    def tell(self, task: str, state: str, uuid: str | None = None, **members: Any) -> None:
        status = {
            "task_id": {"value": task},
            "agent_id": {"value": "S1"},
            "state": f"TASK_{state}",
            **members,
        }
        if uuid is not None:
            status["uuid"] = uuid
        self.framework.statusUpdate(self.master, status)

    def phase(self, key: JobKey) -> JobPhase | None:
        seen = self.framework.observations([key]).get(key)
        return seen.phase if seen else None


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.subscribe()
    made.master.take()
    return made


def test_the_id_is_kept_before_anything_is_launched() -> None:
    stage = Stage()
    stage.store.broken = True
    stage.framework.registered(stage.master, {"value": "F1"}, {})
    with pytest.raises(LedgerError):
        stage.step()
    assert "cannot be kept" in stage.framework.unusable
    assert stage.master.take() == []
    stage.store.broken = False
    stage.framework.closed("")
    stage.subscribe()
    assert stage.store.kept["framework"] == "F1"


def test_idle_means_no_offers_and_work_means_offers(stage: Stage) -> None:
    stage.step()
    assert stage.master.take() == []
    stage.submit("a")
    stage.step()
    assert stage.master.take() == [("revive", ["*"])]
    stage.offer(1)
    stage.step()
    assert stage.master.take() == [("accept", (["O1"], ["www.prod.a.0"])), ("suppress", ["*"])]


def test_a_subscription_without_work_says_so_once() -> None:
    stage = Stage()
    stage.subscribe()
    assert stage.master.take() == [("reconcile", []), ("suppress", ["*"])]


def test_a_launch_is_written_down_before_it_is_sent(stage: Stage) -> None:
    key = stage.submit("a")
    stage.offer(1)
    stage.step()
    assert stage.master.calls[0] == ("accept", (["O1"], ["www.prod.a.0"]))
    assert '"task_id": "www.prod.a.0"' in stage.master.held[0][f"state/{key}"]
    stage.restart()
    stage.master.take()
    stage.subscribe()
    assert stage.master.take() == [
        ("reconcile", [("www.prod.a.0", "S1")]),
        ("reconcile", []),
        ("suppress", ["*"]),
    ]


def test_nothing_is_launched_when_it_cannot_be_written_down(stage: Stage) -> None:
    stage.submit("a")
    stage.offer(1)
    stage.store.broken = True
    with pytest.raises(LedgerError):
        stage.step()
    assert stage.master.take("accept") == []


def test_a_status_is_acknowledged_after_it_was_written_down(stage: Stage) -> None:
    key = stage.submit("a")
    stage.offer(1)
    stage.step()
    stage.master.take()
    stage.tell("www.prod.a.0", "RUNNING", "U1")
    stage.tell("www.prod.a.0", "RUNNING")
    stage.store.broken = True
    with pytest.raises(LedgerError):
        stage.step()
    assert stage.master.take() == []
    stage.store.broken = False
    stage.step()
    assert stage.master.calls == [("acknowledge", "U1")]
    assert "TASK_RUNNING" in stage.master.held[0][f"state/{key}"]


def test_what_is_unknown_is_acknowledged_too_and_ended_if_it_runs(stage: Stage) -> None:
    stage.tell("a stranger", "RUNNING", "U1")
    stage.tell("another one", "FAILED", "U2")
    stage.step()
    assert stage.master.take() == [
        ("acknowledge", "U1"),
        ("acknowledge", "U2"),
        ("kill", ("a stranger", "S1")),
    ]


def test_offers_that_fit_nobody_go_back_for_a_while_and_come_again_with_a_new_job(stage: Stage) -> None:
    stage.submit("large", cpus=8)
    stage.step()
    stage.master.take()
    stage.offer(1, cpus=4)
    stage.step()
    assert stage.master.take() == [("decline", (["O1"], 30.0))]
    stage.step()
    assert stage.master.take() == []
    stage.submit("small")
    stage.step()
    assert stage.master.take() == [("revive", ["*"])]


def test_a_launch_of_which_nobody_knows_is_asked_for(stage: Stage) -> None:
    key = stage.submit("a")
    stage.offer(1)
    stage.master.refuse = OutcomeUnknown("broke")
    with pytest.raises(OutcomeUnknown):
        stage.step()
    assert stage.phase(key) is JobPhase.QUEUED
    stage.framework.closed("broke")
    stage.master.take()
    stage.subscribe()
    assert ("reconcile", [("www.prod.a.0", "S1")]) in stage.master.take()
    stage.offer(2)
    stage.step()
    assert stage.master.take("accept") == []
    stage.tell("www.prod.a.0", "GONE", reason="REASON_RECONCILIATION")
    stage.offer(3)
    stage.step()
    assert [call[1][1] for call in stage.master.take("accept")] == [["www.prod.a.1"]]


def test_a_launch_that_was_not_sent_is_made_with_the_same_id(stage: Stage) -> None:
    stage.submit("a")
    stage.offer(1)
    stage.master.refuse = InvalidRequest("HTTP 400")
    with pytest.raises(InvalidRequest):
        stage.step()
    stage.framework.closed("")
    stage.master.take()
    stage.subscribe()
    stage.offer(2)
    stage.step()
    assert stage.master.take("accept") == [("accept", (["O2"], ["www.prod.a.0"]))]


def test_a_kill_is_repeated_until_the_task_is_over(stage: Stage) -> None:
    key = stage.submit("a")
    stage.offer(1)
    stage.step()
    stage.tell("www.prod.a.0", "RUNNING")
    stage.framework.cancel(key, "by alice")
    stage.step()
    assert stage.master.take("kill") == [("kill", ("www.prod.a.0", "S1"))]
    stage.step(5)
    assert stage.master.take("kill") == []
    stage.step(11)
    assert stage.master.take("kill") == [("kill", ("www.prod.a.0", "S1"))]
    stage.framework.closed("")
    stage.restart()
    stage.subscribe()
    assert stage.master.take("kill") == [("kill", ("www.prod.a.0", "S1"))]
    stage.tell("www.prod.a.0", "KILLED")
    stage.step(60)
    assert stage.master.take("kill") == []
    seen = stage.framework.observations([key])[key]
    assert (seen.phase, seen.kill_seen) == (JobPhase.CANCELLED, True)


def test_silence_about_a_launch_is_asked_about(stage: Stage) -> None:
    stage.submit("a")
    stage.offer(1)
    stage.step()
    stage.master.take()
    stage.step(10)
    assert stage.master.take() == []
    stage.step(25)
    stage.step(2)
    assert stage.master.take("reconcile") == [("reconcile", [("www.prod.a.0", "S1")])]
    stage.tell("www.prod.a.0", "STAGING", reason="REASON_RECONCILIATION")
    stage.step(1)
    assert stage.master.take("reconcile") == []


@pytest.mark.parametrize(("state", "seconds"), [("UNREACHABLE", 900), ("UNKNOWN", 700), ("LOST", 700)])
def test_what_stays_away_is_lost_in_the_end(stage: Stage, state: str, seconds: int) -> None:
    key = stage.submit("a")
    stage.offer(1)
    stage.step()
    stage.tell("www.prod.a.0", "RUNNING")
    stage.tell("www.prod.a.0", state)
    stage.step(seconds - 10)
    stage.step()
    assert stage.phase(key) is JobPhase.RUNNING
    assert stage.master.take("reconcile")[:1] == [("reconcile", [("www.prod.a.0", "S1")])]
    stage.step(20)
    assert stage.phase(key) is JobPhase.LOST
    stage.tell("www.prod.a.0", "RUNNING", "U9")
    stage.step()
    assert stage.master.take("kill", "acknowledge") == [
        ("acknowledge", "U9"),
        ("kill", ("www.prod.a.0", "S1")),
    ]


@pytest.mark.parametrize("state", ["UNREACHABLE", "UNKNOWN"])
def test_what_was_true_before_the_daemon_was_away_is_asked_again(stage: Stage, state: str) -> None:
    key = stage.submit("a")
    stage.offer(1)
    stage.step()
    stage.tell("www.prod.a.0", "RUNNING")
    stage.tell("www.prod.a.0", state)
    stage.step()
    stage.restart()
    stage.clock.advance(5000)
    stage.subscribe()
    stage.step(1000)
    assert stage.phase(key) is JobPhase.RUNNING
    stage.tell("www.prod.a.0", state, reason="REASON_RECONCILIATION")
    stage.step()
    assert stage.phase(key) is JobPhase.LOST


def test_a_master_that_has_just_taken_over_is_given_time(stage: Stage) -> None:
    key = stage.submit("a")
    stage.offer(1)
    stage.step()
    stage.tell("www.prod.a.0", "RUNNING")
    stage.tell("www.prod.a.0", "UNKNOWN")
    stage.framework.closed("")
    stage.clock.advance(2000)
    stage.subscribe()
    stage.step()
    assert stage.phase(key) is JobPhase.RUNNING


def test_a_framework_that_was_removed_begins_anew(stage: Stage) -> None:
    key, waiting = stage.submit("a"), stage.submit("b", cpus=100)
    stage.offer(1)
    stage.step()
    stage.tell("www.prod.a.0", "RUNNING")
    stage.framework.error(stage.master, "Framework has been removed")
    stage.framework.closed("the stream ended")
    assert stage.master.forgotten
    assert "framework" not in stage.store.kept
    assert (stage.phase(key), stage.phase(waiting)) == (JobPhase.LOST, JobPhase.QUEUED)
    assert "Framework has been removed" in stage.framework.away()[1]
    assert stage.framework.take_pause() == 1.0
    stage.subscribe()
    assert stage.framework.away() == (0.0, "")


def test_other_errors_are_told_and_waited_for(stage: Stage) -> None:
    stage.framework.error(stage.master, "Not authorized to use roles '{ batch }'")
    stage.framework.closed("the stream ended")
    assert (stage.framework.take_pause(), stage.framework.take_pause()) == (60.0, None)
    assert "Not authorized" in stage.framework.away()[1]
    assert stage.store.kept["framework"] == "F1"
    assert not stage.master.forgotten


def test_offers_of_a_lost_agent_and_of_a_lost_master_are_not_used(stage: Stage) -> None:
    stage.offer(1, agent="S1")
    stage.offer(2, agent="S2")
    stage.framework.slaveLost(stage.master, {"value": "S1"})
    stage.offer(3, agent="S3")
    stage.framework.offerRescinded(stage.master, {"value": "O3"})
    for name in ("a", "b", "c"):
        stage.submit(name, cpus=4)
    stage.step()
    assert [call[1][0] for call in stage.master.take("accept")] == [["O2"]]
    stage.offer(4)
    stage.framework.closed("")
    stage.subscribe()
    stage.step()
    assert stage.master.take("accept") == []


def test_a_lost_agent_makes_its_tasks_doubtful(stage: Stage) -> None:
    stage.submit("a")
    stage.offer(1)
    stage.step()
    stage.tell("www.prod.a.0", "RUNNING")
    stage.master.take()
    stage.framework.slaveLost(stage.master, {"value": "S1"})
    stage.step(2)
    assert stage.master.take("reconcile") == [("reconcile", [("www.prod.a.0", "S1")])]


def test_an_agent_on_which_jobs_fail_is_left_alone(stage: Stage) -> None:
    for number in range(3):
        stage.submit(f"bad-{number}", cpus=4)
        stage.offer(number)
        stage.step()
        stage.tell(f"www.prod.bad-{number}.0", "FAILED", message="Command exited with status 213")
    stage.submit("good")
    stage.framework.know_agents(
        agents_of([{"id": "S1", "hostname": "h", "resources": {"cpus": 4, "mem": 1000}}], ["*"])
    )
    stage.offer(9)
    stage.step()
    assert stage.master.take("accept", "decline")[-1] == ("decline", (["O9"], 30.0))
    (reason,) = stage.framework.reasons([JobKey("www", "prod", "good")]).values()
    assert "left alone for a while" in reason
    stage.offer(10)
    stage.step()
    stage.master.take()
    stage.step(61)
    assert ("revive", ["*"]) in stage.master.take()


def test_a_node_on_which_jobs_of_ours_run_is_kept_for_a_large_one(stage: Stage) -> None:
    small = stage.submit("small", cpus=1)
    stage.offer(1, cpus=4)
    stage.step()
    stage.tell("www.prod.small.0", "RUNNING")
    stage.submit("large", cpus=4)
    stage.step(100)
    here = {"id": "S1", "hostname": "h", "resources": {"cpus": 4, "mem": 1000}}
    used = {"used_resources": {"cpus": 1, "mem": 1}}
    stage.framework.know_agents(agents_of([{**here, **used}], ["*"]))
    stage.master.take()
    stage.offer(2, cpus=3)
    stage.step()
    assert stage.master.take("decline", "accept") == []
    stage.tell("www.prod.small.0", "FINISHED")
    assert stage.phase(small) is JobPhase.COMPLETED
    stage.offer(3, cpus=1)
    stage.step()
    assert stage.master.take("accept") == [("accept", (["O2", "O3"], ["www.prod.large.0"]))]


def test_a_node_that_others_use_is_not_kept(stage: Stage) -> None:
    stage.submit("large", cpus=4)
    stage.step(100)
    here = {"id": "S1", "hostname": "h", "resources": {"cpus": 4, "mem": 1000}}
    used = {"used_resources": {"cpus": 1, "mem": 1}}
    stage.framework.know_agents(agents_of([{**here, **used}], ["*"]))
    stage.master.take()
    stage.offer(2, cpus=3)
    stage.step()
    assert stage.master.take("decline") == [("decline", (["O2"], 30.0))]


def test_all_tasks_of_a_gang_are_launched_and_ended_together(stage: Stage) -> None:
    key = stage.submit("gang", cpus=4, count=2)
    stage.offer(1, agent="S1")
    stage.step()
    assert stage.master.take("accept", "decline") == [("decline", (["O1"], 30.0))]
    stage.offer(2, agent="S1")
    stage.offer(3, agent="S2")
    stage.step()
    assert sorted(call[1][1][0] for call in stage.master.take("accept")) == [
        "www.prod.gang.0-0",
        "www.prod.gang.0-1",
    ]
    stage.tell("www.prod.gang.0-0", "RUNNING")
    stage.tell("www.prod.gang.0-1", "RUNNING")
    stage.tell("www.prod.gang.0-0", "FINISHED")
    stage.step()
    assert [call[1][0] for call in stage.master.take("kill")] == ["www.prod.gang.0-1"]
    assert stage.phase(key) is JobPhase.RUNNING
    stage.tell("www.prod.gang.0-1", "KILLED")
    assert stage.phase(key) is JobPhase.COMPLETED


def test_a_gang_ends_when_its_task_out_of_reach_must_have_ended(stage: Stage) -> None:
    """It does not wait for its agent as long as a job does of which nobody knows."""
    key = stage.submit("gang", cpus=4, count=2, silence_seconds=60)
    stage.offer(1)
    stage.offer(2, agent="S2")
    stage.step()
    for index in range(2):
        stage.tell(f"www.prod.gang.0-{index}", "RUNNING")
    stage.tell("www.prod.gang.0-0", "UNREACHABLE")
    stage.step(800)
    assert stage.phase(key) is JobPhase.RUNNING, "its other task goes on"
    stage.tell("www.prod.gang.0-1", "FAILED", source="SOURCE_EXECUTOR")
    stage.step(60 + 29)
    assert stage.phase(key) is JobPhase.RUNNING
    stage.step(2)
    assert stage.phase(key) is JobPhase.LOST
    message = stage.framework.observations([key])[key].message
    assert message == "node h: TASK_UNREACHABLE: its agent cannot be reached, for 890 s"


def test_nodes_that_come_free_one_by_one_are_asked_for_together(stage: Stage) -> None:
    def told(*free: int) -> None:
        agents = [
            {
                "id": f"S{number}",
                "hostname": f"h{number}",
                "resources": {"cpus": 4, "mem": 1000},
                "used_resources": {"cpus": 4 - cpus},
            }
            for number, cpus in enumerate(free, 1)
        ]
        stage.framework.know_agents(agents_of(agents, ["*"]))
        stage.step(0.5)

    def declined(number: int, agent: str) -> None:
        stage.offer(number, agent=agent)
        stage.step()
        assert stage.master.take("decline") == [("decline", ([f"O{number}"], 30.0))]

    stage.submit("gang", cpus=4, count=2)
    declined(1, "S1")
    told(4, 3)
    assert stage.master.take() == []
    declined(2, "S2")
    told(4, 4)
    assert stage.master.take() == [("revive", ["*"])]
    told(4, 4)
    assert stage.master.take() == []  # nothing was declined since
    declined(3, "S1")  # somebody else has the other one
    told(4, 4)
    assert stage.master.take() == [("revive", ["*"])]
    declined(4, "S1")
    told(4, 4)
    assert stage.master.take() == []  # not all the time
    told(4, 4)
    assert stage.master.take() == [("revive", ["*"])]
    stage.offer(5, agent="S1")
    stage.offer(6, agent="S2")
    stage.step()
    assert len(stage.master.take("accept")) == 2


def test_an_active_key_is_taken_and_one_that_is_over_is_free(stage: Stage) -> None:
    key = stage.submit("a")
    with pytest.raises(AlreadyExists):
        stage.submit("a")
    stage.framework.cancel(key, "enough")
    stage.submit("a")
    seen = stage.framework.observations([key])[key]
    assert (seen.phase, seen.task_id) == (JobPhase.QUEUED, "www.prod.a.1")


def test_a_job_is_forgotten_when_its_end_was_told_long_ago(stage: Stage) -> None:
    told, untold = stage.submit("told"), stage.submit("untold")
    stage.offer(1)
    stage.step()
    for name in ("told", "untold"):
        stage.tell(f"www.prod.{name}.0", "FINISHED")
    assert stage.phase(told) is JobPhase.COMPLETED
    stage.step(90000)
    assert stage.phase(told) is None
    assert stage.phase(untold) is JobPhase.COMPLETED
    assert f"form/{told}" not in stage.store.kept


def test_high_priority_comes_first_then_age(stage: Stage) -> None:
    for name, priority in (("old", 0), ("young", 0), ("urgent", 5)):
        stage.submit(name, cpus=4, priority=priority)
        stage.clock.advance(1)
    order = []
    for number in range(3):
        stage.offer(number)
        stage.step()
        order += [call[1][1][0] for call in stage.master.take("accept")]
    assert order == ["www.prod.urgent.0", "www.prod.old.0", "www.prod.young.0"]


def test_what_cannot_be_read_any_more_harms_nothing_else(stage: Stage) -> None:
    key = stage.submit("a")
    stage.store.kept["form/www/prod/b"] = "{}"
    stage.store.kept["form/www/prod/c"] = "not JSON"
    stage.restart()
    assert stage.phase(key) is JobPhase.QUEUED
    stage.subscribe()
    stage.tell("www.prod.b.0", "RUNNING")
    stage.tell("www.prod.bb.0", "RUNNING")
    stage.step()
    assert stage.master.take("kill") == [("kill", ("www.prod.bb.0", "S1"))]
