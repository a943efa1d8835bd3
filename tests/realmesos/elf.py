"""Reads the tables of a shared library that say what it wants from others, and which version of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_DYNSYM, _VERNEED, _VERSYM = 11, 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True)
class Wanted:
    """A name that another library has to provide; without versions ``library`` is empty."""

    name: str
    library: str
    version: str


@dataclass
class SharedLibrary:
    """A 64-bit little-endian ELF file in memory. Raises ValueError for anything else."""

    data: bytearray
    _sections: dict[int, tuple[int, ...]] = field(init=False)
    _strings: int = field(init=False)

    def __post_init__(self) -> None:
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("a 64-bit little-endian ELF file is wanted")
        (table,) = struct.unpack_from("<Q", self.data, 0x28)
        (count,) = struct.unpack_from("<H", self.data, 0x3C)
        headers = [struct.unpack_from("<IIQQQQIIQQ", self.data, table + 64 * n) for n in range(count)]
        self._sections = {header[1]: header for header in headers}
        self._strings = headers[self._sections[_DYNSYM][6]][4]

    def rename_version(self, old: str, new: str) -> None:
        """Want the version node ``new`` where the file wants ``old``; both names have the same length."""
        if len(old) != len(new):
            raise ValueError("names of version nodes are replaced in place")
        for at, _, _, name_offset in self._version_needs():
            place = self._strings + name_offset
            if self._text(place) == old:
                self.data[place : place + len(new)] = new.encode()
            if self._text(place) == new:  # several libraries may share the text
                struct.pack_into("<I", self.data, at, _hash(new))

    def wanted(self) -> list[Wanted]:
        """All names that are undefined here."""
        versions = {
            index: (library, self._text(self._strings + name))
            for _, library, index, name in self._version_needs()
        }
        symbols, numbers = self._sections[_DYNSYM], self._sections[_VERSYM][4]
        found = []
        for n in range(1, symbols[5] // 24):
            name, _, _, section, _, _ = struct.unpack_from("<IBBHQQ", self.data, symbols[4] + 24 * n)
            if section == 0:
                (number,) = struct.unpack_from("<H", self.data, numbers + 2 * n)
                library, version = versions.get(number & 0x7FFF, ("", ""))
                found.append(Wanted(self._text(self._strings + name), library, version))
        return found

    def _version_needs(self) -> list[tuple[int, str, int, int]]:
        """Place of the entry, library, index used by symbols, offset of the version's name."""
        found, place = [], self._sections[_VERNEED][4]
        while True:
            _, count, file, first, following = struct.unpack_from("<HHIII", self.data, place)
            library, entry = self._text(self._strings + file), place + first
            for _ in range(count):
                _, _, index, name, step = struct.unpack_from("<IHHII", self.data, entry)
                found.append((entry, library, index, name))
                entry += step
            if not following:
                return found
            place += following

    def _text(self, place: int) -> str:
        return self.data[place : self.data.index(b"\0", place)].decode()


def _hash(name: str) -> int:
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        if high:
            value ^= high >> 24
        value &= ~high & 0xFFFFFFFF
    return value
