"""Following a file of an agent over a real connection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airavata_mesos_plugin.errors import NotFound, Refused, TransferError
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.live.tail import Tail
from airavata_mesos_plugin.sandbox.live.windows import PIECE, AgentWindow, SourceWindow, Window
from airavata_mesos_plugin.sandbox.sources import Sources

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent, Handler

LIMIT = 1024 * 1024


@pytest.fixture
def window(agent: Agent, client: FilesClient) -> Window:
    return AgentWindow(client, agent.address)


def test_bytes_come_as_they_are_written(window: Window, sandbox: Path) -> None:
    tail = Tail(window, "out", rotated=False)
    mark = tail.begin()
    got = b""
    accent = "é".encode()
    # A piece ends in the middle of a character, and some bytes are no text at all.
    pieces = [b"one ", accent[:1], accent[1:], b"x" * (PIECE - 1) + "€".encode(), bytes(range(256)) * 999]
    for piece in pieces:
        with (sandbox / "out").open("ab") as file:
            file.write(piece)
        step = tail.step(mark, LIMIT)
        mark, got = step.mark, got + step.data
    assert got == b"".join(pieces)
    assert tail.step(mark, LIMIT).data == b""


def test_rotation_between_two_questions_of_one_look(agent: Agent, window: Window, sandbox: Path) -> None:
    logs = sandbox / ".logs" / "run" / "0"
    logs.mkdir(parents=True)
    out = logs / "stdout"
    out.write_bytes(b"one " * 500)
    tail = Tail(window, ".logs/run/0/stdout", rotated=True)
    step = tail.step(tail.begin(), LIMIT)
    moved: list[int] = []

    def rotate(_: Handler) -> bool:
        if not moved:
            moved.append(1)
            with out.open("ab") as file:
                file.write(b"rest ")
            out.rename(logs / "stdout.1")
            out.write_bytes(b"two " * 1000)
        return False

    agent.faults["read", ".logs/run/0/stdout"] = rotate
    after = tail.step(step.mark, LIMIT)
    assert after.data == b"rest " + b"two " * 1000
    assert after.notes == ()
    assert moved


def test_a_large_file_with_holes(window: Window, sandbox: Path) -> None:
    with (sandbox / "out").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, 2)
        file.write(b"the end")
    tail = Tail(window, "out", rotated=False)
    step = tail.step(tail.mark_before_end(size=10), LIMIT)
    assert (step.data, step.mark.offset) == (b"\0\0\0the end", (1 << 40) + 7)


def test_a_file_that_never_comes(window: Window) -> None:
    tail = Tail(window, "none/out", rotated=False)
    step = tail.step(tail.begin(), LIMIT)
    assert (step.data, step.at_end) == (b"", True)


def test_a_failing_agent_is_told(agent: Agent, window: Window) -> None:
    agent.faults["read", "out"] = lambda handler: handler.answer(500, b"")
    tail = Tail(window, "out", rotated=False)
    with pytest.raises(TransferError):
        tail.step(tail.begin(), LIMIT)


def test_a_source_without_pieces_says_what_is_there(agent: Agent, client: FilesClient, sandbox: Path) -> None:
    (sandbox / "out").write_bytes(b"12345")
    with Sources(client).open(agent.address) as source:
        window = SourceWindow(source)
        assert window.size("out") == 5
        assert {name: seen.size for name, seen in window.files("").items()} == {"out": 5}
        with pytest.raises(NotFound, match=r"no\\nsuch"):
            window.size("no\nsuch")
        with pytest.raises(Refused, match="piece by piece"):
            window.read("out", 0, 1)
