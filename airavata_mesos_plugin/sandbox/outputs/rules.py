"""Which outputs are wanted: patterns as in a ``.gitignore`` file, and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec

from airavata_mesos_plugin.config import patterns
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.sandbox.source import Entry


@dataclass(frozen=True)
class OutputRules:
    """What somebody wants of the outputs of a job. All groups of patterns have to agree to a file.

    ``include`` holds groups of patterns, each of which a file has to match; ``exclude`` those of which it
    must match none. ``essential`` names come in any case: patterns and the limits for all files together
    do not keep them away. Limits are bytes and numbers; None for no limit. ``used`` is what other sandboxes
    of the same job have taken of those for all files together.
    """

    include: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[tuple[str, ...], ...] = ()
    file_bytes: int | None = None
    total_bytes: int | None = None
    files: int | None = None
    essential: frozenset[str] = frozenset()
    used_bytes: int = 0
    used_files: int = 0
    _included: tuple[GitIgnoreSpec, ...] = field(init=False, repr=False, compare=False)
    _excluded: tuple[GitIgnoreSpec, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises InvalidRequest for a pattern that is none."""
        object.__setattr__(self, "_included", tuple(compiled(group) for group in self.include if group))
        object.__setattr__(self, "_excluded", tuple(compiled(group) for group in self.exclude if group))

    def takes(self, name: str) -> bool:
        """Whether the patterns let a file in."""
        if name in self.essential:
            return True
        return all(spec.match_file(name) for spec in self._included) and not any(
            spec.match_file(name) for spec in self._excluded
        )

    def takes_directory(self, name: str) -> bool:
        """Whether the patterns let a directory in, even an empty one."""
        return self.takes(f"{name}/")

    def choose(self, files: Sequence[Entry], left_out: list[tuple[str, str]]) -> list[Entry]:
        """The files to fetch. Those above a limit are added to ``left_out``, excluded ones are not.

        Where a limit for all files is in the way, small files have precedence.
        """
        chosen = [entry for entry in files if self.takes(entry.name)] if self._has_patterns else list(files)
        if self.file_bytes is not None:
            limit = self.file_bytes
            left_out += [
                (entry.name, f"{entry.size} bytes, more than the {limit} that one file may have")
                for entry in chosen
                if entry.size > limit
            ]
            chosen = [entry for entry in chosen if entry.size <= limit]
        total = sum(entry.size for entry in chosen)
        if (self.files is None or self.used_files + len(chosen) <= self.files) and (
            self.total_bytes is None or self.used_bytes + total <= self.total_bytes
        ):
            return chosen
        return self._within(chosen, left_out)

    @property
    def _has_patterns(self) -> bool:
        return bool(self._included or self._excluded)

    def _within(self, files: list[Entry], left_out: list[tuple[str, str]]) -> list[Entry]:
        kept: list[Entry] = []
        size = self.used_bytes
        for entry in sorted(files, key=lambda entry: (entry.name not in self.essential, entry.size)):
            if entry.name not in self.essential:
                if self.files is not None and self.used_files + len(kept) >= self.files:
                    left_out.append((entry.name, f"more than the {self.files} files that a job may have"))
                    continue
                if self.total_bytes is not None and size + entry.size > self.total_bytes:
                    why = f"over the {self.total_bytes} bytes that all files of a job may have together"
                    left_out.append((entry.name, why))
                    continue
            size += entry.size
            kept.append(entry)
        return kept

    def to_document(self) -> dict[str, object]:
        """As plain data, for another process."""
        return {
            "include": self.include,
            "exclude": self.exclude,
            "file_bytes": self.file_bytes,
            "total_bytes": self.total_bytes,
            "files": self.files,
            "essential": sorted(self.essential),
            "used_bytes": self.used_bytes,
            "used_files": self.used_files,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> OutputRules:
        """The reverse of `to_document`. Raises TypeError, ValueError or KeyError for anything else."""
        return cls(
            include=_groups(document["include"]),
            exclude=_groups(document["exclude"]),
            file_bytes=_limit(document["file_bytes"]),
            total_bytes=_limit(document["total_bytes"]),
            files=_limit(document["files"]),
            essential=frozenset(str(name) for name in _sequence(document["essential"])),
            used_bytes=int(str(document["used_bytes"])),
            used_files=int(str(document["used_files"])),
        )


EVERYTHING = OutputRules()


def compiled(lines: Iterable[str]) -> GitIgnoreSpec:
    """The patterns as one. Raises InvalidRequest for one that is none, or would take long to compare."""
    try:
        return patterns.compiled(lines)
    except ValueError as error:
        raise InvalidRequest(f"patterns for outputs: {error}") from error


def _sequence(value: object) -> list[object]:
    if not isinstance(value, (list, tuple)):
        raise TypeError("not a list")
    return list(value)


def _groups(value: object) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(line) for line in _sequence(group)) for group in _sequence(value))


def _limit(value: object) -> int | None:
    return None if value is None else int(str(value))
