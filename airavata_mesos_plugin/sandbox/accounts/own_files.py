"""The files that this process reaches with its own rights, for a daemon that serves its own account."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from airavata_mesos_plugin.sandbox.inputs import archive, snapshot
from airavata_mesos_plugin.sandbox.live import local_listing
from airavata_mesos_plugin.sandbox.outputs import push
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher, FetchReport, Progress, give_up
from airavata_mesos_plugin.sandbox.outputs.rules import EVERYTHING, OutputRules
from airavata_mesos_plugin.sandbox.paths import Root
from airavata_mesos_plugin.sandbox.source import Entry, Origin
from airavata_mesos_plugin.sandbox.user_files import ChangedFile, PathFacts, Piece


class OwnPaths:
    """`PathRights` of this process."""

    def examine(self, path: str) -> PathFacts:
        physical = os.path.realpath(path, strict=True)
        mode = Path(physical).stat().st_mode
        return PathFacts(physical, stat.S_ISDIR(mode), os.access(physical, os.W_OK | os.X_OK))

    def real_path(self, path: str) -> str:
        return os.path.realpath(path)


class OwnFiles(OwnPaths):
    """`UserFiles` of this process."""

    def __init__(self, fetcher: Fetcher) -> None:
        """``fetcher`` stays the caller's to close."""
        self._fetcher = fetcher

    def take_snapshot(self, directory: str, taken_at: float, excluded: Collection[str]) -> str:
        return snapshot.take(directory, taken_at, excluded).to_json()

    def changed(
        self, directory: str, snapshot_text: str, taken_at: float, excluded: Collection[str]
    ) -> list[ChangedFile]:
        before = {_look(file) for file in snapshot.Snapshot.from_json(snapshot_text).files}
        now = snapshot.take(directory, taken_at, excluded)
        return [ChangedFile(file.name, file.size) for file in now.files if _look(file) not in before]

    def open_archive(
        self, directory: str, snapshot_text: str, extra: Sequence[archive.Member], *, start: int = 0
    ) -> Iterator[bytes]:
        return archive.stream(directory, snapshot.Snapshot.from_json(snapshot_text), extra, start=start)

    def fetch(
        self,
        origin: Origin,
        directory: str,
        snapshot_text: str,
        *,
        job_id: int,
        rules: OutputRules = EVERYTHING,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        into: str = "",
        keep: bool = False,
    ) -> FetchReport:
        return self._fetcher.fetch(
            origin,
            Path(directory),
            snapshot.Snapshot.from_json(snapshot_text),
            job_id=job_id,
            rules=rules,
            progress=progress,
            cancel=cancel,
            into=into,
            keep=keep,
        )

    def give_up_fetch(self, directory: str, job_id: int, into: str = "") -> tuple[int, int]:
        return give_up(directory, job_id, into)

    def receive(self, directory: str, name: str, chunks: Iterable[bytes]) -> str:
        return push.receive(directory, name, chunks)

    def discard(self, directory: str, names: Sequence[str]) -> None:
        push.discard(directory, names)

    def read_local(self, directory: str, name: str, offset: int, limit: int) -> Piece:
        with Root(directory) as root:
            descriptor = root.open_file(name)
        try:
            if offset < 0:
                offset = max(0, os.fstat(descriptor).st_size + offset)
            data = os.pread(descriptor, limit, offset)
        finally:
            os.close(descriptor)
        return Piece(data, offset, at_end=len(data) < limit)

    def list_local(self, directory: str, name: str) -> list[Entry]:
        return local_listing.entries(directory, name)


def _look(file: snapshot.SentFile) -> tuple[str, int, int]:
    """What tells an input from an output: agents list whole seconds, so a file that came back has no more."""
    return file.name, file.size, file.mtime_ns // 10**9
