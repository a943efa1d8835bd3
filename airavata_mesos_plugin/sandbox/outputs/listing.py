"""Everything that a sandbox holds, directory by directory.

An agent follows links in its listings and does not show that it did (Mesos 1.11), so a link to a directory
above looks like a tree without end. Such a loop is found by its listings: they are the same at every turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from airavata_mesos_plugin.errors import NotFound, UnsafePath
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.paths import components
from airavata_mesos_plugin.sandbox.source import Entry, Source

MAX_ENTRIES = 1_000_000
"""More are not listed: links across each other can make a sandbox look larger than any disk."""

_TURNS = 8  # each turn goes over one link at least; Linux gives up after 40
_LATEST = 2**40  # seconds since the epoch; file systems keep less
_LONGEST = 3000  # bytes; a path has at most 4096


@dataclass
class Listing:
    """Names of the entries are relative to the working directory. ``left_out``: name and reason."""

    files: list[Entry] = field(default_factory=list)
    directories: list[Entry] = field(default_factory=list)
    links: list[Entry] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.files) + len(self.directories) + len(self.links) + len(self.left_out)


@dataclass(frozen=True)
class _Directory:
    """A directory with its listing and those of all directories above it, for the search for loops."""

    name: str
    entries: frozenset[Entry] = frozenset()
    above: _Directory | None = None


def list_tree(
    source: Source,
    executor: Executor,
    abort: Abort,
    skip: Callable[[Entry], bool],
) -> Listing:
    """List the working directory and what is below it, several directories at a time on ``executor``.

    Entries for which ``skip`` is true, and what is below them, are as if they were not there. Names that
    no honest listing has are left out. Raises SandboxGone when there is no sandbox, and what `Source`
    raises.
    """
    found = Listing()
    closed: set[str] = set()  # directories that turned out to be none of the sandbox's own
    level = [_Directory("")]
    while level:

        def look(directory: _Directory) -> list[Entry] | str:
            return _browse(source, directory, abort)

        following: list[_Directory] = []
        for directory, entries in zip(level, executor.map(look, level), strict=True):
            if isinstance(entries, str):
                closed.add(directory.name)
                found.left_out.append((directory.name, entries))
                continue
            if len(found) + len(entries) > MAX_ENTRIES:
                found.left_out.append((directory.name or ".", f"more than {MAX_ENTRIES} files in all"))
                continue
            complete = replace(directory, entries=frozenset(entries))
            following += [
                _Directory(entry.name, above=complete) for entry in _take(directory, entries, found, skip)
            ]
        level = following
    found.directories = [entry for entry in found.directories if entry.name not in closed]
    return found


def _browse(source: Source, directory: _Directory, abort: Abort) -> list[Entry] | str:
    """The entries of a directory, or why it is left out."""
    try:
        entries = source.entries(directory.name, abort)
    except NotFound:
        if not directory.name:
            raise
        return "vanished while the sandbox was listed"
    except UnsafePath:
        if not directory.name:
            raise
        return "leads out of the sandbox"
    if source.shows_links or not entries:
        return entries
    origin = _same_above(directory, frozenset(entries))
    if origin is not None and _is_loop(source, directory, origin, abort):
        return f"a link back to {origin.name or 'the working directory'}"
    return entries


def _same_above(directory: _Directory, entries: frozenset[Entry]) -> _Directory | None:
    above = directory.above
    while above is not None:
        if above.entries == entries:
            return above
        above = above.above
    return None


def _is_loop(source: Source, directory: _Directory, origin: _Directory, abort: Abort) -> bool:
    """Whether the way from ``origin`` to ``directory`` can be gone again and again.

    Real directories, one in the other with the same names and times, come to an end.
    """
    step = directory.name[len(origin.name) :].lstrip("/")
    turns = max(2, min(_TURNS, _LONGEST // (len(step) + 1)))
    far = "/".join([directory.name, *[step] * (turns - 1)])
    try:
        return frozenset(source.entries(far, abort)) == origin.entries
    except (NotFound, UnsafePath):
        return False


def _take(
    directory: _Directory, entries: Sequence[Entry], found: Listing, skip: Callable[[Entry], bool]
) -> list[Entry]:
    """Sort the entries of one directory into ``found``; returns the directories in it."""
    below = []
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:  # a name is downloaded once, whatever the agent says
            continue
        seen.add(entry.name)
        try:
            parts = components(entry.name)
        except UnsafePath as error:
            found.left_out.append((entry.name, error.message))
            continue
        if len(parts) > 1:
            found.left_out.append((entry.name, "the name leads to another directory"))
            continue
        named = replace(entry, name=f"{directory.name}/{entry.name}") if directory.name else entry
        if layout.reserved(named.name) or skip(named):
            continue
        if named.size < 0 or abs(named.mtime) > _LATEST:
            found.left_out.append((named.name, "listed with an impossible size or time"))
        elif named.is_file:
            found.files.append(named)
        elif named.is_directory:
            found.directories.append(named)
            below.append(named)
        elif named.is_link and named.target is not None:
            found.links.append(named)
        else:
            found.left_out.append((named.name, "not a regular file or directory"))
    return below
