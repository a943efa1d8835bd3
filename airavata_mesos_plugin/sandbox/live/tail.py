"""Following a file by bytes: each once and in order, also when logs rotate and files are started anew.

A place shows names, sizes and bytes, and no identity of a file (Mesos 1.11 tells no inode). So a reader
remembers what it read last as digests, and each look begins with these bytes again: one read is of one
state of one file, so when they are still there, what comes after them is what comes next.

Logs rotate by renaming (Thermos in Aurora 0.22, logrotate, most logging libraries): ``log`` becomes
``log.1``, that becomes ``log.2``, and a new ``log`` begins. Whoever read ``log`` to byte n goes on with
``log.1`` from n. A listing before and after the bytes shows whether names moved meanwhile.

Left undecided: logs whose bytes repeat themselves for more than `WITNESS_BYTES`, and which rotate
without any of the old files looking different in a listing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from airavata_mesos_plugin.errors import NotFound, SandboxGone, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox.live.windows import PIECE, Window
from airavata_mesos_plugin.sandbox.paths import escape

WITNESS_BYTES = 1024
"""So many bytes at the beginning of a file, and before the place where a reader is, tell it from others."""

MOST_ROTATED = 1000
"""Rotated files that are looked for."""

TRIES = 5
"""Looks at names that move, until it is left to the next call."""

Old = tuple[tuple[int, int], ...]
"""Size and time of ``log.1``, ``log.2`` and so on."""


@dataclass(frozen=True)
class Mark:
    """How far a reader has come. ``head`` and ``tail`` are digests of what it read first and last."""

    offset: int = 0
    head: str = ""
    tail: str = ""
    index: int = 0  # of the name under which the file was seen last: 0 for log, 1 for log.1
    old: Old | None = None  # None: the next look is at another place than the last was


@dataclass(frozen=True)
class Step:
    """What one look found."""

    data: bytes
    mark: Mark
    at_end: bool  # there was no more
    notes: tuple[str, ...] = ()  # what a reader should know about the bytes from here on
    anew: bool = False  # they begin with the first of the file, and what came before is of an earlier state


class Changed(Exception):
    """The bytes that were read last are in none of the files any more."""


class _Moved(Exception):
    """A name stands for another file than it did a moment ago."""


class Tail:
    """One file of a place, with those that it was renamed to. Keeps nothing between calls.

    All calls are repeatable and raise what the window raises, apart from NotFound.
    """

    def __init__(self, window: Window, name: str, *, rotated: bool) -> None:
        """``rotated``: the names with numbers are known to be older parts of this log. Otherwise a file
        counts as such only when it holds what was read before.
        """
        self._window = window
        self._name = name
        self._rotated = rotated

    def begin(self) -> Mark:
        """Where a reader begins: at the oldest part of a rotated log, else at the file itself."""
        old = self._old()
        return Mark(index=len(old) if self._rotated else 0, old=old)

    def step(self, mark: Mark, limit: int, *, strict: bool = False) -> Step:
        """What comes after ``mark``: about ``limit`` bytes at most, nothing when there is nothing new.

        A file that is not there gives nothing. The same mark gives the same bytes again, and perhaps more.
        A file that was cut short or replaced is given from its beginning, with a note; with ``strict``
        Changed is raised instead.
        """
        for _ in range(TRIES):
            old = self._old()
            notes: tuple[str, ...] = ()
            anew = False
            try:
                result = self._read_on_at_once(mark, limit) if mark.old == old else None
                if result is None:
                    found = self._find(mark, old)
                    if found is None:
                        if self._old() != old:
                            continue
                        if strict:
                            raise Changed
                        found, notes, anew = self._begin_anew(mark, old)
                    result = self._walk(found, limit)
            except SandboxGone:
                raise
            except _Moved:
                continue
            except NotFound:
                if self._old() == old:
                    return Step(b"", mark, at_end=True)
                continue
            # What was read counts only if no name has moved meanwhile.
            if not (result.data or notes) or self._old() == old:
                return Step(result.data, result.mark, result.at_end, notes, anew)
        return Step(b"", mark, at_end=False)

    def mark_before_end(self, *, lines: int | None = None, size: int = 0, most: int = 0) -> Mark:
        """The mark before the last ``lines`` lines, or the last ``size`` bytes, of what is there now.

        Of lines, no more than the last ``most`` bytes are looked at. A file that is not there gives its
        beginning.
        """
        for _ in range(TRIES):
            old = self._old()
            try:
                sizes = self._sizes(old)
                where = _back(sizes, size) if lines is None else self._lines_back(sizes, lines, most)
                mark = self._mark_at(*where, old)
            except SandboxGone:
                raise
            except _Moved:
                continue
            except NotFound:
                if self._old() == old:
                    return Mark(index=len(old) if self._rotated else 0, old=old)
                continue
            if self._old() == old:
                return mark
        raise TransferError(f"{escape(self._name)} changes faster than it can be looked at")

    def _read_on_at_once(self, mark: Mark, limit: int) -> Step | None:
        """The next bytes, when nothing seems to have moved; None when the file is another one after all."""
        try:
            result = self._walk(mark, limit)
        except _Moved:
            return None
        return result if not result.data or self._begins(mark, mark.index) else None

    def _find(self, mark: Mark, old: Old) -> Mark | None:
        """The mark with the index that its file has now; None when it is nowhere."""
        if not mark.offset:
            shift = _shifts(mark.old, old)[0] if self._rotated and mark.old is not None else 0
            return Mark(index=min(len(old), mark.index + shift), old=old)
        candidates = [
            index
            for index in range(len(old) + 1)
            if (index == 0 or old[index - 1][0] >= mark.offset) and self._is_at(mark, index)
        ]
        if not candidates:
            return None
        index = candidates[0]
        if mark.old is not None and len(candidates) > 1:
            likely = [i for i in candidates if i - mark.index in _shifts(mark.old, old)]
            exact = [i for i in likely if len(old) - len(mark.old) == i - mark.index]
            index = (exact or likely or candidates)[0]
        elif mark.index in candidates:
            index = mark.index
        return Mark(mark.offset, mark.head, mark.tail, index, old)

    def _begin_anew(self, mark: Mark, old: Old) -> tuple[Mark, tuple[str, ...], bool]:
        name = escape(self._name)
        shift = 0 if mark.old is None else _shifts(mark.old, old)[0]
        if shift == 0 or not self._rotated:
            note = f"{name} was cut short or replaced; it is shown from its beginning"
            return Mark(old=old), (note,), True
        # The part that was being read has been removed; the oldest one after it is next.
        index = min(len(old), mark.index + shift)
        note = f"{name} was rotated faster than it was read; bytes are missing here"
        return Mark(index=index, old=old), (note,), False

    def _is_at(self, mark: Mark, index: int) -> bool:
        kept = min(mark.offset, WITNESS_BYTES)
        try:
            last = self._window.read(self._numbered(index), mark.offset - kept, kept) if kept else b""
            return (not kept or _digest(last) == mark.tail) and self._begins(mark, index)
        except SandboxGone:
            raise
        except NotFound:
            return False

    def _begins(self, mark: Mark, index: int) -> bool:
        """Whether a file begins with what was read first. Of short ones ``tail`` says as much."""
        if mark.offset <= WITNESS_BYTES:
            return True
        return _digest(self._window.read(self._numbered(index), 0, WITNESS_BYTES)) == mark.head

    def _walk(self, mark: Mark, limit: int) -> Step:
        """Read on from a file that was found, and then from those that came after it."""
        piece, mark, ended = self._read_on(mark, limit)
        data = bytearray(piece)
        following = mark.index
        while ended and following > 0 and len(data) < limit:
            following -= 1
            try:
                piece, after, rest = self._read_on(Mark(index=following, old=mark.old), limit - len(data))
            except SandboxGone:
                raise
            except NotFound:  # renamed, and the new one has not been begun
                continue
            if piece:  # an empty file could not be told from another
                data += piece
                mark, ended = after, rest
        return Step(bytes(data), mark, at_end=ended and len(data) < limit)

    def _read_on(self, mark: Mark, limit: int) -> tuple[bytes, Mark, bool]:
        """Bytes of one file, the mark after them, and whether it ended there."""
        name = self._numbered(mark.index)
        kept = min(mark.offset, WITNESS_BYTES)
        position = mark.offset - kept
        found = bytearray(self._window.read(name, position, PIECE))
        if _digest(bytes(found[:kept])) != (mark.tail or _digest(b"")):
            raise _Moved
        ended = len(found) < PIECE
        while not ended and len(found) - kept < limit:
            witness = bytes(found[-WITNESS_BYTES:])
            piece = self._window.read(name, position + len(found) - len(witness), PIECE)
            if not piece.startswith(witness):
                break  # another file, or another state of it: for the next look
            found += piece[len(witness) :]
            ended = len(piece) < PIECE
        offset = position + len(found)
        if not offset:
            return b"", mark, ended
        head = mark.head if position else _digest(bytes(found[:WITNESS_BYTES]))
        tail = _digest(bytes(found[-min(offset, WITNESS_BYTES) :]))
        return bytes(found[kept:]), Mark(offset, head, tail, mark.index, mark.old), ended

    def _sizes(self, old: Old) -> list[int]:
        """Of the file itself and the parts before it, newest first. Raises NotFound without the file."""
        return [self._window.size(self._name), *(size for size, _ in old if self._rotated)]

    def _lines_back(self, sizes: list[int], lines: int, most: int) -> tuple[int, int]:
        """Index and offset of the beginning of the last so many lines."""
        last = True
        for index, size in enumerate(sizes):
            offset = size
            while offset and lines:
                length = min(offset, PIECE, most)
                piece = self._window.read(self._numbered(index), offset - length, length)
                if len(piece) < length:
                    raise _Moved
                # A newline at the very end ends the last line and begins none.
                end = len(piece) - (1 if last and piece.endswith(b"\n") else 0)
                last = False
                while lines and (position := piece.rfind(b"\n", 0, end)) >= 0:
                    lines -= 1
                    end = position
                if not lines:
                    return index, offset - length + end + 1
                offset -= length
                most -= length
                if not most:
                    return index, offset
            if not lines:
                return index, offset
        return len(sizes) - 1, 0

    def _mark_at(self, index: int, offset: int, old: Old) -> Mark:
        kept = min(offset, WITNESS_BYTES)
        if not kept:
            return Mark(index=index, old=old)
        name = self._numbered(index)
        head, tail = self._window.read(name, 0, kept), self._window.read(name, offset - kept, kept)
        if len(head) < kept or len(tail) < kept:
            raise _Moved
        return Mark(offset, _digest(head), _digest(tail), index, old)

    def _numbered(self, index: int) -> str:
        return f"{self._name}.{index}" if index else self._name

    def _old(self) -> Old:
        """The files with numbers."""
        directory, _, base = self._name.rpartition("/")
        try:
            # A directory can be large; mostly there is no such file, and one small question tells.
            self._window.read(self._numbered(1), 0, 0)
            files = self._window.files(directory)
        except SandboxGone:
            raise
        except (NotFound, UnsafePath):
            return ()
        found: list[tuple[int, int]] = []
        while len(found) < MOST_ROTATED and (seen := files.get(f"{base}.{len(found) + 1}")) is not None:
            found.append((seen.size, seen.time))
        return tuple(found)


def _shifts(before: Old, now: Old) -> list[int]:
    """How many files may have been rotated, the likeliest number first."""
    return [shift for shift in range(len(now) + 1) if now[shift:] == before[: len(now) - shift]]


def _back(sizes: list[int], size: int) -> tuple[int, int]:
    for index, length in enumerate(sizes):
        if size <= length:
            return index, length - size
        size -= length
    return len(sizes) - 1, 0


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
