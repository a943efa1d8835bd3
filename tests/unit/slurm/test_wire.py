"""The protocol between command and daemon, in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import ProtocolError
from airavata_mesos_plugin.slurm import wire
from airavata_mesos_plugin.slurm.session import Result

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_characters="\0=", exclude_categories=["Cs"]), min_size=1)


@given(
    command=st.sampled_from(["sbatch", "squeue"]),
    argv=st.lists(words),
    cwd=words,
    environ=st.dictionaries(names, words),
    piece=st.integers(min_value=1, max_value=40),
)
def test_a_request_comes_back(
    command: str, argv: list[str], cwd: str, environ: dict[str, str], piece: int
) -> None:
    data = wire.encode_request(command, argv, cwd, environ)
    side = wire.ServerSide()
    messages = [side.feed(data[at : at + piece]) for at in range(0, len(data), piece)]
    assert messages[-1] == wire.Request(command, tuple(argv), cwd, environ)
    assert not any(messages[:-1])


@given(content=st.binary(max_size=100), piece=st.integers(min_value=1, max_value=40))
def test_a_file_comes_back(content: bytes, piece: int) -> None:
    side = wire.ServerSide()
    side.feed(wire.encode_request("sbatch", [], "/", {}))
    for _ in range(2):
        side.expect_file(100)
        data = b"D %d\n%b" % (len(content), content)
        messages = [side.feed(data[at : at + piece]) for at in range(0, len(data), piece)]
        assert messages[-1] == wire.FileAnswer(content)


def test_an_error_comes_back() -> None:
    side = wire.ServerSide()
    side.feed(wire.encode_request("sbatch", [], "/", {}))
    side.expect_file(10)
    answer = side.feed(b"! 2\n")
    assert isinstance(answer, wire.FileAnswer)
    with pytest.raises(FileNotFoundError, match="d\\.sh"):
        answer.bytes_or_raise("d.sh")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"x" * 100,
        b"airavata-mesos 1 1 1\n",
        b"airavata-mesos 1 -1 1 1\n",
        b"airavata-mesos 2 1 1 1\n",
        b"airavata-mesos 1 1 1 9999999999\n",
        wire.encode_request("squeue", [], "/", {}) + b"more",
    ],
)
def test_what_is_no_command(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.ServerSide().feed(data)


@pytest.mark.parametrize("data", [b"D 11\n", b"E 1\nx", b"D x\n", b"D 1\nxy", b"! 2\n!", b"d" * 100])
def test_wrong_answers(data: bytes) -> None:
    side = wire.ServerSide()
    side.feed(wire.encode_request("sbatch", [], "/", {}))
    side.expect_file(10)
    with pytest.raises(ProtocolError):
        side.feed(data)


def test_answers_that_nobody_asked_for() -> None:
    side = wire.ServerSide()
    side.feed(wire.encode_request("sbatch", [], "/", {}))
    with pytest.raises(ProtocolError, match="nobody asked"):
        side.feed(b"D 1\nx")


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        wire.ServerSide().feed(data)
    except ProtocolError as error:
        assert error.message  # noqa: PT017 - either outcome is good


def test_results() -> None:
    assert wire.encode_result(Result("a\u00e4\udcff", "e\n", 255)) == b"E 2\ne\nO 4\na\xc3\xa4\xffX 255\n"
    assert wire.encode_result(Result()) == b"X 0\n"
    assert wire.encode_file_request(None, 5) == b"F 0 5\n"
