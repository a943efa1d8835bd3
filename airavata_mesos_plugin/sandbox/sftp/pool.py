"""The SFTP sessions to all agents: bounded for each account of a host, kept for a while, then closed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import SftpSettings
from airavata_mesos_plugin.errors import AiravataMesosError, ProtocolError, TransferError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.sftp.login import Target
from airavata_mesos_plugin.sandbox.sftp.session import Session
from airavata_mesos_plugin.sandbox.sftp.ssh import connect

_LOOK_SECONDS = 0.1  # how often an abort is looked for while all connections are in use


@dataclass(frozen=True)
class _Idle:
    session: Session
    since: float


class SftpPool:
    """Sessions with the agents of one cluster. Safe to use from several threads."""

    def __init__(self, settings: SftpSettings, clock: Clock, silence_seconds: float) -> None:
        """Opens nothing. ``silence_seconds`` is how long a server may say nothing."""
        self._settings = settings
        self._clock = clock
        self._silence = silence_seconds
        self._lock = threading.Condition()
        self._idle: dict[Target, list[_Idle]] = {}
        self._room: dict[Target, threading.Semaphore] = {}
        self._long: dict[Target, threading.Semaphore] = {}
        self._sweeper: threading.Thread | None = None
        self._closed = False

    def target(self, host: str, role: str) -> Target:
        """Where the files of a role's job on a host are."""
        return Target(self._settings.user or role, host, self._settings.port)

    @contextlib.contextmanager
    def session(self, target: Target, abort: Abort | None = None, *, long: bool = False) -> Iterator[Session]:
        """A session for one thread; waits while all are in use. Raises what `ssh.connect` raises.

        All but one may be taken for ``long``, unless there is only one.
        """
        with contextlib.ExitStack() as taken:
            if long:
                taken.enter_context(self._place(self._long, target, self._settings.connections - 1, abort))
            taken.enter_context(self._place(self._room, target, self._settings.connections, abort))
            session = self._take(target)
            try:
                with contextlib.ExitStack() as watched:
                    if abort is not None:
                        watched.enter_context(abort.watch(session.connection))
                    yield session
            except (TransferError, ProtocolError):
                session.connection.close()
                raise
            except AiravataMesosError:
                self._give_back(target, session)  # a file that is not there says nothing against it
                raise
            except BaseException:
                session.connection.close()
                raise
            else:
                self._give_back(target, session)

    @contextlib.contextmanager
    def _place(
        self, rooms: dict[Target, threading.Semaphore], target: Target, places: int, abort: Abort | None
    ) -> Iterator[None]:
        with self._lock:
            room = rooms.setdefault(target, threading.Semaphore(max(1, places)))
        while not room.acquire(timeout=_LOOK_SECONDS):
            if abort is not None:
                abort.check()
        try:
            yield
        finally:
            room.release()

    def close(self) -> None:
        """Close what is idle; what is in use closes when it comes back. Repeatable."""
        with self._lock:
            self._closed = True
            idle = [entry for entries in self._idle.values() for entry in entries]
            self._idle.clear()
            self._lock.notify_all()
        for entry in idle:
            entry.session.connection.close()

    def sweep(self) -> float | None:
        """Close what has been idle for too long; seconds until the next look, None when nothing is left."""
        now = self._clock.monotonic()
        with self._lock:
            old = []
            for target, entries in list(self._idle.items()):
                old += [entry for entry in entries if self._is_old(entry, now)]
                kept = [entry for entry in entries if not self._is_old(entry, now)]
                self._idle[target] = kept
                if not kept:
                    del self._idle[target]
            first = min((e.since for entries in self._idle.values() for e in entries), default=None)
        for entry in old:
            entry.session.connection.close()
        return None if first is None else max(0.05, first + self._settings.idle_seconds - now)

    @property
    def idle(self) -> int:
        """How many sessions wait for their next use."""
        with self._lock:
            return sum(len(entries) for entries in self._idle.values())

    def _is_old(self, entry: _Idle, now: float) -> bool:
        return now - entry.since >= self._settings.idle_seconds or not entry.session.connection.alive

    def _take(self, target: Target) -> Session:
        while True:
            with self._lock:
                entries = self._idle.get(target)
                entry = entries.pop() if entries else None
            if entry is None:
                connection = connect(target, self._settings, self._silence)
                try:
                    return Session(connection)
                except BaseException:
                    connection.close()
                    raise
            if not self._is_old(entry, self._clock.monotonic()):
                return entry.session
            entry.session.connection.close()

    def _give_back(self, target: Target, session: Session) -> None:
        with contextlib.suppress(TransferError):
            session.flush()  # files that are to be closed
        with self._lock:
            keep = not self._closed and session.connection.alive and self._settings.idle_seconds > 0
            if keep:
                self._idle.setdefault(target, []).append(_Idle(session, self._clock.monotonic()))
                if self._sweeper is None:
                    self._sweeper = threading.Thread(target=self._watch, name="sftp-idle", daemon=True)
                    self._sweeper.start()
        if not keep:
            session.connection.close()

    def _watch(self) -> None:
        """Sweeps until nothing is idle any more."""
        while True:
            seconds = self.sweep()
            with self._lock:
                if self._closed or (seconds is None and not self._idle):
                    self._sweeper = None
                    return
                self._lock.wait(seconds)
