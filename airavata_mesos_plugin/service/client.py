"""The other end of the command socket, for `airavata-mesos` itself."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, ProtocolError, ServiceUnavailable
from airavata_mesos_plugin.service.answers import COMMAND, NOT_FOUND, Answer
from airavata_mesos_plugin.slurm import wire

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Followed:
    """A piece of a file that somebody follows. ``notes`` are to be read before ``data``."""

    data: bytes
    cursor: str
    over: bool
    notes: list[str]
    trouble: str  # why there is nothing now, although there may be later


class DaemonClient:
    """Calls the daemon of one home directory. Holds no connection between calls."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, *argv: str) -> Any:
        """The document that the daemon answers. Raises AiravataMesosError with the daemon's words."""
        return json.loads(self._people(argv).stdout)

    def read(self, job_id: int, name: str, offset: int) -> tuple[bytes, int, bool]:
        """Bytes of an output file from ``offset`` on, the offset after them, and whether that was all."""
        answer = self._people(("read", str(job_id), name, str(offset)))
        told = json.loads(answer.stderr)
        return answer.stdout, int(told["offset"]), bool(told["over"])

    def follow(self, job_id: int, name: str, cursor: str) -> Followed:
        """What comes after ``cursor`` in a file of a job; the empty cursor is the beginning."""
        answer = self._people(("follow", str(job_id), name, cursor))
        told = json.loads(answer.stderr)
        notes = [str(note) for note in told["notes"]]
        return Followed(answer.stdout, str(told["cursor"]), bool(told["over"]), notes, str(told["trouble"]))

    def stream(self, *argv: str) -> Iterator[bytes]:
        """The bytes of an answer as they come. Raises AiravataMesosError when not all of them did."""
        with self._connected(COMMAND, argv) as (_, stream):
            said = b""
            for letter, data in _frames(stream):
                if letter == b"O":
                    yield data
                elif letter == b"E":
                    said = data
                elif letter == b"X" and data != b"0":
                    raise _error(int(data), said)

    def call(self, command: str, argv: Sequence[str]) -> Answer:
        """Run one command as its launcher would. Raises ServiceUnavailable when nobody answers."""
        with self._connected(command, argv) as (connection, stream):
            return _conversation(connection, stream)

    @contextlib.contextmanager
    def _connected(self, command: str, argv: Sequence[str]) -> Iterator[tuple[socket.socket, BinaryIO]]:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(self._path))
            directory = os.getcwd()  # noqa: PTH109 - a text, as a launcher sends it
            connection.sendall(wire.encode_request(command, argv, directory, dict(os.environ)))
            with connection.makefile("rb") as stream:
                yield connection, stream
        except OSError as error:
            raise ServiceUnavailable(
                f"the provider daemon does not answer at {self._path}: {error.strerror or error}",
                advice="start it with: airavata-mesos serve",
            ) from error
        finally:
            connection.close()

    def _people(self, argv: Sequence[str]) -> Answer:
        answer = self.call(COMMAND, argv)
        if answer.exit_code:
            raise _error(answer.exit_code, answer.stderr)
        return answer


def _conversation(connection: socket.socket, stream: BinaryIO) -> Answer:
    said = {b"O": b"", b"E": b""}
    for letter, data in _frames(stream):
        if letter == b"X":
            return Answer(said[b"O"], said[b"E"], int(data))
        if letter == b"F":
            limit, _, name = data.partition(b" ")
            connection.sendall(_file(os.fsdecode(name), int(limit)))
        else:
            said[letter] += data
    raise AssertionError("the frames end with an X")


def _error(code: int, said: bytes) -> AiravataMesosError:
    kind = NotFound if code == NOT_FOUND else AiravataMesosError
    return kind(said.decode(errors="replace").strip())


def _frames(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Letter and bytes of each frame up to the X, whose bytes are the exit code. Those of an F are the limit,
    a blank and the name.
    """
    letter = b""
    while letter != b"X":
        line = stream.readline(wire.LINE_LIMIT)
        letter, _, rest = line.strip().partition(b" ")
        numbers = [int(word) for word in rest.split() if word.isdigit()]
        if letter == b"X" and numbers:
            yield letter, b"%d" % numbers[0]
        elif letter in (b"O", b"E") and numbers:
            yield letter, _whole(stream, numbers[0])
        elif letter == b"F" and len(numbers) == 2:
            yield letter, b"%d %b" % (numbers[1], _whole(stream, numbers[0]))
        elif not line:
            raise ConnectionResetError("it hung up before it had answered")
        else:
            raise ProtocolError(f"the daemon answers with {line!r}", advice="are both of the same release?")


def _whole(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionResetError("it hung up in the middle of its answer")
    return data


def _file(path: str, limit: int) -> bytes:
    try:
        with Path(path or "/dev/stdin").open("rb") as stream:
            content = stream.read(limit)
    except OSError as error:
        return b"! %d\n" % (error.errno or 5)
    return b"D %d\n%b" % (len(content), content)
