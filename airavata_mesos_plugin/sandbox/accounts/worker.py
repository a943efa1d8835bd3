"""The process that works on one account's files for a daemon of root.

It is a fresh interpreter that imports all it needs, is told who it is, becomes that account for good, and
then gets a connected socket for each request over the one that it was started with. A request and its
answer are frames of `wire`. The process ends when the daemon does, or after idle time.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - otherwise loaded when we may not read it any more
import contextlib
import encodings.idna  # noqa: F401 - the same, by the first look-up of a host
import errno
import json
import os
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from typing import Any

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import AiravataMesosError, StagingError
from airavata_mesos_plugin.sandbox.accounts import wire
from airavata_mesos_plugin.sandbox.accounts.own_files import OwnFiles
from airavata_mesos_plugin.sandbox.accounts.relay import SOCKET_DETAIL, SOCKETS, open_relayed
from airavata_mesos_plugin.sandbox.accounts.report import encode_report
from airavata_mesos_plugin.sandbox.accounts.rights import Identity, become
from airavata_mesos_plugin.sandbox.agent.relayed import RELAYED, open_relayed_agent
from airavata_mesos_plugin.sandbox.inputs.archive import Member
from airavata_mesos_plugin.sandbox.live import local_listing
from airavata_mesos_plugin.sandbox.origins import SFTP
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, Progress
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.sandbox.sources import Opener
from airavata_mesos_plugin.schedulers.base import SandboxAddress

ALIVE_SECONDS = 1.0
"""Between two signs of life while a request is worked on."""

IDLE_SECONDS = 600.0
"""How long the process waits for the next request."""

FIRST_MESSAGE_LIMIT = 1024 * 1024

_TRACE_LIMIT = 4000  # characters of a traceback that the daemon's log gets


class Worker:
    """Answers requests, each on a socket and a thread of its own."""

    def __init__(self, files: OwnFiles) -> None:
        self._files = files
        self._answers: dict[str, Callable[[wire.Frame, _Stream], None]] = {
            "examine": self._examine,
            "real_path": self._real_path,
            "read": self._read,
            "list": self._list,
            "snapshot": self._snapshot,
            "changed": self._changed,
            "archive": self._archive,
            "fetch": self._fetch,
            "give_up": self._give_up,
            "receive": self._receive,
            "discard": self._discard,
        }

    def serve(self, connection: socket.socket, relay: Sequence[int] = ()) -> None:
        """Answer the one request that comes on ``connection``, and close it. Raises nothing.

        ``relay`` holds descriptors of sockets that the daemon answers questions on.
        """
        with connection:
            stream = _Stream(connection, relay)
            with contextlib.suppress(OSError):  # the daemon has hung up, so nobody wants the answer
                try:
                    request = wire.Receiver(connection).receive()
                    self._answers[request.kind](request, stream)
                except wire.PeerGone:
                    raise
                except AiravataMesosError as error:
                    name, text = type(error).__name__, error.message
                    stream.send({"kind": "error", "name": name, "message": text, "advice": error.advice})
                except OSError as error:
                    stream.send({"kind": "os", "errno": error.errno or errno.EIO})
                except Exception:
                    stream.send({"kind": "fault", "text": traceback.format_exc()[-_TRACE_LIMIT:]})

    def _receive(self, request: wire.Frame, stream: _Stream) -> None:
        directory = request.text("directory")
        with _signs_of_life(stream, directory):
            said = self._files.receive(directory, request.text("name"), stream.chunks())
        stream.send({"kind": "done"}, said.encode("utf-8", "replace"))

    def _discard(self, request: wire.Frame, stream: _Stream) -> None:
        self._files.discard(request.text("directory"), [str(name) for name in _list(request, "names")])
        stream.send({"kind": "done"})

    def _examine(self, request: wire.Frame, stream: _Stream) -> None:
        facts = self._files.examine(request.text("path"))
        stream.send(
            {
                "kind": "done",
                "physical": facts.physical,
                "is_directory": facts.is_directory,
                "writable": facts.writable,
            }
        )

    def _real_path(self, request: wire.Frame, stream: _Stream) -> None:
        stream.send({"kind": "done", "path": self._files.real_path(request.text("path"))})

    def _read(self, request: wire.Frame, stream: _Stream) -> None:
        directory, name = request.text("directory"), request.text("name")
        piece = self._files.read_local(directory, name, request.number("offset"), request.number("limit"))
        stream.send({"kind": "done", "offset": piece.offset, "at_end": piece.at_end}, piece.data)

    def _list(self, request: wire.Frame, stream: _Stream) -> None:
        directory = request.text("directory")
        with _signs_of_life(stream, directory):
            found = self._files.list_local(directory, request.text("name"))
        stream.send({"kind": "done"}, local_listing.to_json(found))

    def _snapshot(self, request: wire.Frame, stream: _Stream) -> None:
        directory = request.text("directory")
        with _signs_of_life(stream, directory):
            text = self._files.take_snapshot(directory, _time(request), _excluded(request))
        if len(text) > wire.BODY_LIMIT:
            raise StagingError(
                "the working directory has more files than can be sent",
                advice="submit from a directory with the job's own inputs only",
            )
        stream.send({"kind": "done"}, text.encode("ascii"))

    def _changed(self, request: wire.Frame, stream: _Stream) -> None:
        directory = request.text("directory")
        with _signs_of_life(stream, directory):
            before = request.body.decode("ascii")
            files = self._files.changed(directory, before, _time(request), _excluded(request))
        stream.send({"kind": "done"}, json.dumps([(file.name, file.size) for file in files]).encode("ascii"))

    def _archive(self, request: wire.Frame, stream: _Stream) -> None:
        extra = []
        position = 0
        for member in _list(request, "extra"):
            name, mode, size = str(member[0]), int(member[1]), int(member[2])
            extra.append(Member(name, request.body[position : position + size], mode))
            position += size
        snapshot = request.body[position:].decode("ascii")
        directory, start = request.text("directory"), request.number("start")
        with _signs_of_life(stream, directory):  # it may take a while to get to where the daemon begins
            for chunk in self._files.open_archive(directory, snapshot, extra, start=start):
                stream.send({"kind": "data"}, chunk)
        stream.send({"kind": "done"})

    def _fetch(self, request: wire.Frame, stream: _Stream) -> None:
        directory = request.text("directory")
        size = request.number("rules")
        rules = OutputRules.from_document(json.loads(request.body[:size]))
        told: list[Progress] = []
        with _signs_of_life(stream, directory, told) as hung_up:
            report = self._files.fetch(
                _origin(request, stream),
                directory,
                request.body[size:].decode("ascii"),
                job_id=request.number("job_id"),
                rules=rules,
                progress=lambda progress: told.__setitem__(slice(None), [progress]),
                cancel=hung_up,
                into=request.text("into"),
                keep=request.flag("keep"),
            )
        stream.send({"kind": "done"}, encode_report(report))

    def _give_up(self, request: wire.Frame, stream: _Stream) -> None:
        directory = request.text("directory")
        with _signs_of_life(stream, directory):
            files, size = self._files.give_up_fetch(directory, request.number("job_id"), request.text("into"))
        stream.send({"kind": "done", "files": files, "bytes": size})


class _Stream:
    """The way back to the daemon; used by a request's thread and by the one that gives signs of life."""

    def __init__(self, connection: socket.socket, relay: Sequence[int]) -> None:
        self.relay = relay
        self._connection = connection
        self._lock = threading.Lock()

    def chunks(self) -> Iterator[bytes]:
        """What the daemon sends after its request, up to the word that this was all."""
        receiver = wire.Receiver(self._connection)
        while (frame := receiver.receive()).kind == "data":
            yield frame.body

    def send(self, head: dict[str, object], body: bytes = b"") -> None:
        with self._lock:
            wire.send(self._connection, head, (body,) if body else ())


