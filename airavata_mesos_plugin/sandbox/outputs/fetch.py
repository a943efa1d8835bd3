"""The fetch engine: brings what is new or changed in a sandbox into the working directory.

A fetch lists the sandbox, makes a plan of what is wanted and not there yet, and transfers that. Each file is
written beside its name and then renamed, so a reader sees it whole or not at all. A manifest lets another
try go on where an earlier one was broken off.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import AlreadyExists, NotFound, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox import layout, result
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.outputs import plan
from airavata_mesos_plugin.sandbox.outputs.changes import Changes
from airavata_mesos_plugin.sandbox.outputs.listing import list_tree
from airavata_mesos_plugin.sandbox.outputs.manifest import Manifest, read_counts
from airavata_mesos_plugin.sandbox.outputs.placing import Place, local_error, remove_parts
from airavata_mesos_plugin.sandbox.outputs.rules import EVERYTHING, OutputRules
from airavata_mesos_plugin.sandbox.outputs.transfer import Transfer
from airavata_mesos_plugin.sandbox.paths import Root, escape
from airavata_mesos_plugin.sandbox.result import WrapperResult
from airavata_mesos_plugin.sandbox.source import Origin, Source
from airavata_mesos_plugin.sandbox.sources import FILES_API, Opener, Sources
from airavata_mesos_plugin.schedulers.base import SandboxAddress

MOST_LEFT_OUT = 1000
"""Names that a report gives of what was left out; more are only counted."""

_T = TypeVar("_T")
_LOOK_SECONDS = 0.1  # how often the cancel event is looked at and progress is told


@dataclass(frozen=True)
class Progress:
    """How far a fetch has come, with what earlier tries brought; the totals are what the listing said."""

    files: int
    files_total: int
    bytes: int
    bytes_total: int


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did.

    ``files`` and ``bytes`` were brought now, ``present`` files had come with earlier tries; all of them have
    ``size`` bytes. ``has_nodes``: the job has something of its own called `layout.NODES`. ``left_out`` holds
    names as the source gave them (use `paths.escape` to show them) and the reasons, at most `MOST_LEFT_OUT`
    of ``left_out_count``; ``excluded`` files are not wanted and not among them. ``result`` is None when the
    wrapper left none.
    """

    files: int
    bytes: int
    left_out: tuple[tuple[str, str], ...]
    result: WrapperResult | None
    seconds: float
    left_out_count: int = 0
    excluded: int = 0
    present: int = 0
    size: int = 0
    has_nodes: bool = False


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
        rules: OutputRules = EVERYTHING,
        progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        into: str = "",
        keep: bool = False,
    ) -> FetchReport:
        """Bring everything that is new or changed since ``snapshot`` into ``working_directory``.

        Files that cannot or must not be written are named in the report; everything else is there, whole,
        when this returns. Repeatable: after an error, files that arrived are not fetched again, and large
        ones go on where they were if the source can do that; after success everything is fetched anew,
        unless ``keep`` was set: then the manifest is the caller's to remove. An address alone as ``origin``
        means the files API. ``progress`` is called from the calling thread, some times a second. ``into``
        names a directory of the working directory which stands for it; it is made if something comes.

        Raises UnsafePath or AlreadyExists when ``into`` cannot be made; SandboxGone when the sandbox has been
        collected; TransferError, Unreachable, Refused or ProtocolError when not all could be brought over,
        also when ``cancel`` was set: files that are there already stay.
        """
        started = self._clock.monotonic()
        if isinstance(origin, SandboxAddress):
            origin = Origin(FILES_API, origin)
        with _open(working_directory) as root, self._sources.open(origin) as source:
            try:
                manifest = Manifest(root, job_id, origin)
                try:
                    with _target(root, into) as target:
                        place = Place(target, job_id, manifest)
                        transfer = self._run(source, place, snapshot, job_id, rules, progress, cancel)
                    ended = _result(source)
                finally:
                    manifest.close()
                if not keep:
                    manifest.remove()
            except OSError as error:
                raise local_error(error, layout.manifest_name(job_id)) from error
        made = transfer.plan
        left_out = [*made.left_out, *transfer.left_out]
        return FetchReport(
            files=transfer.tally.files,
            bytes=transfer.tally.bytes,
            left_out=tuple(left_out[:MOST_LEFT_OUT]),
            result=ended,
            seconds=self._clock.monotonic() - started,
            left_out_count=len(left_out),
            excluded=made.excluded,
            present=made.present,
            size=made.size,
            has_nodes=made.has_nodes or _is_in_the_way(layout.NODES, snapshot),
        )

    def _run(
        self,
        source: Source,
        place: Place,
        snapshot: Snapshot,
        job_id: int,
        rules: OutputRules,
        progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
    ) -> Transfer:
        changes = Changes(snapshot)
        abort = Abort()
        connections = self._settings.connections
        # One more thread than connections: with a single one there may still be large and small files.
        with ThreadPoolExecutor(connections + 1, thread_name_prefix=f"fetch-{job_id}") as pool:
            try:
                # The listing itself runs on a thread of its own, so that a cancel reaches it; its look-ups
                # need the pool's threads.
                with ThreadPoolExecutor(1, thread_name_prefix=f"list-{job_id}") as lister:
                    task = lister.submit(list_tree, source, pool, abort, changes.is_sent_link)
                    (listing,) = _await([task], abort, cancel)
                made = plan.make(listing, changes, rules, place, source)
                made.left_out += place.make_directories(listing.directories, made.directories)
                transfer = Transfer(source, place, made, rules, abort)
                workers = transfer.workers(connections)

                def tell() -> None:
                    if progress is not None:
                        progress(_progress(transfer))

                _await([pool.submit(worker.run) for worker in workers], abort, cancel, tell)
                tell()
                transfer.finish()
            finally:
                abort.abort()  # nothing may go on when the caller has its answer
        return transfer


