"""The protocol between a command and the daemon, on a Unix socket. No I/O here: bytes in, bytes out.

The command begins::

    airavata-mesos 1 <bytes of argv> <bytes of cwd> <bytes of environ>\\n  and the three, joined without gaps

argv (its first word is the command's name) and environ (``NAME=value``) are lists joined by NUL. The
daemon answers with frames, each a line and then the bytes that it announces::

    O <n>\\n<bytes>           standard output
    E <n>\\n<bytes>           standard error
    F <n> <limit>\\n<path>    send that file's first <limit> bytes; no path means standard input
    A <n> <ms>\\n<argv>        after the end, pause and run again with these words (without the name)
    Q <n>\\n<text>            after the end, ask, and run again with the words whose answer was yes
    S <n> <size>\\n<both>      save a file, name and then bytes, before anything is shown
    X <code>\\n               the end, with the exit code

The text of a Q is a list joined by NUL: how many words the new call begins with, these words, then word
and question in turn. A command answers an F as follows.

and the command answers an F with ``D <n>\\n<bytes>``, or ``! <errno>\\n`` when it cannot be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.errors import ProtocolError
from airavata_mesos_plugin.slurm.session import Again, Questions, Result, SavedFile

VERSION = 1
LINE_LIMIT = 64
"""Bytes of a line without its newline."""

PART_LIMIT = 8 * 1024 * 1024
"""Bytes of argv, of cwd and of environ; Linux itself allows a process less than that."""

_GREETING = re.compile(rb"airavata-mesos ([0-9]{1,6}) ([0-9]{1,10}) ([0-9]{1,10}) ([0-9]{1,10})")
_ANSWER = re.compile(rb"D ([0-9]{1,10})|! ([0-9]{1,5})")


@dataclass(frozen=True)
class Request:
    """What a command sent first; texts decoded as file names are."""

    command: str
    argv: tuple[str, ...]  # without the command
    cwd: str
    environ: Mapping[str, str]


@dataclass(frozen=True)
class FileAnswer:
    """What came back for a file: its bytes, or the error number."""

    content: bytes = b""
    errno: int = 0

    def bytes_or_raise(self, path: str | None) -> bytes:
        """The content. Raises the OSError that the command met."""
        if self.errno:
            raise OSError(self.errno, os.strerror(self.errno), path)
        return self.content


class ServerSide:
    """Reads what one command sends, as it comes. Give every piece of input to `feed`.

    Before a file is asked for, call `expect_file`. All methods raise ProtocolError for what no command
    would send; the connection is of no use afterwards.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sizes: tuple[int, int, int] | None = None
        self._size: int | None = None  # of a file that is coming
        self._greeted = False
        self._file_limit: int | None = None

    def expect_file(self, limit: int) -> None:
        """Allow one answer of at most ``limit`` bytes."""
        self._file_limit = limit

    def feed(self, data: bytes) -> Request | FileAnswer | None:
        """The message that ``data`` completes; None while there is none."""
        self._buffer += data
        return self._answer() if self._greeted else self._request()

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", 0, LINE_LIMIT + 1)
        if end < 0:
            if len(self._buffer) > LINE_LIMIT:
                raise ProtocolError("a command sent a line that is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _request(self) -> Request | None:
        if self._sizes is None:
            line = self._line()
            if line is None:
                return None
            match = _GREETING.fullmatch(line)
            if match is None:
                raise ProtocolError("what connected is no command of this provider")
            if int(match[1]) != VERSION:
                raise ProtocolError(
                    f"the command speaks version {int(match[1])} of the protocol, not {VERSION}",
                    advice="install the commands again: airavata-mesos install-commands",
                )
            self._sizes = int(match[2]), int(match[3]), int(match[4])
            if max(self._sizes) > PART_LIMIT:
                raise ProtocolError(f"the command line or the environment has more than {PART_LIMIT} bytes")
        if len(self._buffer) < sum(self._sizes):
            return None
        parts = []
        for size in self._sizes:
            parts.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
        self._nothing_left()
        self._greeted = True
        command, *argv = (os.fsdecode(word) for word in parts[0].split(b"\0"))
        pairs = (os.fsdecode(word).partition("=") for word in parts[2].split(b"\0") if word)
        environ = {name: value for name, equals, value in pairs if equals}
        return Request(command, tuple(argv), os.fsdecode(parts[1]), environ)

    def _answer(self) -> FileAnswer | None:
        if self._file_limit is None:
            if self._buffer:
                raise ProtocolError("a command sent something that nobody asked for")
            return None
        if self._size is None:
            line = self._line()
            if line is None:
                return None
            match = _ANSWER.fullmatch(line)
            if match is None:
                raise ProtocolError("a command answered a file request with something else")
            if match[2] is not None:
                self._file_limit = None
                self._nothing_left()
                return FileAnswer(errno=int(match[2]) or 5)
            self._size = int(match[1])
            if self._size > self._file_limit:
                raise ProtocolError(f"a command sent {self._size} bytes where {self._file_limit} are allowed")
        if len(self._buffer) < self._size:
            return None
        content = bytes(self._buffer[: self._size])
        del self._buffer[: self._size]
        self._nothing_left()
        self._size = self._file_limit = None
        return FileAnswer(content)

    def _nothing_left(self) -> None:
        if self._buffer:
            raise ProtocolError("a command sent more than it had announced")


def encode_request(command: str, argv: Sequence[str], cwd: str, environ: Mapping[str, str]) -> bytes:
    """The first message of a command."""
    words = b"\0".join(os.fsencode(word) for word in (command, *argv))
    pairs = b"\0".join(os.fsencode(f"{name}={value}") for name, value in environ.items())
    directory = os.fsencode(cwd)
    return b"airavata-mesos %d %d %d %d\n%b%b%b" % (
        VERSION,
        len(words),
        len(directory),
        len(pairs),
        words,
        directory,
        pairs,
    )


def encode_file_request(path: str | None, limit: int) -> bytes:
    """Ask for a file (None: standard input)."""
    name = os.fsencode(path or "")
    return b"F %d %d\n%b" % (len(name), limit, name)


def encode_output(
    stdout: bytes, stderr: bytes = b"", exit_code: int | None = None, then: bytes = b""
) -> bytes:
    """The end of a conversation, or a part of it without an exit code. ``then`` is a frame that says what
    the command does afterwards.
    """
    frames = [
        b"%b %d\n%b" % (letter, len(data), data) for letter, data in ((b"E", stderr), (b"O", stdout)) if data
    ]
    end = b"" if exit_code is None else b"X %d\n" % (exit_code & 255)
    return b"".join([*frames, then, end])


def encode_result(result: Result) -> bytes:
    """The end of a conversation, from what a command gave."""
    stdout, stderr = (_bytes(text) for text in (result.stdout, result.stderr))
    return encode_output(stdout, stderr, result.exit_code, _then(result.then))


def _then(then: Again | Questions | SavedFile | None) -> bytes:
    if isinstance(then, Again):
        words = b"\0".join(_bytes(word) for word in then.argv)
        return b"A %d %d\n%b" % (len(words), int(then.seconds * 1000), words)
    if isinstance(then, Questions):
        pairs = [text for pair in then.asked for text in pair]
        text = b"\0".join(_bytes(word) for word in (str(len(then.argv)), *then.argv, *pairs))
        return b"Q %d\n%b" % (len(text), text)
    if isinstance(then, SavedFile):
        name, content = _bytes(then.name), _bytes(then.content)
        return b"S %d %d\n%b%b" % (len(name), len(content), name, content)
    return b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
