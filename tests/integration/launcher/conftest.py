"""Installed commands, and a server on a real Unix socket that each test tells what to answer."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from airavata_mesos_plugin.slurm import install, wire

Behaviour = Callable[["Peer"], None]


class Peer:
    """One command that has connected."""

    def __init__(self, connection: socket.socket, requests: list[wire.Request]) -> None:
        self.connection = connection
        self._side = wire.ServerSide()
        self._requests = requests

    def read_request(self) -> wire.Request:
        message = self._message()
        assert isinstance(message, wire.Request)
        self._requests.append(message)
        return message

    def read_file(self, path: str | None, limit: int) -> wire.FileAnswer:
        self._side.expect_file(limit)
        self.connection.sendall(wire.encode_file_request(path, limit))
        message = self._message()
        assert isinstance(message, wire.FileAnswer)
        return message

    def finish(self, stdout: bytes = b"", stderr: bytes = b"", exit_code: int = 0) -> None:
        self.connection.sendall(wire.encode_output(stdout, stderr, exit_code))

    def _message(self) -> wire.Request | wire.FileAnswer:
        while True:
            data = self.connection.recv(65536)
            if not data:
                raise ConnectionResetError("the command hung up")
            message = self._side.feed(data)
            if message is not None:
                return message


class Server:
    """Takes one command after the other and lets ``behaviour`` answer it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.behaviour: Behaviour = lambda peer: peer.finish()
        self.requests: list[wire.Request] = []
        self.faults: list[BaseException] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.behaviour(Peer(connection, self.requests))
                except (ConnectionError, AssertionError) as fault:
                    self.faults.append(fault)

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the commands look for the daemon."""
    return tmp_path / "s"


@pytest.fixture
def bin_directory(tmp_path: Path, path: Path) -> Path:
    """The installed commands."""
    directory = tmp_path / "bin dir"
    install.install(directory, path)
    return directory


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    """A daemon that is up."""
    running = Server(path)
    yield running
    running.stop()
    # A command that gives up hangs up; anything else that went wrong here is a fault of the test.
    assert not [fault for fault in running.faults if not isinstance(fault, ConnectionError)]


@pytest.fixture
def serve(server: Server) -> Callable[[Behaviour], None]:
    """Say how commands are answered."""

    def choose(behaviour: Behaviour) -> None:
        server.behaviour = behaviour

    return choose


@pytest.fixture
def requests(server: Server) -> list[wire.Request]:
    """What has arrived."""
    return server.requests


@pytest.fixture
def until_idle(server: Server) -> Callable[[], None]:
    """Wait for the end of the conversation under way, and take no other."""
    return server.stop


@pytest.fixture
def run(bin_directory: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run an installed command as a process of its own."""

    def start(
        command: str,
        *argv: str | bytes,
        stdin: bytes = b"",
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [os.fsencode(bin_directory / command), *argv],
            input=stdin,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin", **(environ or {})},
            cwd=cwd or tmp_path,
            timeout=100,
            check=False,
        )

    return start
