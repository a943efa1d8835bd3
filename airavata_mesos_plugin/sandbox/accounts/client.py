"""The files of another account, through a process that works as that account.

Nothing that comes from there is trusted: lengths, types and names of errors are checked, and silence has
a limit. What is asked for may be repeated, so a helper that ended between two requests is replaced.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence

from airavata_mesos_plugin import errors
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError, FilesUnavailable, TransferError
from airavata_mesos_plugin.sandbox.accounts import wire
from airavata_mesos_plugin.sandbox.accounts.process import Helper, HelperGone
from airavata_mesos_plugin.sandbox.accounts.relay import served
from airavata_mesos_plugin.sandbox.accounts.report import (
    TEXT_LIMIT,
    clean,
    decode_progress,
    decode_report,
    well_formed,
)
from airavata_mesos_plugin.sandbox.agent.relayed import relayed
from airavata_mesos_plugin.sandbox.inputs.archive import Member
from airavata_mesos_plugin.sandbox.live import local_listing
from airavata_mesos_plugin.sandbox.outputs import push
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport, Progress
from airavata_mesos_plugin.sandbox.outputs.rules import EVERYTHING, OutputRules
from airavata_mesos_plugin.sandbox.source import Entry, Origin
from airavata_mesos_plugin.sandbox.sources import Opener
from airavata_mesos_plugin.sandbox.user_files import ChangedFile, PathFacts, Piece

log = logging.getLogger(__name__)

SILENCE_SECONDS = 20.0
"""How long a helper may say nothing while it works on a request."""

PAUSE_SECONDS = 30.0
"""How long an account's files count as out of reach after they hung."""

AGE_SECONDS = 600.0
"""After this a helper gets no new requests: the account's groups may have changed."""

OVERDUE_SECONDS = 8.0
OVERDUE_CALLS = 4
"""With one request silent for so long, no more than so many of an account wait: they occupy threads. A host
that stands still for some seconds is not yet a reason to refuse any."""

MOST_LOST = 4
"""Helpers of an account that were killed and still hang in the kernel, until no more are started."""

_LOOK_SECONDS = 0.2  # how often a cancel event is looked at
_CHUNK_LIMIT = 16 * 1024 * 1024
_ERRORS: dict[str, type[AiravataMesosError]] = {
    name: getattr(errors, name)
    for name in (
        "AlreadyExists",
        "AuthenticationFailed",
        "InvalidRequest",
        "NotFound",
        "ProtocolError",
        "Refused",
        "SandboxGone",
        "StagingError",
        "TransferError",
        "Unreachable",
        "UnsafePath",
    )
}