def give_up(working_directory: str | Path, job_id: int, into: str = "") -> tuple[int, int]:
    """No other try will follow: remove part files and manifest.

    Returns how many files and bytes had arrived, as the manifest tells; they stay. ``into`` as for the fetch.
    Repeatable. Raises TransferError.
    """
    with _open(working_directory) as root:
        arrived = read_counts(root, job_id)
        try:
            if not into:
                remove_parts(root, job_id)
            else:
                with (
                    contextlib.suppress(FileNotFoundError, UnsafePath, AlreadyExists),
                    root.below(into) as target,
                ):
                    remove_parts(target, job_id)
            root.remove(layout.manifest_name(job_id))
        except OSError as error:
            raise local_error(error, layout.manifest_name(job_id)) from error
    return arrived


def _open(working_directory: str | Path) -> Root:
    try:
        return Root(working_directory)
    except OSError as error:
        raise TransferError(
            f"cannot open the working directory {escape(str(working_directory))}: {error.strerror}",
            advice="the outputs stay in the sandbox until the agent collects it",
        ) from error


@contextlib.contextmanager
def _target(root: Root, into: str) -> Iterator[Root]:
    """The directory that files go into."""
    if not into:
        yield root
        return
    mode = root.mode | 0o700
    try:
        with root.below(into, lambda _: mode) as target:
            yield target
    finally:
        root.prune(into)


def _progress(transfer: Transfer) -> Progress:
    made, tally = transfer.plan, transfer.tally
    begun = sum(made.offsets.values())
    done = made.present_bytes + begun + tally.bytes
    return Progress(
        made.present + tally.files,
        made.present + len(made.files),
        done,
        max(made.present_bytes + begun + made.bytes, done),
    )


def _is_in_the_way(name: str, snapshot: Snapshot) -> bool:
    """Whether the working directory had something called so that is no directory."""
    others = (name for name, _ in snapshot.left_out)
    return name in {*(file.name for file in snapshot.files), *(link.name for link in snapshot.links), *others}


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
