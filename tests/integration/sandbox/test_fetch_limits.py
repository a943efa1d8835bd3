"""Limits, free space, and sources that lie about sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.errors import TransferError
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.outputs.placing import Place
from airavata_mesos_plugin.sandbox.outputs.plan import SPARE_BYTES
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.source import Entry
from tests.support.tree_source import TREE, TreeSource

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent

EMPTY = Snapshot(taken_at=1.7e9)
MIB = 1024 * 1024


def names(working: Path) -> set[str]:
    return {path.name for path in working.iterdir() if not path.name.startswith(".airavata-manifest")}


def free(mocker: MockerFixture, size: int) -> None:
    mocker.stopall()
    mocker.patch.object(Place, "free_bytes", autospec=True, return_value=SPARE_BYTES + size)


def test_a_full_disk_takes_the_small_files_first(
    fetcher: Fetcher, source: TreeSource, working: Path, mocker: MockerFixture
) -> None:
    for name, size in (("a", 10), ("b", 3 * MIB), ("c", 20), ("job.out", MIB)):
        (source.root / name).write_bytes(b"x" * size)
    free(mocker, MIB + 25)
    rules = OutputRules(essential=frozenset({"job.out"}))
    with pytest.raises(TransferError, match=f"no room for 2 outputs with {3 * MIB + 20} bytes"):
        fetcher.fetch(TREE, working, EMPTY, job_id=1, rules=rules)
    assert names(working) == {"a", "job.out"}
    free(mocker, 3 * MIB + 20)
    source.asked.clear()
    assert fetcher.fetch(TREE, working, EMPTY, job_id=1, rules=rules).files == 2
    assert set(source.asked) == {("b", 0), ("c", 0)}
    assert names(working) == {"a", "b", "c", "job.out"}


def test_what_is_begun_needs_room_for_its_rest_only(
    fetcher: Fetcher, source: TreeSource, working: Path, mocker: MockerFixture
) -> None:
    (source.root / "big").write_bytes(b"x" * 4 * MIB)
    source.breaks = {"big": 3 * MIB}
    with pytest.raises(TransferError, match="broke"):
        fetcher.fetch(TREE, working, EMPTY, job_id=1)
    source.breaks = {}
    free(mocker, MIB)
    assert fetcher.fetch(TREE, working, EMPTY, job_id=1).bytes == MIB


def test_limits_are_told(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    for name, size in (("a", 10), ("b", 20), ("c", 30), ("d", 4000)):
        (source.root / name).write_bytes(b"x" * size)
    rules = OutputRules(exclude=(("a",),), file_bytes=1000, total_bytes=40)
    report = fetcher.fetch(TREE, working, EMPTY, job_id=1, rules=rules)
    assert names(working) == {"b"}
    assert (report.excluded, report.left_out_count) == (1, 2)
    assert dict(report.left_out) == {
        "c": "over the 40 bytes that all files of a job may have together",
        "d": "4000 bytes, more than the 1000 that one file may have",
    }


def test_an_agent_that_lists_terabytes(
    agent: Agent, sandbox: Path, working: Path, fetcher: Fetcher, entry: Callable[..., bytes]
) -> None:
    (sandbox / "small").write_text("small")
    path = agent.address.path
    body = b"[" + entry(f"{path}/huge", size=2**62) + b"," + entry(f"{path}/small", size=5) + b"]"
    agent.faults["browse", ""] = lambda handler: handler.answer(200, body)
    with pytest.raises(TransferError, match=f"no room for 1 outputs with {2**62} bytes"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert names(working) == {"small"}
    assert ("download", "huge") not in agent.calls


def test_an_agent_that_sends_terabytes_instead_of_a_byte(
    agent: Agent, sandbox: Path, working: Path, fetcher: Fetcher
) -> None:
    (sandbox / "out").write_text("x")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\n"
    agent.faults["download", "out"] = lambda handler: handler.raw(head + b"x" * 1000)
    with pytest.raises(TransferError, match="no room for the 9000000000000000 bytes of out; 1 were listed"):
        fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert names(working) == set()


def test_a_file_that_has_grown_over_the_limit(
    agent: Agent, sandbox: Path, working: Path, fetcher: Fetcher, entry: Callable[..., bytes]
) -> None:
    (sandbox / "out").write_text("x" * 100)
    body = b"[" + entry(f"{agent.address.path}/out", size=5) + b"]"
    agent.faults["browse", ""] = lambda handler: handler.answer(200, body)
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1, rules=OutputRules(file_bytes=50))
    assert dict(report.left_out) == {"out": "100 bytes, more than the 50 that one file may have"}
    assert names(working) == set()
    report = fetcher.fetch(agent.address, working, EMPTY, job_id=1)
    assert (report.files, report.bytes, report.left_out) == (1, 100, ())


def test_impossible_sizes_and_times(fetcher: Fetcher, source: TreeSource, working: Path) -> None:
    (source.root / "good").touch()
    source.extra = [
        Entry("negative", "-", -1, 1, 0o644, 1),
        Entry("late", "-", 1, 10**30, 0o644, 1),
        Entry("early", "d", 1, -(10**30), 0o755, 1),
    ]
    report = fetcher.fetch(TREE, working, EMPTY, job_id=1)
    why = "listed with an impossible size or time"
    assert dict(report.left_out) == dict.fromkeys(("negative", "late", "early"), why)
    assert names(working) == {"good"}


def test_a_report_names_a_thousand_files_and_counts_the_others(
    fetcher: Fetcher, source: TreeSource, working: Path
) -> None:
    source.extra = [Entry(f"pipe-{number}", "p", 0, 1, 0o644, 1) for number in range(1500)]
    report = fetcher.fetch(TREE, working, EMPTY, job_id=1)
    assert (len(report.left_out), report.left_out_count) == (1000, 1500)
    assert names(working) == set()
