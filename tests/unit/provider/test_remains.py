"""What is believed of the sandbox of a job whose ledger was lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, SandboxGone, Unreachable
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.provider.remains import nodes_of, to_be_fetched
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.schedulers.base import SandboxAddress, Scheduler, TaskObservation
from airavata_mesos_plugin.store.gangs import GangNode
from airavata_mesos_plugin.testing.scripted import ScriptedScheduler
from airavata_mesos_plugin.testing.stage import ProviderStage

MakeProvider = Callable[..., ProviderStage]
STARTED = 1000.0


class Seen:
    """A job, its task, and an agent that a test speaks for."""

    def __init__(self, stage: ProviderStage, mocker: MockerFixture, stdout: str = "out") -> None:
        self.client = mocker.create_autospec(FilesClient, instance=True, spec_set=True)
        self.record: JobRecord = stage.job(stage.submit(nodes=2, tasks=2, stdout=stdout))
        self.work = Path(self.record.request.working_directory)
        self.scheduler = mocker.create_autospec(Scheduler, instance=True)
        self.task = TaskObservation(
            self.record.key, "T1", "TASK_FINISHED", JobPhase.COMPLETED, 0, STARTED + 9, queued_at=STARTED
        )
        address = {self.record.key: SandboxAddress("http://agent", "/sandbox")}
        self.scheduler.sandboxes.return_value = address
        schedulers = {self.record.cluster: self.scheduler}
        self.parts: Parts = replace(stage.parts, files=self.client, schedulers=schedulers)

    def fetchable(self) -> bool:
        request = self.record.request
        files = self.parts.files_of(request.uid)
        snapshot = files.take_snapshot(request.working_directory, 2000.0, set())
        return to_be_fetched(self.parts, self.record, self.task, snapshot)

    def wrote(self, name: str, at: float) -> None:
        (self.work / name).write_text("said\n")
        os.utime(self.work / name, (at, at))

    def noted(self, content: object) -> tuple[GangNode, ...] | None:
        """What is made of a list that the agent gives in pieces of ten bytes."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()

        def read(_: SandboxAddress, name: str, offset: int, __: int) -> bytes:
            assert name == f"{layout.CONTROL_DIRECTORY}/nodes"
            return data[offset : offset + 10]

        self.client.read.side_effect = read
        return nodes_of(self.parts, self.record, self.task)


@pytest.fixture
def seen(make_provider: MakeProvider, scripted_scheduler: ScriptedScheduler, mocker: MockerFixture) -> Seen:
    return Seen(make_provider(scripted_scheduler, queues={"max_nodes": 8}), mocker)


def test_outputs_that_are_not_there_are_to_be_fetched(seen: Seen) -> None:
    assert seen.fetchable()
    seen.wrote("out", STARTED - 50)  # it came with the inputs
    assert seen.fetchable()


def test_outputs_that_are_there_are_not_fetched_over_what_became_of_them(seen: Seen) -> None:
    seen.wrote("out", STARTED)
    assert not seen.fetchable()
    assert not seen.client.browse.called  # which would cost a call for each job of the last days


def test_without_standard_output_any_new_file_will_do(
    make_provider: MakeProvider, scripted_scheduler: ScriptedScheduler, mocker: MockerFixture
) -> None:
    silent = Seen(make_provider(scripted_scheduler, queues={"max_nodes": 8}), mocker, "/dev/null")
    silent.wrote("input", STARTED - 50)
    assert silent.fetchable()
    silent.wrote("result", STARTED)
    assert not silent.fetchable()


def test_a_fetch_that_was_broken_off_goes_on(seen: Seen) -> None:
    seen.wrote("out", STARTED)
    (seen.work / layout.manifest_name(seen.record.id)).write_text("{}")
    assert seen.fetchable()


@pytest.mark.parametrize(
    ("error", "fetchable"), [(SandboxGone("collected"), False), (Unreachable("no route"), True)]
)
def test_what_agents_say(seen: Seen, error: AiravataMesosError, fetchable: bool) -> None:
    seen.client.browse.side_effect = error
    assert seen.fetchable() is fetchable


def test_without_an_agent_there_is_nothing_to_fetch(seen: Seen) -> None:
    seen.scheduler.sandboxes.return_value = {}
    assert not seen.fetchable()


def test_agents_that_send_are_not_asked(
    make_provider: MakeProvider, scripted_scheduler: ScriptedScheduler, mocker: MockerFixture
) -> None:
    queue = {"max_nodes": 8, "outputs": {"method": "push"}}
    sending = Seen(make_provider(scripted_scheduler, queues=queue), mocker)
    assert not sending.fetchable()
    assert not sending.client.browse.called


NODES = [
    {"number": 0, "name": "one", "address": "10.0.0.1", "port": 4000},
    {"number": 1, "name": "two", "address": "10.0.0.2", "port": 4001},
]


def test_the_nodes_that_the_first_one_has_noted(seen: Seen) -> None:
    assert seen.noted(NODES) == (
        GangNode(0, "one", "10.0.0.1", 4000, ""),
        GangNode(1, "two", "10.0.0.2", 4001, ""),
    )


NO_LISTS: list[object] = [
    b"",
    b"{",
    b"[" * 100_000,
    b"\xff",
    [],
    {},
    NODES[:1],
    [*NODES, {**NODES[1], "number": 2}],
    NODES[::-1],
    [NODES[0], NODES[0]],
    [NODES[0], 7],
    [NODES[0], {**NODES[1], "name": "a b"}],
    [NODES[0], {**NODES[1], "address": "two.example"}],
    [NODES[0], {**NODES[1], "port": 0}],
    [NODES[0], {"number": 1}],
]


def test_what_is_no_list_of_the_nodes(seen: Seen) -> None:
    assert [content for content in NO_LISTS if seen.noted(content) is not None] == []


def test_a_list_without_end_is_not_read_to_its_end(seen: Seen) -> None:
    seen.client.read.side_effect = lambda *_: b" " * 65536
    assert nodes_of(seen.parts, seen.record, seen.task) is None
    assert seen.client.read.call_count < 100


def test_nodes_that_cannot_be_asked_for(seen: Seen) -> None:
    for error in (NotFound("not yet"), SandboxGone("gone"), Unreachable("no route")):
        seen.client.read.side_effect = error
        assert nodes_of(seen.parts, seen.record, seen.task) is None
