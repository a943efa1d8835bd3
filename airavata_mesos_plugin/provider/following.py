"""Following a file of a job from its first byte to its last: through its runs, and from the sandbox to the
working directory.

Nothing is kept here but addresses. Whoever follows holds a cursor and gives it back with each call, so any
number may follow, and go on after this provider was started anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, NotFound, SandboxGone
from airavata_mesos_plugin.filenames import expand
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider.places import Places, has_sandbox
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.live.tail import MOST_ROTATED, Changed, Mark, Step, Tail
from airavata_mesos_plugin.sandbox.live.windows import Window
from airavata_mesos_plugin.sandbox.paths import components, escape

LINES_BYTES = 16 * 1024 * 1024
"""Most bytes that are searched for the last lines."""

STEP_BYTES = 1024 * 1024
"""Bytes of one call, more or less."""

_SCRIPT_BEGUN = f"{layout.CONTROL_DIRECTORY}/slurm_script"
"""The wrapper makes it after it has emptied the files of standard output and standard error."""


class Cursor(BaseModel):
    """How far somebody has come in a file. ``attempt`` is 0 until there is something to read.

    ``lines`` and ``last_bytes`` say where to begin: so much before the end that the file has then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempt: int = Field(0, ge=0)
    run: int = 0
    local: bool = False  # read in the working directory
    offset: int = Field(0, ge=0)
    head: str = Field("", max_length=32)
    tail: str = Field("", max_length=32)
    index: int = Field(0, ge=0, le=MOST_ROTATED)
    old: tuple[tuple[int, int], ...] | None = Field(None, max_length=MOST_ROTATED)
    lines: int | None = Field(None, ge=0)
    last_bytes: int | None = Field(None, ge=0)

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """A cursor as `text` gave it; the empty text is the beginning. Raises InvalidRequest."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError as error:
            raise InvalidRequest("that is no cursor of this provider") from error

    def text(self) -> str:
        """For whoever follows."""
        return self.model_dump_json(exclude_defaults=True)

    def mark(self) -> Mark:
        """The place in the file."""
        return Mark(self.offset, self.head, self.tail, self.index, self.old)


@dataclass(frozen=True)
class Followed:
    """What one call found. ``notes`` are for people, and to be read before ``data``."""

    data: bytes
    cursor: Cursor
    over: bool  # the job is over and the file was read to its end
    notes: tuple[str, ...] = ()
    at_end: bool = False  # there was no more for now
    anew: bool = False  # ``data`` begins with the first byte; what came before is of an earlier state


class Following:
    """Reads files of jobs piece by piece. Safe to use from several threads."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def step(self, record: JobRecord, name: str, cursor: Cursor, limit: int = STEP_BYTES) -> Followed:
        """What comes after ``cursor``. Repeatable. Blocks on the network.

        Raises NotFound for a file that a job which is over did not leave, SandboxGone when logs of Thermos
        were collected, UnsafePath for a name that leads out, and what the agent's side cannot do.
        """
        components(name)
        if cursor.attempt and (cursor.attempt, cursor.run) != (record.attempt, record.run):
            return self._leave(record, name, cursor, limit)
        try:
            if record.phase.final:
                return self._after(record, name, cursor, limit)
            if has_sandbox(record):
                return self._inside(record, name, cursor, limit)
        except AiravataMesosError as error:
            if error.transient:
                self._places.forget(record)
            raise
        return Followed(b"", cursor, over=False)

    def _inside(self, record: JobRecord, name: str, cursor: Cursor, limit: int) -> Followed:
        origin = self._places.origin(record)
        if not cursor.attempt and name in log_names(record):
            # A file of that name may have come with the inputs, and will be emptied.
            with self._places.sandbox(record, origin, _SCRIPT_BEGUN) as window:
                if not _is_there(window, _SCRIPT_BEGUN):
                    return Followed(b"", cursor, over=False)
        with self._places.sandbox(record, origin, name) as window:
            return _followed(record, _read(window, name, cursor, limit), local=False, over=False)

    def _after(self, record: JobRecord, name: str, cursor: Cursor, limit: int) -> Followed:
        """The job is over: its files are in the working directory, apart from those of Thermos."""
        place = self._places.directory(record)
        inside = not layout.reserved(name) and _is_there(place, name)
        if inside and (cursor.local or not cursor.offset):
            return _followed(record, _read(place, name, cursor, limit), local=True, over=True)
        if inside:
            try:
                step = _tail(place, name).step(replace(cursor.mark(), old=None), limit, strict=True)
                return _followed(record, step, local=True, over=True)
            except Changed:
                pass  # this is not what was in the sandbox last
        try:
            with self._places.sandbox(record, self._places.origin(record), name) as window:
                if not _is_there(window, name):
                    self._places.check(record)
                    raise NotFound(f"job {record.id} left no file {escape(name)}")
                return _followed(record, _read(window, name, cursor, limit), local=False, over=True)
        except AiravataMesosError as error:
            if inside:
                mark = replace(cursor.mark(), old=None)
                return _followed(record, _tail(place, name).step(mark, limit), local=True, over=True)
            if isinstance(error, SandboxGone) and not layout.reserved(name):
                raise NotFound(f"job {record.id} left no file {escape(name)}") from error
            raise

    def _leave(self, record: JobRecord, name: str, cursor: Cursor, limit: int) -> Followed:
        """The job was started again: first what is left of the run before, then a word about it."""
        whole = False
        mark = replace(cursor.mark(), old=None) if cursor.local else cursor.mark()
        try:
            origin = self._places.earlier(record, (cursor.attempt, cursor.run))
            with self._places.sandbox(record, origin, name) as window:
                if _is_there(window, name):
                    step = _tail(window, name).step(mark, limit, strict=True)
                    whole = True
                    if step.data:
                        return Followed(step.data, _moved(cursor, step.mark, local=False), over=False)
        except (AiravataMesosError, Changed):
            whole = False  # the working directory may still have it
        if not whole and cursor.attempt != record.attempt and not layout.reserved(name):
            place = self._places.directory(record)
            try:
                if _is_there(place, name):
                    step = _tail(place, name).step(replace(mark, old=None), limit, strict=True)
                    whole = True
                    if step.data:
                        return Followed(step.data, _moved(cursor, step.mark, local=True), over=False)
            except Changed:
                whole = False
        note = f"job {record.id} was started again; what follows is of its next run"
        if not whole and cursor.offset:
            note += f", and of the one before there may be more of {escape(name)} than was shown"
        return Followed(b"", Cursor(), over=False, notes=(note,), anew=True)


