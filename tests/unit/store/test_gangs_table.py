"""Gangs in the ledger: one for each attempt, for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.jobs import JobKey, JobRequest, Resources
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.store.gangs import Gang, GangNode

NODES = tuple(GangNode(number, f"n{number}", "10.0.0.1", 4000 + number, "a") for number in range(2))
OTHERS = tuple(replace(node, run="b") for node in NODES)
SEEN = (replace(NODES[0], task_id="t1", agent_id="S1"), NODES[1])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(tmp_path / "ledger.db", ManualClock(1000.0))
    one = Resources(cpus=1, memory_mb=1, disk_mb=1)
    request = JobRequest(
        name="n", user="u", uid=1, queue="q", working_directory="/w", wall_time_seconds=1, resources=one
    )
    found.accept(
        request, "true", snapshot="", cluster="c", key=lambda *_: JobKey("r", "e", "n"), source="test"
    )
    yield found
    found.close()


def test_an_attempt_has_one_gang_for_good(ledger: Ledger) -> None:
    assert ledger.gangs.of(1, 1) is None
    assert ledger.gangs.keep(1, 1, NODES) == Gang(NODES, "")
    assert ledger.gangs.keep(1, 1, OTHERS) == Gang(NODES, "")
    assert ledger.gangs.of(1, 1) == Gang(NODES, "")


def test_each_attempt_has_its_own(ledger: Ledger) -> None:
    ledger.gangs.keep(1, 1, NODES)
    assert ledger.gangs.keep(1, 2, OTHERS) == Gang(OTHERS, "")
    assert ledger.gangs.of(1, 1) == Gang(NODES, "")


def test_the_first_task_stays_the_first(ledger: Ledger) -> None:
    ledger.gangs.observe(1, 1, "t1", SEEN)
    assert ledger.gangs.of(1, 1) is None
    ledger.gangs.keep(1, 1, NODES)
    ledger.gangs.observe(1, 1, "t1", NODES)
    ledger.gangs.observe(1, 1, "t1", SEEN)
    ledger.gangs.observe(1, 1, "t2", OTHERS)
    assert ledger.gangs.of(1, 1) == Gang(SEEN, "t1")


def test_what_one_block_keeps_is_undone_with_it(ledger: Ledger) -> None:
    with suppress(ZeroDivisionError), ledger.together():
        assert ledger.gangs.keep(1, 1, NODES) == Gang(NODES, "")
        raise ZeroDivisionError
    assert ledger.gangs.of(1, 1) is None
