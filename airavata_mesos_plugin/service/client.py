"""The other end of the command socket, for `airavata-mesos` itself."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from airavata_mesos_plugin.errors import AiravataMesosError, ProtocolError, ServiceUnavailable
from airavata_mesos_plugin.service.people import COMMAND, Answer
from airavata_mesos_plugin.slurm import wire

TIMEOUT_SECONDS = 60.0


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

    def call(self, command: str, argv: Sequence[str]) -> Answer:
        """Run one command as its launcher would. Raises ServiceUnavailable when nobody answers."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(self._path))
            directory = os.getcwd()  # noqa: PTH109 - a text, as a launcher sends it
            connection.sendall(wire.encode_request(command, argv, directory, dict(os.environ)))
            with connection.makefile("rb") as stream:
                return _conversation(connection, stream)
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
            raise AiravataMesosError(answer.stderr.decode(errors="replace").strip())
        return answer


def _conversation(connection: socket.socket, stream: BinaryIO) -> Answer:
    stdout = stderr = b""
    while True:
        line = stream.readline(wire.LINE_LIMIT)
        letter, _, rest = line.strip().partition(b" ")
        numbers = [int(word) for word in rest.split() if word.isdigit()]
        if letter == b"X" and numbers:
            return Answer(stdout, stderr, numbers[0])
        if letter == b"O" and numbers:
            stdout += stream.read(numbers[0])
        elif letter == b"E" and numbers:
            stderr += stream.read(numbers[0])
        elif letter == b"F" and len(numbers) == 2:
            connection.sendall(_file(os.fsdecode(stream.read(numbers[0])), numbers[1]))
        elif not line:
            raise ConnectionResetError("it hung up before it had answered")
        else:
            raise ProtocolError(f"the daemon answers with {line!r}", advice="are both of the same release?")


def _file(path: str, limit: int) -> bytes:
    try:
        with Path(path or "/dev/stdin").open("rb") as stream:
            content = stream.read(limit)
    except OSError as error:
        return b"! %d\n" % (error.errno or 5)
    return b"D %d\n%b" % (len(content), content)
