"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02, as OpenSSH speaks it), as far as needed.

paramiko's own client decodes names as UTF-8 and gives up on others, holds listings without a limit and
waits for each answer in turn; so only its SSH below is used.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum

from airavata_mesos_plugin.errors import ProtocolError

PACKET_LIMIT = 1024 * 1024
"""Bytes of one packet. Servers send a little more than what was asked for at most."""

VERSION = 3
POSIX_RENAME = b"posix-rename@openssh.com"


class Kind(IntEnum):
    """Types of packets."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    REALPATH = 16
    RENAME = 18
    READLINK = 19
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200


class Status(IntEnum):
    """Codes of a STATUS packet that are told apart."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4


READ = 0x1
WRITE = 0x2
CREATE = 0x8
EXCLUSIVE = 0x20

_SIZE, _OWNER, _PERMISSIONS, _TIMES, _EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000
_WORD = struct.Struct(">I")
_LONG = struct.Struct(">Q")
_KINDS = {
    stat.S_IFREG: "-",
    stat.S_IFDIR: "d",
    stat.S_IFLNK: "l",
    stat.S_IFIFO: "p",
    stat.S_IFSOCK: "s",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
}


@dataclass(frozen=True)
class Attributes:
    """What a server says of a file. ``kind`` is the letter of ls, ``?`` when it does not say."""

    size: int = 0
    mode: int = 0  # permission bits without set-uid, set-gid and sticky
    kind: str = "?"
    mtime: int = 0  # seconds since the epoch


class Reader:
    """Takes the fields of one packet. Raises ProtocolError when there are fewer than there should be."""

    def __init__(self, packet: bytes, start: int = 0) -> None:
        self._packet = packet
        self._position = start

    def word(self) -> int:
        (value,) = _WORD.unpack(self._take(4))
        return int(value)

    def long(self) -> int:
        (value,) = _LONG.unpack(self._take(8))
        return int(value)

    def text(self) -> bytes:
        return self._take(self.word())

    def attributes(self) -> Attributes:
        flags = self.word()
        size = self.long() if flags & _SIZE else 0
        if flags & _OWNER:
            self._take(8)
        mode = self.word() if flags & _PERMISSIONS else 0
        mtime = 0
        if flags & _TIMES:
            self.word()
            mtime = self.word()
        if flags & _EXTENDED:
            for _ in range(self.word()):
                self.text()
                self.text()
        return Attributes(size, mode & 0o777, _KINDS.get(stat.S_IFMT(mode), "?"), mtime)

    def _take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._packet):
            raise ProtocolError("an SFTP server sends a packet that is too short")
        piece = self._packet[self._position : end]
        self._position = end
        return piece


def word(value: int) -> bytes:
    return _WORD.pack(value)


def long(value: int) -> bytes:
    return _LONG.pack(value)


def text(value: bytes) -> bytes:
    return _WORD.pack(len(value)) + value


def mode(permissions: int) -> bytes:
    """Attributes of a new file that say nothing but its permissions."""
    return _WORD.pack(_PERMISSIONS) + _WORD.pack(permissions)
