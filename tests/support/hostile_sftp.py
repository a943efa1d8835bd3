"""An SSH server whose SFTP answers come from a test: hosts that lie, hang, or never come to an end."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko

from airavata_mesos_plugin.config import SftpSettings
from airavata_mesos_plugin.sandbox.sftp.wire import Kind, Reader, Status, long, text, word
from tests.contract.ssh_host import make_key

REGULAR, DIRECTORY, LINK = 0o100644, 0o040755, 0o120777
Answer = Callable[[int, Reader], list[bytes]]
"""The packets that answer a request, given its number and the rest of it."""


def attributes(mode: int, size: int = 0) -> bytes:
    return word(0x1 | 0x4 | 0x8) + long(size) + word(mode) + word(1_600_000_000) * 2


def status(number: int, code: int) -> bytes:
    return bytes([Kind.STATUS]) + word(number) + word(code) + text(b"") + text(b"")


def names(number: int, *entries: tuple[bytes, bytes]) -> bytes:
    listed = b"".join(text(name) + text(b"") + described for name, described in entries)
    return bytes([Kind.NAME]) + word(number) + word(len(entries)) + listed


def data(number: int, content: bytes) -> bytes:
    return bytes([Kind.DATA]) + word(number) + text(content)


class HostileSftp(paramiko.ServerInterface):
    """A sandbox ``/box`` with one file ``a`` of ``size`` zero bytes; ``answers`` go before what is usual."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.answers: dict[Kind, Answer] = {}
        self.listed = False
        self.release = threading.Event()
        self.logins = 0

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002 - all are let in
        self.logins += 1
        return paramiko.common.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - the same for all
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - all are taken
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:  # noqa: ARG002
        threading.Thread(target=self._serve, args=(channel,), daemon=True).start()
        return True

    def _serve(self, channel: paramiko.Channel) -> None:
        ends = (paramiko.SSHException, OSError, EOFError, struct.error, ValueError, IndexError)
        with contextlib.suppress(*ends), channel:
            stream = channel.makefile("rb")
            while True:
                (size,) = struct.unpack(">I", stream.read(4))
                packet = stream.read(size)
                if packet[0] == Kind.INIT:
                    answers = [bytes([Kind.VERSION]) + word(3)]
                else:
                    kind, number = Kind(packet[0]), int.from_bytes(packet[1:5], "big")
                    answers = (self.answers.get(kind) or self.usual(kind))(number, Reader(packet, 5))
                for answer in answers:
                    channel.sendall(word(len(answer)) + answer)

    def usual(self, kind: Kind) -> Answer:
        return {
            Kind.REALPATH: lambda number, reader: [names(number, (reader.text(), attributes(REGULAR)))],
            Kind.LSTAT: lambda number, _: [bytes([Kind.ATTRS]) + word(number) + attributes(DIRECTORY)],
            Kind.FSTAT: lambda number, _: [
                bytes([Kind.ATTRS]) + word(number) + attributes(REGULAR, self.size)
            ],
            Kind.OPEN: lambda number, _: [bytes([Kind.HANDLE]) + word(number) + text(b"h")],
            Kind.OPENDIR: self._opendir,
            Kind.READDIR: self._readdir,
            Kind.READ: self._read,
            Kind.CLOSE: lambda number, _: [status(number, Status.OK)],
        }[kind]

    def _opendir(self, number: int, _reader: Reader) -> list[bytes]:
        self.listed = False
        return [bytes([Kind.HANDLE]) + word(number) + text(b"d")]

    def _readdir(self, number: int, _reader: Reader) -> list[bytes]:
        if self.listed:
            return [status(number, Status.EOF)]
        self.listed = True
        return [names(number, (b"a", attributes(REGULAR, self.size)))]

    def _read(self, number: int, reader: Reader) -> list[bytes]:
        reader.text()
        offset, size = reader.long(), reader.word()
        left = min(size, self.size - offset)
        return [data(number, bytes(left)) if left > 0 else status(number, Status.EOF)]


@contextmanager
def hostile_sftp(server: HostileSftp, directory: Path) -> Iterator[SftpSettings]:
    """The server on a free port of loopback; the settings that reach it."""
    directory.mkdir(parents=True, exist_ok=True)
    key = paramiko.ECDSAKey.generate()
    make_key(directory / "client")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                transport = paramiko.Transport(connection)
                transport.set_log_channel("airavata_mesos_plugin.ssh")
                transport.add_server_key(key)
                transports.append(transport)
                with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                    transport.start_server(server=server)

    thread = threading.Thread(target=accept)
    thread.start()
    known = directory / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    try:
        yield SftpSettings(user="agent", port=port, key=directory / "client", known_hosts=known)
    finally:
        server.release.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()
