"""Which files of a sandbox are new or changed, seen from the snapshot of the inputs."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.source import Entry


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched."""

    files: list[Entry]
    directories: list[Entry]  # new ones; also those without files


class Changes:
    """Compares listings with one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._files = {
            item.name: (item.size, snapshot.sent_mtime_ns(item) // 10**9) for item in snapshot.files
        }
        self._targets = {item.name: item.target for item in snapshot.links}
        self._directories = {item.name for item in snapshot.directories}
        # Where each link leads, with links on the way followed as far as one look goes.
        self._links = {
            item.name: posixpath.normpath(posixpath.join(posixpath.dirname(item.name), item.target))
            for item in snapshot.links
        }

    def is_sent_link(self, entry: Entry) -> bool:
        """True for a directory that is listed where a link was sent; what it shows is in its target."""
        return entry.is_directory and entry.name in self._links

    def wanted(self, files: list[Entry], directories: list[Entry]) -> Wanted:
        """The new and changed ones. A file is unchanged when size and second of its time are."""
        listed = {entry.name: entry for entry in files}
        return Wanted(
            [entry for entry in files if self._is_changed(entry, listed)],
            [entry for entry in directories if entry.name not in self._directories],
        )

    def is_same_link(self, entry: Entry) -> bool:
        """Whether a link that the source shows as one was sent like this."""
        return self._targets.get(entry.name) == entry.target

    def _is_changed(self, entry: Entry, listed: dict[str, Entry]) -> bool:
        known = self._files.get(entry.name)
        if known is None:
            return not self._is_link_to_same(entry, listed)
        return known != (entry.size, entry.mtime)

    def _is_link_to_same(self, entry: Entry, listed: dict[str, Entry]) -> bool:
        """Whether the file is the one that a link we sent leads to: agents list links as their targets."""
        if entry.name not in self._links:
            return False
        target: str | None = entry.name
        for _ in range(len(self._links)):
            target = self._links.get(target) if target is not None else None
            if target is None or target not in self._links:
                break
        end = listed.get(target) if target is not None else None
        return end is not None and (end.size, end.mtime, end.mode, end.nlink) == (
            entry.size,
            entry.mtime,
            entry.mode,
            entry.nlink,
        )
