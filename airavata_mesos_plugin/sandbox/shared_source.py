"""A job that ran in the working directory itself, which its agent shares with this host.

Nothing has to be fetched but the word how the job ended. The wrapper writes that into the working
directory, last of all and by a rename, so whoever sees it sees a directory in which all of the job's files
are. Over NFS another host's new names may be shown late (``acdirmax``, 60 s by default on Linux): until
the word is seen here, the job has not ended for us.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from airavata_mesos_plugin.errors import AlreadyExists, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox import layout, result
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.paths import Root, escape
from airavata_mesos_plugin.sandbox.source import Entry, Origin, Source, Transfers


class SharedSource:
    """`Source` without files. Not to be used by two fetches at once."""

    shows_links = True

    def __init__(self, origin: Origin, agent: Source) -> None:
        """``agent`` is the job's sandbox, where the wrapper leaves its word too."""
        told = dict(origin.details)
        self._directory = told["directory"]
        self._name = told["result"]
        self._agent = agent

    def entries(self, directory: str, abort: Abort | None = None) -> list[Entry]:  # noqa: ARG002 - the same
        """Nothing: the files are where they belong."""
        return []

    @contextlib.contextmanager
    def transfers(self, abort: Abort, most: int, *, long: bool = False) -> Iterator[Transfers]:  # noqa: ARG002
        raise AssertionError("there is nothing to fetch")
        yield

    def resumes(self, size: int, offset: int) -> bool:  # noqa: ARG002 - whatever they are
        """Never: nothing is fetched."""
        return False

    def read(self, name: str, limit: int) -> bytes:
        """The word in the working directory; what the sandbox has where no word can be expected there.

        Raises TransferError while the sandbox has a word that is not visible here.
        """
        if name != layout.RESULT_FILE:
            return self._agent.read(name, limit)
        with Root(self._directory) as root:
            try:
                content = _content(root, self._name, limit)
            except (FileNotFoundError, UnsafePath, AlreadyExists):
                content = b""
            if result.parse(content) is not None:
                _look_everywhere(root)
                return content
        content = self._agent.read(name, limit)
        told = result.parse(content)
        if told is None or told.reason:
            return content  # the script did not run, so it left nothing to wait for
        raise TransferError(
            f"the end of the job is not visible in {escape(self._directory)} yet",
            advice="check that the agents see the same directory (shared_path_map), and how long this host"
            " caches it",
        )


def _content(root: Root, name: str, limit: int) -> bytes:
    descriptor = root.open_file(name)
    try:
        return os.pread(descriptor, limit, 0)
    finally:
        os.close(descriptor)


def _look_everywhere(root: Root) -> None:
    """Open and list each directory: that makes an NFS client ask its server for what has changed."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        prefix = f"{directory}/" if directory else ""
        try:
            descriptor = root.open_directory(directory)
        except (OSError, UnsafePath, AlreadyExists):
            continue  # not ours to read
        try:
            with os.scandir(descriptor) as entries:
                waiting += [prefix + entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        finally:
            os.close(descriptor)
