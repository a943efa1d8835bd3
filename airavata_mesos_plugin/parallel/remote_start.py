"""``remote-start [options] NODE COMMAND...``: what mpirun and srun start commands on other nodes with.

It is called like ssh, whose options without meaning here are skipped: the words of the command become one
line for the shell of the node. With ``--exec`` they stay words, and lines of output are never torn. The
environment of the caller goes along.

Exit code: that of the command, 128 + n if signal n ended it, 255 if it could not be started.
"""

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Dict, List, NamedTuple, Optional

from . import wire
from .gang import PLACE, Gang, Node, read_gang, read_nodes

CONNECT_SECONDS = 30.0
FAILURE = 255
LONGEST_LINE = 65536
"""Bytes; a longer line is passed on in pieces."""

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_SSH_WITH_VALUE = frozenset("BbcDEeFIiJLlmOopQRSWw")
_PIECE = 65536


class Call(NamedTuple):
    """What the command line asks for."""

    node: str
    words: List[str]
    exactly: bool  # the words are the arguments, not a line for a shell


class Trouble(Exception):
    """It cannot be done; the text says why."""


def parse(arguments: List[str]) -> Call:
    """Raises Trouble."""
    left = list(arguments)
    exactly = False
    while left and left[0].startswith("-"):
        option = left.pop(0)
        if option == "--":
            break
        if option == "--exec":
            exactly = True
        elif len(option) == 2 and option[1] in _SSH_WITH_VALUE and left:
            left.pop(0)
    if len(left) < 2:
        raise Trouble("usage: remote-start [options] node command...")
    return Call(left[0], left[1:], exactly)


def run(control: Path, arguments: List[str]) -> int:
    """Carry out one call. Says on stderr why when it cannot be done."""
    try:
        call = parse(arguments)
        gang, node = _find(control, call.node)
        channel = _connect(gang, node)
    except Trouble as error:
        return _complain(str(error))
    argv = call.words if call.exactly else ["/bin/sh", "-c", " ".join(call.words)]
    request = {"argv": argv, "directory": _directory(control), "environment": dict(os.environ)}
    try:
        channel.send(wire.RUN, json.dumps(request).encode("utf-8"))
    except ValueError:
        return _complain("the environment is too large to be sent to node {}".format(node.name))
    except wire.Lost as error:
        return _complain("node {}: {}".format(node.name, error))
    _forward_signals(channel)
    threading.Thread(target=_send_input, args=(channel,), daemon=True).start()
    return _take(channel, node, call)


def _find(control: Path, name: str) -> "tuple[Gang, Node]":
    try:
        gang, nodes = read_gang(control), read_nodes(control)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Trouble("this is no parallel job, or nodes are missing: {}".format(error)) from error
    bare = name.rpartition("@")[2]
    for node in nodes:
        if bare in (node.name, node.address):
            return gang, node
    known = ", ".join(node.name for node in nodes)
    raise Trouble("{} is no node of job {}, which has {}".format(bare, gang.job_id, known))


def _connect(gang: Gang, node: Node) -> wire.Channel:
    try:
        connection = socket.create_connection((node.address, node.port), CONNECT_SECONDS)
        return wire.greet(connection, gang.secret, node.number)
    except OSError as error:
        raise Trouble("node {} cannot be reached: {}".format(node.name, error.strerror or error)) from error
    except (wire.Lost, wire.Forged) as error:
        raise Trouble("node {}: {}".format(node.name, error)) from error


def _directory(control: Path) -> str:
    """Where we are, in the words that all nodes understand."""
    here = os.getcwd()
    told = os.environ.get("PWD", "")
    try:
        if told and os.path.samefile(told, here):
            here = told
    except OSError:
        pass  # PWD is something else
    sandbox = str(control.resolve().parent)
    try:
        place = (control / PLACE).read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
    except OSError:
        return here
    if here == sandbox or here.startswith(sandbox + "/"):
        return place + here[len(sandbox) :]
    return here


def _forward_signals(channel: wire.Channel) -> None:
    def forward(number: int, _frame: Optional[FrameType]) -> None:
        try:
            channel.send(wire.SIGNAL, str(number).encode("ascii"))
        except wire.Lost:
            pass  # `_take` meets it too

    for number in _FORWARDED:
        signal.signal(number, forward)


def _send_input(channel: wire.Channel) -> None:
    try:
        while True:
            try:
                piece = os.read(0, _PIECE)
            except OSError:
                piece = b""
            channel.send(wire.STDIN, piece)
            if not piece:
                return
    except wire.Lost:
        return  # `_take` meets it too


def _take(channel: wire.Channel, node: Node, call: Call) -> int:
    outputs: Dict[bytes, _Output] = {
        wire.STDOUT: _Output(sys.stdout.buffer, call.exactly),
        wire.STDERR: _Output(sys.stderr.buffer, call.exactly),
    }
    try:
        while True:
            kind, payload = channel.receive()
            if kind in outputs:
                outputs[kind].write(payload)
            elif kind == wire.EXIT:
                for output in outputs.values():
                    output.finish()
                code = int(payload)
                return 128 - code if code < 0 else code
            elif kind == wire.FAILED:
                return _complain(
                    "node {} cannot start {}: {}".format(node.name, call.words[0], payload.decode("utf-8"))
                )
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except (wire.Lost, wire.Forged) as error:
        return _complain("node {}: {}".format(node.name, error))


class _Output:
    """One stream. Whole lines only if asked for, so that those of several commands do not mix."""

    def __init__(self, file: BinaryIO, by_lines: bool) -> None:
        self._file = file
        self._by_lines = by_lines
        self._rest = b""

    def write(self, piece: bytes) -> None:
        if self._by_lines:
            piece = self._rest + piece
            end = len(piece) if len(piece) > LONGEST_LINE else piece.rfind(b"\n") + 1
            piece, self._rest = piece[:end], piece[end:]
        self._put(piece)

    def finish(self) -> None:
        self._put(self._rest)
        self._rest = b""

    def _put(self, piece: bytes) -> None:
        # One call of the system for all of it: that is what keeps lines whole in a file open for appending.
        self._file.write(piece)
        self._file.flush()


def _complain(text: str) -> int:
    print("airavata-mesos: {}".format(text), file=sys.stderr)
    return FAILURE