class AccountFiles:
    """`UserFiles` of one account."""

    def __init__(
        self,
        user: str,
        start: Callable[[], Helper],
        clock: Clock,
        openers: Mapping[str, Opener] | None = None,
    ) -> None:
        """``start`` gives a new helper that has become the account. ``openers`` open the sources that take
        credentials, which a helper does not get.
        """
        self._openers = openers or {}
        self._user = user
        self._start = start
        self._clock = clock
        self._lock = threading.Lock()
        self._helper: Helper | None = None
        self._old: list[Helper] = []
        self._unreachable_until = float("-inf")
        self._heard: dict[object, float] = {}  # of each request under way, when its helper last spoke
        self.used_at = clock.monotonic()

    @property
    def busy(self) -> bool:
        """Whether requests are under way."""
        return bool(self._heard)

    @property
    def pids(self) -> list[int]:
        """The processes that are there for the account."""
        with self._lock:
            return [helper.pid for helper in (self._helper, *self._old) if helper and helper.alive]

    def retire(self) -> None:
        """Let the helper finish what it has, and end. A later call starts a new one."""
        for helper in self._take_all():
            helper.retire()

    def close(self, seconds: float) -> None:
        """The same, and end it by force when it has not ended after ``seconds``."""
        for helper in self._take_all():
            helper.close(seconds)

    def _take_all(self) -> list[Helper]:
        with self._lock:
            helpers = [helper for helper in (self._helper, *self._old) if helper]
            self._helper, self._old = None, []
        return helpers

    def examine(self, path: str) -> PathFacts:
        answer = self._ask({"kind": "examine", "path": path})
        return PathFacts(answer.text("physical"), answer.flag("is_directory"), answer.flag("writable"))

    def real_path(self, path: str) -> str:
        return self._ask({"kind": "real_path", "path": path}).text("path")

    def take_snapshot(self, directory: str, taken_at: float, excluded: Collection[str]) -> str:
        head = {"kind": "snapshot", "directory": directory, "excluded": sorted(excluded)}
        text = self._ask({**head, "taken_at": repr(taken_at)}).body
        return _ascii(text)

    def changed(
        self, directory: str, snapshot_text: str, taken_at: float, excluded: Collection[str]
    ) -> list[ChangedFile]:
        head = {"kind": "changed", "directory": directory, "excluded": sorted(excluded)}
        body = self._ask({**head, "taken_at": repr(taken_at)}, [snapshot_text.encode("ascii")]).body
        with well_formed():
            return [ChangedFile(str(name), int(size)) for name, size in json.loads(body)]

    def open_archive(
        self, directory: str, snapshot_text: str, extra: Sequence[Member], *, start: int = 0
    ) -> Iterator[bytes]:
        head = {
            "kind": "archive",
            "directory": directory,
            "start": start,
            "extra": [(member.name, member.mode, len(member.content)) for member in extra],
        }
        body = [*(member.content for member in extra), snapshot_text.encode("ascii")]
        with contextlib.closing(self._frames(head, body, _CHUNK_LIMIT)) as frames:
            for frame in frames:
                if frame.kind == "data":
                    yield frame.body

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
        origin = relayed(origin)
        rules_text = json.dumps(rules.to_document()).encode("ascii")
        head = {
            "kind": "fetch",
            "method": origin.method,
            "agent_url": origin.address.agent_url,
            "sandbox": origin.address.path,
            "details": origin.details,
            "directory": directory,
            "job_id": job_id,
            "into": into,
            "keep": keep,
            "rules": len(rules_text),
        }

        def alive(frame: wire.Frame) -> None:
            if progress is not None:
                for told in decode_progress(frame):
                    progress(told)

        body = [rules_text, snapshot_text.encode("ascii")]
        with contextlib.ExitStack() as stack:
            opener = self._openers.get(origin.method)
            more = None
            if opener is not None:
                source = stack.enter_context(opener(origin))
                more = _More(sockets=stack.enter_context(served(source)))
            return decode_report(self._ask(head, body, cancel, alive, more).body)

    def give_up_fetch(self, directory: str, job_id: int, into: str = "") -> tuple[int, int]:
        answer = self._ask({"kind": "give_up", "directory": directory, "job_id": job_id, "into": into})
        return answer.number("files"), answer.number("bytes")

    def receive(self, directory: str, name: str, chunks: Iterable[bytes]) -> str:
        head = {"kind": "receive", "directory": directory, "name": name}
        return clean(self._ask(head, more=_More(chunks)).body.decode(errors="replace"), push.SAID_BYTES)

    def discard(self, directory: str, names: Sequence[str]) -> None:
        self._ask({"kind": "discard", "directory": directory, "names": list(names)})

    def read_local(self, directory: str, name: str, offset: int, limit: int) -> Piece:
        head = {"kind": "read", "directory": directory, "name": name, "offset": offset, "limit": limit}
        answer = self._ask(head)
        return Piece(answer.body[:limit], answer.number("offset"), answer.flag("at_end"))

    def list_local(self, directory: str, name: str) -> list[Entry]:
        body = self._ask({"kind": "list", "directory": directory, "name": name}).body
        with well_formed():
            return local_listing.from_json(body)

    def _ask(
        self,
        head: Mapping[str, object],
        body: Sequence[bytes] = (),
        cancel: threading.Event | None = None,
        alive: Callable[[wire.Frame], None] | None = None,
        more: _More | None = None,
    ) -> wire.Frame:
        with contextlib.closing(self._frames(head, body, wire.BODY_LIMIT, cancel, alive, more)) as frames:
            for frame in frames:
                if frame.kind == "done":
                    return frame
        raise wire.Malformed(f"the helper of {self._user} gave no answer")

    def _frames(
        self,
        head: Mapping[str, object],
        body: Sequence[bytes],
        body_limit: int,
        cancel: threading.Event | None = None,
        alive: Callable[[wire.Frame], None] | None = None,
        more: _More | None = None,
    ) -> Generator[wire.Frame, None, None]:
        """The frames of an answer up to the last; its signs of life go to ``alive``.

        Raises the error that the helper met.
        """
        again = True
        while True:
            helper, fresh = self._ready()
            token = object()
            spoken = False
            self._heard[token] = self.used_at = self._clock.monotonic()
            try:
                conversation = self._converse(helper, token, head, body, body_limit, cancel, more)
                with contextlib.closing(conversation) as frames:
                    for frame in frames:
                        spoken = True
                        _raise_error(frame, self._user)
                        if frame.kind != "alive":
                            yield frame
                        elif alive is not None:
                            alive(frame)
                        if frame.kind == "done":
                            return
            except (HelperGone, wire.PeerGone) as error:
                self._put_away(helper)
                if spoken or fresh or not again or (more is not None and more.begun):
                    raise TransferError(
                        f"the helper process for the files of {self._user} ended in the middle",
                        advice="it is started again with the next try",
                    ) from error
                again = False  # it had ended before it saw the request
            except TimeoutError as error:
                self._hangs(helper)
                raise self._unavailable(f"did not answer for {SILENCE_SECONDS:.0f} s") from error
            except wire.Malformed:
                helper.kill()
                self._put_away(helper)
                raise
            finally:
                del self._heard[token]

    def _converse(
        self,
        helper: Helper,
        token: object,
        head: Mapping[str, object],
        body: Sequence[bytes],
        body_limit: int,
        cancel: threading.Event | None,
        more: _More | None,
    ) -> Generator[wire.Frame, None, None]:
        with helper.open(more.sockets if more else ()) as connection:
            connection.settimeout(SILENCE_SECONDS)
            wire.send(connection, head, body)
            if more is not None:
                self._send_more(connection, token, more)
            receiver = wire.Receiver(connection)
            connection.settimeout(SILENCE_SECONDS if cancel is None else _LOOK_SECONDS)
            while True:
                if cancel is not None and cancel.is_set():
                    raise TransferError("the fetch was stopped before all outputs had arrived")
                try:
                    frame = receiver.receive(body_limit)
                except TimeoutError:
                    if self._clock.monotonic() - self._heard[token] >= SILENCE_SECONDS:
                        raise
                    continue
                self._heard[token] = float(
                    "inf"
                )  # while the taker has the frame, nobody waits for the helper
                yield frame
                self._heard[token] = self._clock.monotonic()

    def _send_more(self, connection: socket.socket, token: object, more: _More) -> None:
        """A helper that does not take it all has said why, which is read as its answer."""
        with contextlib.suppress(wire.PeerGone):
            for chunk in more:
                self._heard[token] = self._clock.monotonic()
                wire.send(connection, {"kind": "data"}, (chunk,))
                self._heard[token] = float("inf")  # it waits for us
            if not more.sockets:
                wire.send(connection, {"kind": "end"})
        self._heard[token] = self._clock.monotonic()

    def _ready(self) -> tuple[Helper, bool]:
        """A helper for one more request, and whether it is new. Raises FilesUnavailable."""
        now = self._clock.monotonic()
        with self._lock:
            if now < self._unreachable_until:
                raise self._unavailable("did not answer a moment ago")
            silent = [heard for heard in tuple(self._heard.values()) if now - heard > OVERDUE_SECONDS]
            if silent and len(self._heard) >= OVERDUE_CALLS:
                raise self._unavailable(f"keep {len(self._heard)} requests waiting")
            helper = self._helper
            if helper is not None and (not helper.alive or now - helper.started_at > AGE_SECONDS):
                helper.retire()
                self._old.append(helper)
                self._helper = None
            self._old = [old for old in self._old if old.alive]
            if self._helper is not None:
                return self._helper, False
            lost = sum(old.lost for old in self._old)
            if lost >= MOST_LOST:
                raise self._unavailable(f"keep {lost} helper processes hanging")
            self._helper = self._start()
            return self._helper, True

    def _put_away(self, helper: Helper) -> None:
        helper.retire()
        with self._lock:
            if self._helper is helper:
                self._helper = None
                self._old.append(helper)

    def _hangs(self, helper: Helper) -> None:
        log.warning("the helper of %s hangs and is ended", self._user)
        helper.kill()
        self._put_away(helper)
        self._unreachable_until = self._clock.monotonic() + PAUSE_SECONDS

    def _unavailable(self, why: str) -> FilesUnavailable:
        return FilesUnavailable(
            f"the files of {self._user} {why}", advice="look at the file systems that they are on"
        )


class _More:
    """What goes with a request, and what follows it; it can be sent once only."""

    def __init__(self, chunks: Iterable[bytes] = (), sockets: Sequence[socket.socket] = ()) -> None:
        self._chunks = chunks
        self.sockets = sockets
        self.begun = False

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        return iter(self._chunks)


def _raise_error(frame: wire.Frame, user: str) -> None:
    if frame.kind == "error":
        kind = _ERRORS.get(frame.text("name"))
        if kind is None:
            raise wire.Malformed(f"the helper of {user} tells of an unknown error")
        raise kind(clean(frame.text("message")), advice=clean(frame.text("advice")))
    if frame.kind == "os":
        number = frame.number("errno")
        raise OSError(number, os.strerror(number))
    if frame.kind == "fault":
        log.error("fault in the helper of %s: %s", user, clean(frame.text("text"), 2 * TEXT_LIMIT))
        raise TransferError(f"the helper process for the files of {user} has a fault")
    if frame.kind not in ("alive", "data", "done"):
        raise wire.Malformed(f"the helper of {user} sends a message of an unknown kind")


def _ascii(text: bytes) -> str:
    with well_formed():
        return text.decode("ascii")