@contextlib.contextmanager
def _signs_of_life(
    stream: _Stream, directory: str, told: Sequence[Progress] = ()
) -> Iterator[threading.Event]:
    """Tell the daemon that the directory still answers, again and again, until the end of the block.

    When its file system hangs, so does the look, and the daemon hears nothing. The event is set when the
    daemon has hung up. ``told`` holds the present progress, if there is something to say.
    """
    over, hung_up = threading.Event(), threading.Event()

    def tell() -> None:
        while not over.wait(ALIVE_SECONDS):
            # A directory that is gone is an answer too.
            with contextlib.suppress(FileNotFoundError, PermissionError, NotADirectoryError):
                os.stat(directory)  # noqa: PTH116 - a text that may be no path
            try:
                stream.send({"kind": "alive", "progress": [astuple(progress) for progress in told]})
            except OSError:
                hung_up.set()
                return

    thread = threading.Thread(target=tell, name="signs-of-life", daemon=True)
    thread.start()
    try:
        yield hung_up
    finally:
        over.set()


def _origin(request: wire.Frame, stream: _Stream) -> Origin:
    address = SandboxAddress(request.text("agent_url"), request.text("sandbox"))
    details = tuple((str(name), str(value)) for name, value in _list(request, "details"))
    if stream.relay:
        details += ((SOCKET_DETAIL, ",".join(map(str, stream.relay))),)
    return Origin(request.text("method"), address, details)


def _time(request: wire.Frame) -> float:
    return float(request.text("taken_at"))


def _list(request: wire.Frame, name: str) -> list[Any]:
    value = request.head.get(name)
    return value if isinstance(value, list) else []


def _excluded(request: wire.Frame) -> frozenset[str]:
    return frozenset(str(name) for name in _list(request, "excluded"))


def main(descriptor: int) -> None:
    """Be the account that the daemon names on the socket ``descriptor``, and work for it."""
    control = socket.socket(fileno=descriptor)
    first = control.recv(FIRST_MESSAGE_LIMIT)
    if not first:
        return  # the daemon ended before it had work for us
    document = json.loads(first)
    identity = Identity(document["uid"], document["gid"], tuple(document["groups"]))
    settings = FetchSettings.model_validate(document["fetch"])
    become(identity)
    # What takes the daemon's credentials is done by the daemon.
    openers: dict[str, Opener] = {SFTP: open_relayed, RELAYED: open_relayed_agent}
    worker = Worker(OwnFiles(Fetcher(settings, SystemClock(), openers=openers)))
    control.send(b"ready")
    threads: list[threading.Thread] = []
    while True:
        threads = [thread for thread in threads if thread.is_alive()]
        try:
            connection, relay = _next(control)
        except TimeoutError:
            if threads:
                continue
            return
        if connection is None:
            break
        threads.append(threading.Thread(target=worker.serve, args=(connection, relay), daemon=True))
        threads[-1].start()
    for thread in threads:  # with the daemon gone these end soon, since nobody takes what they send
        thread.join()


def _next(control: socket.socket) -> tuple[socket.socket | None, list[int]]:
    """The next request's connection, None at the end, and what came with it. Raises TimeoutError."""
    control.settimeout(IDLE_SECONDS)
    message, descriptors, _, _ = socket.recv_fds(control, 1, 1 + SOCKETS, socket.MSG_CMSG_CLOEXEC)
    if not message or not descriptors:
        return None, []
    return socket.socket(fileno=descriptors[0]), descriptors[1:]
