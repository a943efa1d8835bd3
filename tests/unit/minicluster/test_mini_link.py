"""The connection to an agent: order, delay and cuts, with time moved by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.minicluster.clock import ManualClock
from airavata_mesos_plugin.minicluster.launch import Launch
from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.link import Link
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask, Status

KEY = ("F", "t")


class Wire:
    def __init__(self, agent: Any) -> None:
        self.clock = ManualClock()
        self.agent = agent
        self.seen: list[str] = []
        self.link = Link(self.clock, lambda _task, status: self.seen.append(status.state))
        self.link.attach(agent)
        launch = Launch("t", "thermos-t", "n", "s", "r", "devel", 0, "localhost", {}, "{}", 0.1, 1, 1, 0, ())
        self.task = MesosTask(launch, "F", "S0")

    def report(self, *states: str) -> None:
        for state in states:
            self.task.mark(Status(state, 0.0))
            self.link.report(self.task)


@pytest.fixture
def wire(mocker: MockerFixture) -> Wire:
    return Wire(mocker.create_autospec(Agent, instance=True))


def test_without_delay_everything_arrives_at_once(wire: Wire) -> None:
    wire.link.launch(wire.task)
    wire.link.kill(KEY)
    wire.report("TASK_RUNNING")
    wire.agent.launch.assert_called_once_with(wire.task)
    wire.agent.kill.assert_called_once_with(KEY, None)
    assert wire.seen == ["TASK_RUNNING"]


def test_what_was_sent_first_arrives_first_also_when_the_link_gets_faster(wire: Wire) -> None:
    wire.link.delay = 10.0
    wire.report("TASK_STARTING")
    wire.link.delay = 1.0
    wire.report("TASK_RUNNING")
    wire.link.delay = 0.0
    wire.report("TASK_FINISHED")
    wire.clock.advance(9)
    assert wire.seen == []
    wire.clock.advance(1)
    assert wire.seen == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
    wire.report("TASK_LOST")
    assert wire.seen[-1] == "TASK_LOST"


def test_a_cut_loses_what_is_on_its_way(wire: Wire) -> None:
    wire.link.delay = 5.0
    wire.link.launch(wire.task)
    wire.report("TASK_STARTING")
    wire.link.cut = True
    wire.link.kill(KEY)
    wire.report("TASK_RUNNING")
    wire.clock.advance(60)
    wire.link.cut = False
    wire.clock.advance(60)
    assert wire.seen == []
    wire.agent.launch.assert_not_called()
    wire.agent.kill.assert_not_called()


def test_a_late_launch_that_fails_is_reported(wire: Wire) -> None:
    wire.agent.launch.side_effect = OSError("no more processes")
    with pytest.raises(OSError, match="no more"):
        wire.link.launch(wire.task)
    wire.link.delay = 1.0
    wire.link.launch(wire.task)
    wire.clock.advance(1)
    assert (wire.seen, wire.task.ended) == (["TASK_FAILED"], True)
