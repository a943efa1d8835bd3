"""Following a file that grows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import TransferError
from airavata_mesos_plugin.sandbox.files_api import FilesClient
from airavata_mesos_plugin.sandbox.tail import follow

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent


class Script(ManualClock):
    """A clock that does the next step of a story at each wait."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self.steps = list(steps)
        self.waited: list[float] = []

    def over(self) -> bool:
        return not self.steps

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.steps.pop(0)()
        return super().wait(event, seconds)


def append(path: Path, data: bytes) -> Callable[[], object]:
    def write() -> None:
        with path.open("ab") as file:
            file.write(data)

    return write


def test_bytes_come_as_they_are_written(agent: Agent, client: FilesClient, sandbox: Path) -> None:
    out = sandbox / "out"
    accent = "é".encode()
    clock = Script(
        append(out, b"one "),
        append(out, accent[:1]),
        append(out, accent[1:]),
        lambda: None,
        append(out, b"x" * 200_000),
        append(out, b"end"),
    )
    got = b"".join(follow(client, agent.address, "out", clock, clock.over, 2.5))
    assert got == b"one " + accent + b"x" * 200_000 + b"end"
    assert clock.waited == [2.5] * 6


def test_a_file_that_started_anew_is_given_from_its_beginning(
    agent: Agent, client: FilesClient, sandbox: Path
) -> None:
    out = sandbox / "out"
    out.write_bytes(b"first run")
    clock = Script(lambda: out.write_bytes(b"2nd"))
    assert list(follow(client, agent.address, "out", clock, clock.over, 1)) == [b"first run", b"2nd"]


def test_going_on_at_an_offset(agent: Agent, client: FilesClient, sandbox: Path) -> None:
    (sandbox / "out").write_bytes(b"0123456789")
    clock = Script()
    assert list(follow(client, agent.address, "out", clock, clock.over, 1, offset=7)) == [b"789"]


def test_a_file_that_never_comes(agent: Agent, client: FilesClient) -> None:
    clock = Script(lambda: None)
    assert list(follow(client, agent.address, "out", clock, clock.over, 1)) == []


def test_cancel_ends_it_before_the_task_is_over(agent: Agent, client: FilesClient, sandbox: Path) -> None:
    (sandbox / "out").write_bytes(b"x")
    cancel = threading.Event()
    clock = Script(cancel.set, lambda: None)
    assert list(follow(client, agent.address, "out", clock, clock.over, 1, cancel=cancel)) == [b"x"]
    assert len(clock.steps) == 1


def test_a_failing_agent_is_told(agent: Agent, client: FilesClient) -> None:
    agent.faults["read", "out"] = lambda handler: handler.answer(500, b"")
    clock = Script()
    with pytest.raises(TransferError):
        list(follow(client, agent.address, "out", clock, clock.over, 1))