def log_names(record: JobRecord) -> tuple[str, str]:
    """The files of standard output and standard error, relative to the working directory."""
    request = record.request
    return expand(request.stdout, record), expand(request.stderr or request.stdout, record)


def _tail(window: Window, name: str) -> Tail:
    return Tail(window, name, rotated=name.split("/", 1)[0] == layout.THERMOS_LOGS)


def _read(window: Window, name: str, cursor: Cursor, limit: int) -> Step:
    tail = _tail(window, name)
    if cursor.attempt:
        mark = cursor.mark()
    elif cursor.lines is not None:
        mark = tail.mark_before_end(lines=cursor.lines, most=LINES_BYTES)
    elif cursor.last_bytes is not None:
        mark = tail.mark_before_end(size=cursor.last_bytes)
    else:
        mark = tail.begin()
    return tail.step(mark, limit)


def _followed(record: JobRecord, step: Step, *, local: bool, over: bool) -> Followed:
    cursor = _moved(Cursor(attempt=record.attempt, run=record.run), step.mark, local=local)
    return Followed(
        step.data, cursor, over=over and step.at_end, notes=step.notes, at_end=step.at_end, anew=step.anew
    )


def _moved(cursor: Cursor, mark: Mark, *, local: bool) -> Cursor:
    return Cursor(
        attempt=cursor.attempt,
        run=cursor.run,
        local=local,
        offset=mark.offset,
        head=mark.head,
        tail=mark.tail,
        index=mark.index,
        old=mark.old,
    )


def _is_there(window: Window, name: str) -> bool:
    try:
        window.read(name, 0, 0)
    except SandboxGone:
        raise
    except NotFound:
        return False
    return True
