"""What a tar archive on disk holds, found without reading contents and without trusting what it says.

The standard library's reader holds extended headers in memory, however large they claim to be; so only its
decoding of one header block is used.
"""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass

from airavata_mesos_plugin.errors import ProtocolError

MOST_MEMBERS = 1_000_000
EXTENDED_LIMIT = 1024 * 1024
"""Bytes of one extended header: it holds a name, a link's target, a time and a size."""

_BLOCK = tarfile.BLOCKSIZE
_KINDS = {
    tarfile.REGTYPE: "-",
    tarfile.AREGTYPE: "-",
    tarfile.CONTTYPE: "-",
    tarfile.DIRTYPE: "d",
    tarfile.SYMTYPE: "l",
    tarfile.FIFOTYPE: "p",
    tarfile.CHRTYPE: "c",
    tarfile.BLKTYPE: "b",
}


@dataclass(frozen=True)
class Member:
    """One entry. ``name`` is as in the archive, but for ``./`` at its beginning and slashes at its end."""

    name: str
    kind: str  # the letter of ls; ? for what is none of these, such as a hard link
    size: int  # of the content of a regular file
    offset: int  # of its first byte in the archive
    mode: int
    mtime: int
    target: str = ""  # of a link


def read_index(descriptor: int) -> list[Member]:
    """The members in their order. Raises ProtocolError for what is no archive, or none that is whole."""
    end = os.fstat(descriptor).st_size
    members: list[Member] = []
    more: dict[str, str] = {}
    position = 0
    while True:
        block = os.pread(descriptor, _BLOCK, position)
        if len(block) < _BLOCK:
            raise ProtocolError("the archive is not whole")
        position += _BLOCK
        if not block.strip(b"\0"):
            return members
        try:
            head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ProtocolError(f"the archive has a damaged header at byte {position - _BLOCK}") from error
        extended = head.type in (
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        size = head.size if extended else _number(more.get("size"), head.size)
        if head.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            size = 0
        following = position + size + -size % _BLOCK
        if size < 0 or following > end:
            raise ProtocolError("the archive is not whole")
        if extended:
            if size > EXTENDED_LIMIT:
                raise ProtocolError(f"the archive has an extended header of {size} bytes")
            content = os.pread(descriptor, size, position)
            more.update(_extended(head.type, content))
        else:
            if len(members) >= MOST_MEMBERS:
                raise ProtocolError(f"the archive has more than {MOST_MEMBERS} files")
            members.append(_member(head, more, size, position))
            more = {}
        position = following


def _member(head: tarfile.TarInfo, more: dict[str, str], size: int, offset: int) -> Member:
    name = more.get("path", head.name)
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    seconds = more.get("mtime", "").partition(".")[0]
    return Member(
        name=name.rstrip("/"),
        kind=_KINDS.get(head.type, "?"),
        size=size,
        offset=offset,
        mode=head.mode & 0o777,
        mtime=min(max(_number(seconds, int(head.mtime)), 0), 2**40),
        target=more.get("linkpath", head.linkname),
    )


def _extended(kind: bytes, content: bytes) -> dict[str, str]:
    if kind in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        text = os.fsdecode(content.rstrip(b"\0"))
        return {"path" if kind == tarfile.GNUTYPE_LONGNAME else "linkpath": text}
    if kind == tarfile.XGLTYPE:
        return {}  # GNU tar writes none that would matter
    found = {}
    while content:
        length, blank, _ = content.partition(b" ")
        if not blank or not length.isdigit() or not len(length) + 3 <= int(length) <= len(content):
            raise ProtocolError("the archive has a damaged extended header")
        record = content[len(length) + 1 : int(length) - 1]
        name, _, value = record.partition(b"=")
        found[os.fsdecode(name)] = os.fsdecode(value)
        content = content[int(length) :]
    return found


def _number(text: str | None, otherwise: int) -> int:
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ProtocolError("the archive has a damaged extended header")
    return int(text)
