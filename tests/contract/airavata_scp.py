"""The scp protocol as sshj speaks it over an exec channel: the other side is the host's own ``scp``.

Source: the remote copy protocol of OpenSSH 9.2 (``scp -t`` and ``scp -f``); sshj 0.40 as client.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import paramiko

CHUNK = 1 << 16

Copy = Callable[[paramiko.Channel], None]


class ScpError(Exception):
    """What the other side wrote, or that it ended without a word."""


def upload(channel: paramiko.Channel, source: Path, target: str) -> None:
    """Copy one file to ``target``, a file or a directory of the host. Raises ScpError."""
    channel.exec_command(f"scp -t -p {shlex.quote(target)}")
    facts = source.stat()
    _acknowledged(channel)
    _say(channel, f"T{int(facts.st_mtime)} 0 {int(facts.st_atime)} 0\n")
    _say(channel, f"C{facts.st_mode & 0o7777:04o} {facts.st_size} {source.name}\n")
    with source.open("rb") as file:
        while data := file.read(CHUNK):
            channel.sendall(data)
    channel.sendall(b"\0")
    _acknowledged(channel)
    _end(channel)


def download(channel: paramiko.Channel, source: str, target: Path) -> None:
    """Copy one file of the host to ``target``, a file. Raises ScpError."""
    channel.exec_command(f"scp -f -q {shlex.quote(source)}")
    channel.sendall(b"\0")
    kind = _exactly(channel, 1)
    if kind != b"C":
        raise ScpError(_line(channel))
    size = int(_line(channel).split(" ")[1])
    channel.sendall(b"\0")
    with target.open("wb") as file:
        left = size
        while left:
            data = _exactly(channel, min(left, CHUNK))
            file.write(data)
            left -= len(data)
    _acknowledged(channel)
    channel.sendall(b"\0")
    _end(channel)


def _say(channel: paramiko.Channel, text: str) -> None:
    channel.sendall(text.encode())
    _acknowledged(channel)


def _acknowledged(channel: paramiko.Channel) -> None:
    if _exactly(channel, 1) != b"\0":
        raise ScpError(_line(channel))


def _line(channel: paramiko.Channel) -> str:
    text = b""
    while not text.endswith(b"\n"):
        text += _exactly(channel, 1)
    return text.decode().strip()


def _exactly(channel: paramiko.Channel, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            raise ScpError(channel.makefile_stderr("rb").read().decode() or "scp ended without a word")
        data += piece
    return data


def _end(channel: paramiko.Channel) -> None:
    channel.shutdown_write()
    code = channel.recv_exit_status()
    if code:
        raise ScpError(f"scp ended with exit code {code}")
