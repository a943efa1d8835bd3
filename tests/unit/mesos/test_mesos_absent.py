"""Agents that were there: how long they are told of, and under which names."""

from __future__ import annotations

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.jobs import Resources
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.schedulers.mesos.absent import ABSENT_SECONDS, Absent


def node(name: str, cpus: float = 4) -> Node:
    used = Resources(cpus=1, memory_mb=10, disk_mb=10)
    return Node(name, Resources(cpus=cpus, memory_mb=1000, disk_mb=1000), used)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_who_was_there_is_down_for_a_while(clock: ManualClock) -> None:
    absent = Absent(clock)
    absent.added_to({"S1": node("a"), "S2": node("b")})
    clock.advance(ABSENT_SECONDS - 1)
    assert [(one.name, one.active, one.total.cpus) for one in absent.added_to({"S2": node("b")})] == [
        ("a", False, 4),
        ("b", True, 4),
    ]
    clock.advance(1)
    assert [one.name for one in absent.added_to({"S2": node("b")})] == ["b"]


def test_who_comes_back_is_as_it_is_now(clock: ManualClock) -> None:
    absent = Absent(clock)
    absent.added_to({"S1": node("a")})
    assert [one.active for one in absent.added_to({})] == [False]
    back = node("a", 8)
    assert absent.added_to({"S1": back}) == [back]


def test_who_comes_back_under_another_id_is_told_of_once(clock: ManualClock) -> None:
    absent = Absent(clock)
    absent.added_to({"S1": node("a")})
    assert absent.added_to({"S9": node("a")}) == [node("a")]


def test_agents_of_one_name_are_all_told_of(clock: ManualClock) -> None:
    assert len(Absent(clock).added_to({"S1": node("a"), "S2": node("a")})) == 2
