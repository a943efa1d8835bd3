"""How Airavata reaches a host: exec channels, SFTP and scp over pooled SSH connections with a key.

Source: ``SSHJAgentAdaptor`` of Airavata develop and master, which uses sshj 0.40.
"""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import paramiko

from tests.contract import airavata_scp
from tests.contract.airavata_caller import END_OF_OUTPUT_SECONDS, Answer
from tests.contract.airavata_scp import ScpError

SERVER_SETTINGS = "/etc/ssh/sshd_config"


class SshError(Exception):
    """Airavata's AgentException: something about the connection, not an answer of a command."""


class SshAdaptor:
    """One compute resource, one account and its key. Safe to use from several threads."""

    def __init__(self, host: str, port: int, user: str, identity: Path) -> None:
        self._address = (host, port)
        self._user = user
        self._key = paramiko.Ed25519Key.from_private_key_file(str(identity))
        self._free: list[paramiko.Transport] = []
        self._lock = threading.Lock()
        self._opened: list[paramiko.Transport] = []
        self.sessions = 0  # that one connection may have, as Airavata believes

    def close(self) -> None:
        """Close all connections."""
        for transport in self._opened:
            transport.close()

    def execute(self, command: str, directory: str | Path | None = None) -> Answer:
        """Run a command line: stdout to its end, then stderr, then the exit status. Raises SshError.

        No terminal, no variables, nothing on stdin, which stays open.
        """
        text = f"cd {directory}; {command}" if directory else command
        with self._transport() as transport:
            channel = transport.open_session()
            with channel:
                channel.settimeout(END_OF_OUTPUT_SECONDS)
                channel.exec_command(text)
                try:
                    stdout = channel.makefile("rb").read()
                    stderr = channel.makefile_stderr("rb").read()
                except TimeoutError:
                    # Airavata has no limit of its own: it would wait for ever.
                    raise AssertionError(f"no end of output after a long time: {text}") from None
                code = channel.recv_exit_status()
        if code < 0:
            raise SshError(f"no exit status: {text}")
        return Answer(stdout.decode("utf-8"), stderr.decode("utf-8"), code)

    def make_directories(self, path: str | Path) -> None:
        """Make a directory and those above it. Raises SshError."""
        with self._sftp() as sftp:
            for directory in [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]:
                if _mode(sftp, str(directory)) is None:
                    try:
                        sftp.mkdir(str(directory))
                    except OSError as error:
                        raise SshError(f"cannot make {directory}: {error}") from error

    def exists(self, path: str | Path) -> bool:
        """Whether there is a file or directory."""
        with self._sftp() as sftp:
            return _mode(sftp, str(path)) is not None

    def size(self, path: str | Path) -> int:
        """The size of a file in bytes. Raises FileNotFoundError."""
        with self._sftp() as sftp:
            return sftp.stat(str(path)).st_size or 0

    def list_files(self, path: str | Path) -> list[str]:
        """The names in a directory."""
        with self._sftp() as sftp:
            return sorted(sftp.listdir(str(path)))

    def upload(self, source: Path, target: str | Path) -> None:
        """Copy a local file to a file or directory of the host by scp. Raises SshError."""
        self._copy(lambda channel: airavata_scp.upload(channel, source, str(target)))

    def download(self, source: str | Path, target: Path) -> None:
        """Copy a file of the host to a local one by scp. Raises SshError."""
        self._copy(lambda channel: airavata_scp.download(channel, str(source), target))

    def _copy(self, copy: airavata_scp.Copy) -> None:
        with self._transport() as transport:
            channel = transport.open_session()
            with channel:
                channel.settimeout(END_OF_OUTPUT_SECONDS)
                try:
                    copy(channel)
                except ScpError as error:
                    raise SshError(str(error)) from error

    @contextmanager
    def _sftp(self) -> Iterator[paramiko.SFTPClient]:
        with self._transport() as transport:
            try:
                sftp = paramiko.SFTPClient.from_transport(transport)
            except (paramiko.SSHException, EOFError) as error:
                raise SshError(f"no SFTP: {error}") from error
            assert sftp is not None
            with sftp:
                yield sftp

    @contextmanager
    def _transport(self) -> Iterator[paramiko.Transport]:
        """A connection for one session at a time: what Airavata does when it cannot read MaxSessions."""
        with self._lock:
            transport = self._free.pop() if self._free else None
        if transport is None or not transport.is_active():
            transport = self._connect()
        try:
            yield transport
        finally:
            with self._lock:
                self._free.append(transport)

    def _connect(self) -> paramiko.Transport:
        try:
            transport = paramiko.Transport(self._address)
        except paramiko.SSHException as error:
            raise SshError(f"cannot connect: {error}") from error
        try:
            # Any host key is accepted, as there.
            transport.connect(username=self._user, pkey=self._key)
        except paramiko.SSHException as error:
            transport.close()
            raise SshError(f"cannot log in: {error}") from error
        transport.set_keepalive(5)
        self.sessions = _sessions(transport)
        with self._lock:
            self._opened.append(transport)
        return transport


def _sessions(transport: paramiko.Transport) -> int:
    """MaxSessions of the server's settings where they can be read over SFTP, else 1."""
    sftp = paramiko.SFTPClient.from_transport(transport)
    assert sftp is not None
    with sftp:
        try:
            with sftp.open(SERVER_SETTINGS) as file:
                text = file.read().decode()
        except OSError:
            return 1
    found = re.search(r"^MaxSessions (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 1


def _mode(sftp: paramiko.SFTPClient, path: str) -> int | None:
    try:
        return stat.S_IFMT(sftp.stat(path).st_mode or 0)
    except FileNotFoundError:
        return None
