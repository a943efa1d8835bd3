"""One SSH connection, used in the way in which Airavata uses its own: exec channels, SFTP and scp."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import paramiko

from airavata_mesos_plugin.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    ProtocolError,
    Unreachable,
)

CONNECT_SECONDS = 15.0
COMMAND_SECONDS = 30.0
"""Airavata waits without a limit; whatever takes longer than this hangs it."""

_SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_TARGET = re.compile(r"(?P<user>[^@\s:]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^@\s:\[\]]+)(:(?P<port>\d{1,5}))?")


@dataclass(frozen=True)
class Target:
    """An account of a host."""

    user: str
    host: str
    port: int = 22

    @classmethod
    def parse(cls, text: str) -> Target:
        """From ``user@host`` or ``user@host:port``. Raises InvalidRequest."""
        found = _TARGET.fullmatch(text)
        port = int(found["port"] or 22) if found else 0
        if found is None or not 0 < port < 65536:
            raise InvalidRequest(f"{text!r} is not user@host or user@host:port")
        return cls(found["user"], found["host"].strip("[]"), port)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


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
    client.set_missing_host_key_policy(_Refuse(target, own))
    for path in (_SYSTEM_KNOWN_HOSTS, own):
        if path.exists():
            client.load_system_host_keys(str(path))
    try:
        _log_in(client, target, identity, own)
        yield SshSession(client)
    finally:
        client.close()


def _log_in(client: paramiko.SSHClient, target: Target, identity: Path | None, known_hosts: Path) -> None:
    try:
        client.connect(
            target.host,
            target.port,
            target.user,
            key_filename=str(identity) if identity else None,
            allow_agent=identity is None,
            look_for_keys=identity is None,
            timeout=CONNECT_SECONDS,
            banner_timeout=CONNECT_SECONDS,
            auth_timeout=CONNECT_SECONDS,
        )
    except paramiko.BadHostKeyException as error:
        raise AuthenticationFailed(
            f"{target.host} shows another host key ({error.key.fingerprint}) than {known_hosts} has",
            advice="somebody may listen in; if the host was installed anew, replace its line",
        ) from error
    except paramiko.PasswordRequiredException as error:
        raise ConfigurationError(
            "the private key has a passphrase", advice="load it into ssh-agent and leave --identity out"
        ) from error
    except paramiko.AuthenticationException as error:
        raise AuthenticationFailed(
            f"{target} does not accept the key{f' {identity}' if identity else 's of this account'}",
            advice=f"add its public half to ~/.ssh/authorized_keys of {target.user}, or name another key"
            " with --identity",
        ) from error
    except paramiko.SSHException as error:
        raise Unreachable(f"no SSH connection to {target}: {error}") from error
    except OSError as error:
        raise Unreachable(
            f"no SSH connection to {target}: {error.strerror or error}",
            advice="is the address right, and does a firewall let the connection through?",
        ) from error


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Whoever shows a key that nobody has compared is not trusted."""

    def __init__(self, target: Target, known_hosts: Path) -> None:
        self._target = target
        self._known_hosts = known_hosts

    def missing_host_key(self, _client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> NoReturn:
        raise AuthenticationFailed(
            f"the host key of {hostname} is not known; it shows {key.get_name()} {key.fingerprint}",
            advice="compare that with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` on the host, then run:"
            f" ssh-keyscan -p {self._target.port} {self._target.host} >> {self._known_hosts}",
        )


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
