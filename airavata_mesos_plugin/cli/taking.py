"""Files of jobs on their way to a directory of this host: whole, beside their names first."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from rich.console import Console
from rich.markup import escape as plain
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from airavata_mesos_plugin.cli.view import visible
from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, NotFound, Refused
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.paths import Root, create_at, escape, remove_at, rename_at
from airavata_mesos_plugin.service.client import DaemonClient

Document = dict[str, Any]
Told = Callable[[int], None]

_FIRST_OWNER = 10**12
"""Part files of a person's own transfers have numbers that no job has, so no fetch takes them for its own."""


class Taker:
    """Takes files of one job into one directory."""

    def __init__(self, daemon: DaemonClient, job_id: int, target: str, may_place: Callable[[], bool]) -> None:
        """``may_place`` is asked right before a file gets its name; where it says no, the file is dropped."""
        self._daemon = daemon
        self._job_id = job_id
        self._target = target
        self._may_place = may_place

    def take(self, place: str, files: Sequence[Document], bars: Progress) -> tuple[list[Document], list[str]]:
        """What was taken, each with the number of its bytes, and why others were not.

        Raises InvalidRequest when the directory cannot be written.
        """
        taken: list[Document] = []
        trouble = []
        total = bars.add_task("all", total=sum(file["size"] for file in files)) if len(files) > 1 else None

        with opened_root(self._target, make=True) as root:
            for file in files:
                bar = bars.add_task(plain(visible(file["name"])), total=file["size"])

                def tell(count: int, bar: Any = bar) -> None:
                    bars.advance(bar, count)
                    if total is not None:
                        bars.advance(total, count)

                try:
                    size = self._one(root, place, file, tell)
                except AiravataMesosError as error:
                    trouble.append(f"{escape(file['name'])}: {error}")
                else:
                    if size is not None:
                        taken.append({"name": file["name"], "bytes": size, "listed": file["size"]})
                bars.remove_task(bar)
        return taken, trouble

    def _one(self, root: Root, place: str, file: Document, tell: Told) -> int | None:
        """The number of bytes; None when the file was not to be placed any more."""
        name = file["name"]
        size = 0
        try:
            with placed(root, name, file["mode"] | 0o400, file["mtime"]) as out:
                for piece in self._daemon.stream("content", str(self._job_id), place, name):
                    out.write(piece)
                    size += len(piece)
                    tell(len(piece))
                if not self._may_place():
                    raise _Dropped
        except _Dropped:
            return None
        return size


class _Dropped(Exception):
    """A file is not wanted any more."""


@contextlib.contextmanager
def placed(root: Root, name: str, mode: int, mtime: float | None = None) -> Iterator[BinaryIO]:
    """A file that gets its name when the block has ended well. Raises Refused, AlreadyExists, UnsafePath."""
    try:
        with root.parent(name, lambda _: 0o777) as (fd, base):
            part = layout.part_name(base, _FIRST_OWNER + secrets.randbelow(_FIRST_OWNER))
            opened = create_at(fd, part)
            try:
                with open(opened, "wb") as out:  # noqa: PTH123 - a descriptor
                    yield out
                    out.flush()
                    os.fchmod(opened, mode)
                    if mtime is not None:
                        os.utime(opened, (mtime, mtime))
                rename_at(fd, part, base)
            except BaseException:
                remove_at(fd, part)
                raise
    except OSError as error:
        raise Refused(f"cannot write {escape(name)}: {error.strerror or error}") from error


@contextlib.contextmanager
def opened_root(directory: str, *, make: bool) -> Iterator[Root]:
    """A directory to write into. Raises InvalidRequest when it cannot be opened, or made."""
    try:
        if make:
            os.makedirs(directory, exist_ok=True)  # noqa: PTH103 - a text, which may be no path
        root = Root(directory)
    except OSError as error:
        raise InvalidRequest(f"cannot write to {visible(directory)}: {error.strerror}") from error
    with root:
        yield root


def progress_bars() -> Progress:
    """Sizes and rates on a terminal, and nothing anywhere else."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def chosen(daemon: DaemonClient, job_id: int, which: str, patterns: Sequence[str]) -> Document:
    """The files that patterns name. Raises NotFound when there are none."""
    found: Document = daemon.ask("choose", str(job_id), which, *patterns)
    if not found["files"] and not found["left_out"]:
        where = "the sandbox" if found["place"] == "sandbox" else "the working directory"
        raise NotFound(f"no file in {where} of job {job_id} matches")
    return found
