"""The fetch engine: brings what is new or changed in a sandbox into the working directory.

Each file is written beside its name and then renamed, so a reader sees it whole or not at all. Files are
not synchronised to disk one by one: after a crash of this host the fetch is done again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AlreadyExists,
    NotFound,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox import layout, result
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.changes import Changes, Wanted
from airavata_mesos_plugin.sandbox.files_api import FilesClient
from airavata_mesos_plugin.sandbox.listing import Listing, list_tree
from airavata_mesos_plugin.sandbox.paths import Root, create_at, escape, remove_at, rename_at
from airavata_mesos_plugin.sandbox.result import WrapperResult
from airavata_mesos_plugin.sandbox.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.source import Body, Entry, Origin, Source
from airavata_mesos_plugin.sandbox.sources import Opener, Sources
from airavata_mesos_plugin.schedulers.base import SandboxAddress

_T = TypeVar("_T")
_LOOK_SECONDS = 0.1  # how often the cancel event is looked at and progress is told
_LARGE_BYTES = 1024 * 1024
_BATCH = 256  # files until a connection is offered to other fetches from the same agent
_MOST_ERRORS = 8  # files that fail until the fetch is given up
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Progress:
    """How far a fetch has come; the totals are what the listing said."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did.

    ``left_out`` holds names as the agent gave them (use `paths.escape` to show them) and the reasons.
    ``result`` is None when the wrapper left none.
    """

    files: int
    bytes: int
    left_out: tuple[tuple[str, str], ...]
    result: WrapperResult | None
    seconds: float


@dataclass
class _Tally:
    """One worker's own counts, so that counting needs no lock."""

    files: int = 0
    bytes: int = 0


@dataclass
class _Run:
    """One fetch while it goes on."""

    source: Source
    root: Root
    job_id: int
    abort: Abort
    modes: dict[str, int] = field(default_factory=dict)  # of directories, by name
    left_out: list[tuple[str, str]] = field(default_factory=list)
    errors: list[AiravataMesosError] = field(default_factory=list)
    vanished: bool = False

    def fail(self, error: AiravataMesosError, *, at_once: bool = True) -> None:
        """Take up an error. Those that come after the end are its consequence and say nothing."""
        if not self.abort.aborted:
            self.errors.append(error)
            if at_once:
                self.abort.abort()


