"""Whatever ends, and whenever: each job runs once, and its end is told as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.errors import NotReady, OutcomeUnknown
from airavata_mesos_plugin.jobs import JobPhase
from tests.realmesos.cluster import RealMesosCluster
from tests.support.mesos_framework import PATIENT_AGENTS, Gateway, executor_of, gateway, lines
from tests.support.real_mesos import RealMesosFactory
from tests.support.waiting import wait_for

PARTITIONED = ("--agent_ping_timeout=1secs", "--max_agent_ping_timeouts=6")
"""Flags of masters that soon take an agent for unreachable that does not answer."""


@pytest.fixture
def shared(real_mesos: RealMesosCluster, tmp_path: Path) -> Iterator[Gateway]:
    """On the cluster that all tests share: no server may be stopped."""
    with gateway(tmp_path, real_mesos) as made:
        yield made


def test_a_job_goes_on_while_nobody_is_subscribed(shared: Gateway) -> None:
    command, ran, go = shared.script("one")
    key = shared.submit(command)
    shared.running(key)
    shared.end()
    go.touch()
    assert shared.ended(key).phase is JobPhase.COMPLETED
    assert lines(ran) == ["run"]


def test_a_job_that_ends_while_nobody_is_subscribed_is_known_as_it_ended(shared: Gateway) -> None:
    command, ran, go = shared.script("one")
    key = shared.submit(f"{command}; exit 7")
    shared.running(key)
    shared.end()
    go.touch()
    wait_for(lambda: shared.tasks().values(), lambda found: "TASK_RUNNING" not in found, "over")
    assert lines(ran) == ["run"]
    seen = shared.ended(key)
    assert (seen.phase, seen.run) == (JobPhase.FAILED, 0)
    assert "exited with status 7" in seen.message


def test_a_job_that_was_taken_is_launched_after_a_restart(shared: Gateway) -> None:
    blocked = shared.submit("true", cpus=100)
    shared.end()
    assert shared.known(blocked).phase is JobPhase.QUEUED
    shared.scheduler.cancel([blocked], "enough")
    wait_for(lambda: shared.see(blocked), lambda seen: seen is None, "gone")


@pytest.mark.parametrize("arrives", [True, False], ids=["it arrived", "it did not arrive"])
def test_a_launch_whose_fate_is_unknown_is_one_launch(
    shared: Gateway, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    """As when the daemon, or the connection, dies between the two."""
    driver: Any = shared.scheduler.driver
    send, tries = driver.acceptOffers, []

    def accept(offers: Sequence[Any], operations: Sequence[Any], filters: Any = None) -> None:
        tries.append(operations)
        if len(tries) > 1 or arrives:
            send(offers, operations, filters=filters)
        if len(tries) == 1:
            raise OutcomeUnknown("the connection broke")

    monkeypatch.setattr(driver, "acceptOffers", accept)
    command, ran, go = shared.script("one")
    go.touch()
    key = shared.submit(command)
    assert shared.ended(key).phase is JobPhase.COMPLETED
    assert lines(ran) == ["run"]
    assert len(tries) == (1 if arrives else 2)


def test_a_launch_that_was_refused_is_made_again(shared: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    driver: Any = shared.scheduler.driver
    send, tries = driver.acceptOffers, []

    def accept(offers: Sequence[Any], operations: Sequence[Any], filters: Any = None) -> None:
        tries.append(operations)
        if len(tries) == 1:
            raise NotReady("try again later")
        send(offers, operations, filters=filters)

    monkeypatch.setattr(driver, "acceptOffers", accept)
    key = shared.submit("true")
    seen = shared.ended(key)
    assert (seen.phase, seen.run) == (JobPhase.COMPLETED, 0)


def test_the_executor_is_killed(shared: Gateway) -> None:
    command, ran, _ = shared.script("one")
    key = shared.submit(command)
    seen = shared.running(key)
    wait_for(lambda: lines(ran), bool, "run")
    os.kill(executor_of(seen.task_id), signal.SIGKILL)
    seen = shared.ended(key)
    assert seen.phase is JobPhase.LOST
    assert "executor terminated" in seen.message
    assert lines(ran) == ["run"]


def test_what_nobody_knows_is_killed(shared: Gateway) -> None:
    command, ran, _ = shared.script("one")
    key = shared.submit(command)
    task = shared.running(key).task_id
    shared.end()
    shared.notes.keep({f"form/{key}": None, f"state/{key}": None})
    shared.submit("true")
    wait_for(shared.tasks, lambda found: task not in found, "without the task")
    assert lines(ran) == ["run"]


def test_the_framework_is_torn_down(shared: Gateway) -> None:
    command, ran, _ = shared.script("one")
    key, waiting = shared.submit(command), shared.submit("true", cpus=100)
    shared.running(key)
    before = shared.scheduler.framework_id
    shared.cluster.post(
        shared.cluster.leader(),
        "/api/v1",
        {"type": "TEARDOWN", "teardown": {"framework_id": {"value": before}}},
    )
    seen = shared.ended(key)
    assert seen.phase is JobPhase.LOST
    assert "framework was removed" in seen.message
    assert shared.known(waiting).phase is JobPhase.QUEUED
    after = shared.submit("true")
    assert shared.ended(after).phase is JobPhase.COMPLETED
    assert shared.scheduler.framework_id not in (None, before)
    assert lines(ran) == ["run"]
    shared.scheduler.cancel([waiting], "enough")


def test_another_process_takes_the_framework(shared: Gateway, tmp_path: Path) -> None:
    """The one before notices, keeps quiet, and says so."""
    shared.ended(shared.submit("true"))
    (tmp_path / "second").mkdir()
    with gateway(tmp_path / "second", shared.cluster) as second:
        second.notes.keep({"framework": shared.scheduler.framework_id})
        second.ended(second.submit("true"))
        wait_for(lambda: shared.scheduler.check()[-1], lambda check: not check.ok, "not subscribed")
        assert "failed over" in shared.scheduler.check()[-1].detail
        second.ended(second.submit("true"))


def test_master_and_agent_restart_and_the_master_has_forgotten_everything(
    own_real_mesos: RealMesosFactory, tmp_path: Path
) -> None:
    cluster = own_real_mesos(agents=1, agent_flags=PATIENT_AGENTS)
    with gateway(tmp_path, cluster) as own:
        command, ran, go = own.script("one")
        key, waiting = own.submit(command, cpus=3), own.submit("true", cpus=2)
        own.running(key)
        cluster.masters[0].kill()
        wait_for(lambda: own.scheduler.check()[-1].ok, lambda ok: not ok, "not subscribed")
        cluster.masters[0].start()
        # An agent that has no ZooKeeper looks for its master only after a minute without pings.
        cluster.agents[0].kill()
        cluster.agents[0].start()
        cluster.registered(1)
        wait_for(lambda: own.scheduler.check()[-1].ok, bool, "subscribed")
        assert own.known(key).phase is JobPhase.RUNNING
        go.touch()
        assert own.ended(key).phase is JobPhase.COMPLETED
        assert own.ended(waiting).phase is JobPhase.COMPLETED
        assert lines(ran) == ["run"]


def test_a_partitioned_agent_comes_back(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    """Unreachable is not lost."""
    cluster = own_real_mesos(agents=1, master_flags=PARTITIONED)
    with gateway(tmp_path, cluster) as own:
        command, ran, go = own.script("one")
        key = own.submit(command)
        own.running(key)
        cluster.agents[0].send(signal.SIGSTOP)
        seen = own.until(key, lambda seen: seen.native_state == "TASK_UNREACHABLE")
        assert seen.phase is JobPhase.RUNNING
        cluster.agents[0].send(signal.SIGCONT)
        own.until(key, lambda seen: seen.native_state == "TASK_RUNNING")
        go.touch()
        seen = own.ended(key)
        assert (seen.phase, seen.run) == (JobPhase.COMPLETED, 0)
        assert lines(ran) == ["run"]
