"""One SSH connection, used in the way in which Airavata uses its own: exec channels, SFTP and scp."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko

from airavata_mesos_plugin.errors import (
    InvalidRequest,
    ProtocolError,
    Unreachable,
)
from airavata_mesos_plugin.sandbox.sftp.login import Identity, Target, log_in

CONNECT_SECONDS = 15.0
COMMAND_SECONDS = 30.0
"""Airavata waits without a limit; whatever takes longer than this hangs it."""

_SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_TARGET = re.compile(r"(?P<user>[^@\s:]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^@\s:\[\]]+)(:(?P<port>\d{1,5}))?")


def target(text: str) -> Target:
    """From ``user@host`` or ``user@host:port``. Raises InvalidRequest."""
    found = _TARGET.fullmatch(text)
    port = int(found["port"] or 22) if found else 0
    if found is None or not 0 < port < 65536:
        raise InvalidRequest(f"{text!r} is not user@host or user@host:port")
    return Target(found["user"], found["host"].strip("[]"), port)


@dataclass(frozen=True)
class Answer:
    """What a command line gave; ``exit_code`` is None when the host told none."""

    stdout: str
    stderr: str
    exit_code: int | None


class Silence(Exception):
    """A command did not end its output in time."""


class CopyFailed(Exception):
    """scp's words, or that there were none."""


class SshSession:
    """A connection that is logged in; made by `connect`."""

    def __init__(self, client: paramiko.SSHClient) -> None:
        self._client = client

    def run(self, command: str) -> Answer:
        """Run a command line without terminal, variables and stdin. Raises Silence."""
        with self._channel() as channel:
            channel.exec_command(command)
            try:
                stdout = channel.makefile("rb").read()
                stderr = channel.makefile_stderr("rb").read()
            except TimeoutError:
                raise Silence(f"no end of output within {COMMAND_SECONDS:g} s") from None
            code = channel.recv_exit_status()
        return Answer(_text(stdout), _text(stderr), code if code >= 0 else None)

    @contextmanager
    def sftp(self) -> Iterator[paramiko.SFTPClient]:
        """An SFTP session. Raises ProtocolError when the host offers none."""
        try:
            client = self._client.open_sftp()
        except (paramiko.SSHException, EOFError) as error:
            raise ProtocolError(
                f"the host has no SFTP: {error}",
                advice="its sshd_config needs the line: Subsystem sftp internal-sftp",
            ) from error
        with client:
            yield client

    def copy_in(self, content: bytes, name: str, directory: str) -> None:
        """Write a file with the host's own ``scp`` in sink mode. Raises CopyFailed and Silence."""
        with self._copying(f"scp -t -p {shlex.quote(directory)}") as channel:
            _acknowledged(channel)
            channel.sendall(f"C0644 {len(content)} {name}\n".encode())
            _acknowledged(channel)
            channel.sendall(content + b"\0")
            _acknowledged(channel)

    def copy_out(self, path: str) -> bytes:
        """Read a file with the host's own ``scp`` in source mode. Raises CopyFailed and Silence."""
        with self._copying(f"scp -f -q {shlex.quote(path)}") as channel:
            channel.sendall(b"\0")
            head = _line(channel)
            fields = head.split(" ")
            if not (head.startswith("C") and len(fields) > 2 and fields[1].isdigit()):
                raise CopyFailed(head.strip("\1\2"))
            channel.sendall(b"\0")
            content = _exactly(channel, int(fields[1]))
            _acknowledged(channel)
            channel.sendall(b"\0")
        return content

    @contextmanager
    def _copying(self, command: str) -> Iterator[paramiko.Channel]:
        with self._channel() as channel:
            channel.exec_command(command)
            try:
                yield channel
                channel.shutdown_write()
                code = channel.recv_exit_status()
            except TimeoutError:
                raise Silence(f"no answer within {COMMAND_SECONDS:g} s") from None
        if code:
            raise CopyFailed(f"exit code {code}")

    @contextmanager
    def _channel(self) -> Iterator[paramiko.Channel]:
        transport = self._client.get_transport()
        if transport is None:
            raise Unreachable("the SSH connection has ended")
        channel = transport.open_session(timeout=CONNECT_SECONDS)
        try:
            channel.settimeout(COMMAND_SECONDS)
            yield channel
        finally:
            channel.close()


@contextmanager
def connect(target: Target, identity: Path | None, known_hosts: Path | None = None) -> Iterator[SshSession]:
    """Log in with a key: ``identity``, else those of the agent and of this account.

    The host's key must be in ``known_hosts`` or in the system's own; nothing is added to them. Raises
    Unreachable, AuthenticationFailed and ConfigurationError.
    """
    own = known_hosts or Path.home() / ".ssh" / "known_hosts"
    client = paramiko.SSHClient()
    for path in (_SYSTEM_KNOWN_HOSTS, own):
        if path.exists():
            client.load_system_host_keys(str(path))
    try:
        with_key = Identity(
            identity,
            when_locked="load the key into ssh-agent and leave --identity out",
            when_refused=", or name another key with --identity",
        )
        log_in(client, target, with_key, own, CONNECT_SECONDS)
        yield SshSession(client)
    finally:
        client.close()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _acknowledged(channel: paramiko.Channel) -> None:
    if _exactly(channel, 1) != b"\0":
        raise CopyFailed(_line(channel))


def _line(channel: paramiko.Channel) -> str:
    text = b""
    while not text.endswith(b"\n"):
        text += _exactly(channel, 1)
    return _text(text).strip()


def _exactly(channel: paramiko.Channel, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            said: Callable[[], bytes] = channel.makefile_stderr("rb").read
            raise CopyFailed(_text(said()).strip() or "it ended without a word")
        data += piece
    return data