class Fetcher:
    """Fetches outputs. Safe to use from several threads; they share the connections to each agent."""

    def __init__(
        self,
        settings: FetchSettings,
        clock: Clock,
        client: FilesClient | None = None,
        openers: Mapping[str, Opener] | None = None,
    ) -> None:
        """``client`` is for callers who read sandboxes in other ways too; it stays theirs to close.
        ``openers`` are the methods besides the files API.
        """
        self._settings = settings
        self._clock = clock
        self._client = FilesClient(settings) if client is None else client
        self._owns_client = client is None
        self._sources = Sources(self._client, openers)

    def close(self) -> None:
        """Give up the idle connections. Repeatable."""
        if self._owns_client:
            self._client.close()

    def fetch(
        self,
        origin: Origin | SandboxAddress,
        working_directory: str | Path,
        snapshot: Snapshot,
        *,
        job_id: int,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> FetchReport:
        """Bring everything that is new or changed since ``snapshot`` into ``working_directory``.

        Files that cannot or must not be written are named in the report; everything else is there, whole,
        when this returns. Repeatable: what arrived before is fetched anew, part files of an earlier try of
        this job are removed. An address alone as ``origin`` means the files API. ``progress`` is called
        from the calling thread, some times a second.

        Raises SandboxGone when the sandbox has been collected; TransferError, Unreachable, Refused or
        ProtocolError when not all could be brought over, also when ``cancel`` was set: files that are
        there already stay.
        """
        started = self._clock.monotonic()
        try:
            root = Root(working_directory)
        except OSError as error:
            raise TransferError(
                f"cannot open the working directory {escape(str(working_directory))}: {error.strerror}",
                advice="the outputs stay in the sandbox until the agent collects it",
            ) from error
        with root, self._sources.open(origin) as source:
            run = _Run(source, root, job_id, Abort())
            # One more thread than connections: with a single one there may still be large and small files.
            with ThreadPoolExecutor(
                self._settings.connections + 1, thread_name_prefix=f"fetch-{job_id}"
            ) as pool:
                try:
                    tallies = self._run(run, pool, snapshot, progress, cancel)
                finally:
                    run.abort.abort()  # nothing may go on when the caller has its answer
            return FetchReport(
                files=sum(tally.files for tally in tallies),
                bytes=sum(tally.bytes for tally in tallies),
                left_out=tuple(run.left_out),
                result=_result(source),
                seconds=self._clock.monotonic() - started,
            )

    def _run(
        self,
        run: _Run,
        pool: ThreadPoolExecutor,
        snapshot: Snapshot,
        progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
    ) -> list[_Tally]:
        changes = Changes(snapshot)
        # The listing itself runs on a thread of its own, so that a cancel reaches it; its look-ups need
        # the pool's threads.
        with ThreadPoolExecutor(1, thread_name_prefix=f"list-{run.job_id}") as lister:
            task = lister.submit(list_tree, run.source, pool, run.abort, changes.is_sent_link)
            (listing,) = _await([task], run.abort, cancel)
        run.left_out += listing.left_out
        wanted = changes.wanted(listing.files, listing.directories)
        _remove_parts(run.root, run.job_id)
        _make_directories(run, listing, wanted)
        workers = self._workers(wanted.files)
        tallies = [tally for _, tally, _ in workers]
        total = sum(entry.size for entry in wanted.files)

        def tell() -> None:
            if progress is not None:
                files = sum(tally.files for tally in tallies)
                done = sum(tally.bytes for tally in tallies)
                progress(Progress(files, len(wanted.files), done, max(total, done)))

        _await([pool.submit(_work, run, *worker) for worker in workers], run.abort, cancel, tell)
        tell()
        if run.errors:
            raise run.errors[0]
        if run.vanished:
            # One file may vanish; when the whole sandbox did, this raises.
            run.source.entries("", run.abort)
        return tallies

    def _workers(self, files: list[Entry]) -> list[tuple[deque[Entry], _Tally, int]]:
        """The queue, the counts and the number of connections of each worker.

        Large files get a thread each, which copies with little help of the interpreter. All small ones
        together get one thread with the other connections.
        """
        # The largest first: the end of the fetch is then not one large file on one connection.
        by_size = sorted(files, key=lambda entry: -entry.size)
        large = deque(entry for entry in by_size if entry.size >= _LARGE_BYTES)
        small = deque(entry for entry in by_size if entry.size < _LARGE_BYTES)
        connections = self._settings.connections
        threads = min(len(large), max(1, connections // 2) if small else connections)
        workers = [(large, _Tally(), 1) for _ in range(threads)]
        if small:
            workers.append((small, _Tally(), max(1, connections - threads)))
        return workers


def _result(source: Source) -> WrapperResult | None:
    try:
        content = source.read(layout.RESULT_FILE, result.MAX_BYTES + 1)
    except (NotFound, UnsafePath):
        return None
    return result.parse(content)


def _await(
    tasks: list[Future[_T]],
    abort: Abort,
    cancel: threading.Event | None,
    tell: Callable[[], None] | None = None,
) -> list[_T]:
    """Results of all tasks. Raises TransferError, after ending them, when ``cancel`` is set."""
    try:
        return _watch(tasks, abort, cancel, tell)
    except BaseException:
        # Also for an interrupt from the keyboard: leaving the pools waits for their threads.
        abort.abort()
        raise


def _watch(
    tasks: list[Future[_T]],
    abort: Abort,
    cancel: threading.Event | None,
    tell: Callable[[], None] | None,
) -> list[_T]:
    while True:
        done, waiting = wait(tasks, timeout=_LOOK_SECONDS, return_when=FIRST_EXCEPTION)
        if cancel is not None and cancel.is_set():
            raise TransferError("the fetch was stopped before all outputs had arrived")
        if any(task.exception() is not None for task in done):
            abort.abort()
            waiting = wait(tasks).not_done
        if not waiting:
            return [task.result() for task in tasks]
        if tell is not None:
            tell()


def _work(run: _Run, queue: deque[Entry], tally: _Tally, connections: int) -> None:
    """One worker: take files from the queue until it is empty or the fetch is over."""
    while queue and not run.abort.aborted:
        try:
            with run.source.transfers(run.abort, connections) as transfers:
                for entry, body in transfers.each(_batch(run, queue)):
                    _try(run, entry, body, tally)
        except AiravataMesosError as error:  # no connection was to be had, or it is all over
            run.fail(error)


def _batch(run: _Run, queue: deque[Entry]) -> Iterator[Entry]:
    for _ in range(_BATCH):
        if run.abort.aborted:
            return
        try:
            yield queue.popleft()
        except IndexError:
            return


def _try(run: _Run, entry: Entry, body: Body | AiravataMesosError, tally: _Tally) -> None:
    try:
        if isinstance(body, AiravataMesosError):
            raise body
        _store(run, entry, body, tally)
    except NotFound:
        run.vanished = True
        run.left_out.append((entry.name, "vanished before it was fetched"))
    except (UnsafePath, AlreadyExists) as error:
        run.left_out.append((entry.name, error.message))
    except TransferError as error:
        # One bad file must not keep the others away; a bad agent or a full disk shows itself soon.
        run.fail(error, at_once=len(run.errors) + 1 >= _MOST_ERRORS)
    except AiravataMesosError as error:
        run.fail(error)


def _store(run: _Run, entry: Entry, body: Body, tally: _Tally) -> None:
    try:
        with run.root.parent(entry.name, lambda name: run.modes.get(name, 0o700)) as (fd, base):
            part = layout.part_name(base, run.job_id)
            opened = create_at(fd, part)
            try:
                with _closing(opened):
                    for view in body.chunks():
                        _write(opened, view)
                        tally.bytes += len(view)
                    # The owner can read what he asked for, whatever the job did.
                    os.fchmod(opened, entry.mode | 0o400)
                    os.utime(opened, (entry.mtime, entry.mtime))
                rename_at(fd, part, base)
            except BaseException:
                remove_at(fd, part)
                raise
            tally.files += 1
    except OSError as error:
        raise _local_error(error, entry.name) from error


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)


def _write(fd: int, view: memoryview) -> None:
    written = os.write(fd, view)
    while written < len(view):
        written += os.write(fd, view[written:])


def _local_error(error: OSError, name: str) -> AiravataMesosError:
    shown = escape(name)
    if error.errno in _NO_SPACE:
        return TransferError(
            f"no room for the output {shown}: {error.strerror}",
            advice="free space in the working directory's file system; the fetch is then tried again",
        )
    if error.errno == errno.ENAMETOOLONG:
        return UnsafePath("the name is too long for the working directory's file system")
    return TransferError(
        f"cannot write the output {shown}: {error.strerror}",
        advice="check that the working directory is there and writable",
    )


def _remove_parts(root: Root, job_id: int) -> None:
    """Remove what an earlier try of this job left behind; other jobs may be writing theirs."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        prefix = f"{directory}/" if directory else ""
        try:
            fd = root.open_directory(directory)
        except (OSError, UnsafePath, AlreadyExists):
            continue  # not one that an earlier try could write into
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if layout.part_owner(entry.name) == job_id:
                        remove_at(fd, entry.name)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(prefix + entry.name)
        except OSError as error:
            raise _local_error(error, directory or ".") from error
        finally:
            os.close(fd)


def _make_directories(run: _Run, listing: Listing, wanted: Wanted) -> None:
    # We have to write into them, now and when the fetch is repeated.
    run.modes.update((entry.name, entry.mode | 0o700) for entry in listing.directories)
    for entry in wanted.directories:
        try:
            run.root.make_directory(entry.name, lambda name: run.modes.get(name, 0o700))
        except (UnsafePath, AlreadyExists) as error:
            run.left_out.append((entry.name, error.message))
        except OSError as error:
            failure = _local_error(error, entry.name)
            if not isinstance(failure, UnsafePath):
                raise failure from error
            run.left_out.append((entry.name, failure.message))
