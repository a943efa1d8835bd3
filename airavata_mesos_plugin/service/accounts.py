"""Whom a daemon serves, what they see, and with whose rights their files are touched.

A daemon of an ordinary account serves that account alone, in its own process. A daemon of root serves
every account of the host that the settings allow, each through a process that runs as that account.
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import AccountSettings, FetchSettings
from airavata_mesos_plugin.errors import ConfigurationError, FilesUnavailable, Refused
from airavata_mesos_plugin.sandbox.accounts.client import AccountFiles
from airavata_mesos_plugin.sandbox.accounts.own_files import OwnFiles
from airavata_mesos_plugin.sandbox.accounts.process import Helper
from airavata_mesos_plugin.sandbox.accounts.rights import Identity
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.sources import Opener
from airavata_mesos_plugin.sandbox.user_files import UserFiles

log = logging.getLogger(__name__)

KNOWN_SECONDS = 60.0
"""How long an answer of the host's account database is good."""

MOST_HELPERS = 64
"""Accounts whose helper is kept waiting for work; above that the one unused for longest has to go."""

CLOSE_SECONDS = 5.0
"""How long helpers may go on when the daemon ends."""


@dataclass(frozen=True)
class Visitor:
    """An account that asks something, and why it is not served; empty when it is."""

    uid: int
    user: str  # the number where the host knows no name
    home: str
    refusal: str = ""
    sees_all: bool = True


class Accounts:
    """Decides whom a daemon serves. Safe to use from several threads."""

    def __init__(self, settings: AccountSettings, clock: Clock, owner: int | None = None) -> None:
        """``owner`` is the account of the daemon, by default that of this process.

        Raises ConfigurationError when the settings name an account or a group that the host does not know.
        """
        self._owner = os.geteuid() if owner is None else owner
        self._clock = clock
        self._settings = settings
        self._known: dict[int, tuple[float, Visitor]] = {}
        if self._owner == 0:
            # A name that was mistyped would let in whom it should keep out.
            _Members.of(settings.allow, "allow")
            _Members.of(settings.refuse, "refuse")

    def known(self, uid: int) -> Visitor | None:
        """The account as it was looked up a short time ago; None when it was not."""
        entry = self._known.get(uid)
        return entry[1] if entry is not None and entry[0] > self._clock.monotonic() else None

    def visitor(self, uid: int) -> Visitor:
        """The account, asked for at the host's account database if need be, which may take time."""
        visitor = self.known(uid)
        if visitor is None:
            visitor = self._look(uid)
            if len(self._known) > 4096:
                self._known.clear()
            self._known[uid] = self._clock.monotonic() + KNOWN_SECONDS, visitor
        return visitor

    def _look(self, uid: int) -> Visitor:
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            user, home, gid = str(uid), "", None
        else:
            user, home, gid = entry.pw_name, entry.pw_dir, entry.pw_gid
        if uid == self._owner:
            return Visitor(uid, user, home)
        if self._owner != 0:
            owner = account(self._owner)[0]
            return Visitor(uid, user, home, f"this provider serves the account {owner} only, not {user}")
        if gid is None:
            return Visitor(uid, user, home, f"this host knows no account with the number {uid}")
        if not self._is_allowed(uid, user, gid):
            return Visitor(uid, user, home, f"this provider does not serve the account {user}")
        return Visitor(uid, user, home, sees_all=self._settings.see_all_jobs)

    def _is_allowed(self, uid: int, user: str, gid: int) -> bool:
        try:
            groups = set(os.getgrouplist(user, gid))
            # Looked up each time: the groups' members and numbers may have changed.
            if _Members.of(self._settings.refuse, "refuse").have(uid, groups):
                return False
            return not self._settings.allow or _Members.of(self._settings.allow, "allow").have(uid, groups)
        except (OSError, ConfigurationError) as error:
            log.error("%s is refused: %s", user, error)
            return False


class _Members(NamedTuple):
    """The accounts and groups of one entry of the settings."""

    uids: frozenset[int]
    gids: frozenset[int]

    @classmethod
    def of(cls, entries: Iterable[str], place: str) -> _Members:
        """Raises ConfigurationError that names what the host does not know."""
        uids, gids = set(), set()
        for entry in entries:
            name = entry.removeprefix("@")
            number = int(name) if name.isascii() and name.isdecimal() else None
            try:
                if entry.startswith("@"):
                    gids.add(grp.getgrnam(name).gr_gid if number is None else number)
                else:
                    uids.add(pwd.getpwnam(name).pw_uid if number is None else number)
            except KeyError:
                what = "group" if entry.startswith("@") else "account"
                raise ConfigurationError(
                    f"accounts.{place}: this host knows no {what} {name!r}",
                    advice="correct the name, or take it out",
                ) from None
        return cls(frozenset(uids), frozenset(gids))

    def have(self, uid: int, gids: Iterable[int]) -> bool:
        return uid in self.uids or not self.gids.isdisjoint(gids)


def identity(uid: int) -> tuple[str, Identity]:
    """Name and rights of an account. Raises Refused for one that the host does not know."""
    try:
        entry = pwd.getpwuid(uid)
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    except (KeyError, OSError):
        raise Refused(f"this host knows no account with the number {uid}") from None
    return entry.pw_name, Identity(uid, entry.pw_gid, tuple(groups))


class FilesOfAccounts:
    """`FilesOf` of a daemon. Safe to use from several threads."""

    def __init__(
        self,
        settings: FetchSettings,
        clock: Clock,
        client: FilesClient,
        openers: Mapping[str, Opener] | None = None,
    ) -> None:
        """Starts nothing; ``client`` stays the caller's to close. ``openers``: ways besides the files API."""
        self._settings = settings
        self._clock = clock
        self._openers = openers or {}
        self._own = OwnFiles(Fetcher(settings, clock, client, openers))
        self._owner = os.geteuid()
        self._lock = threading.Lock()
        self._accounts: dict[int, AccountFiles] = {}
        self._spare: Helper | None = None
        self._closed = False

    def __call__(self, uid: int) -> UserFiles:
        """The files of an account. Raises Refused when this daemon cannot become it."""
        if uid == self._owner:
            return self._own
        if self._owner != 0:
            raise Refused(f"the files of {account(uid)[0]} are not for a daemon of {account(self._owner)[0]}")
        with self._lock:
            files = self._accounts.get(uid)
        if files is None:
            user, _ = identity(uid)
            with self._lock:
                files = self._accounts.setdefault(
                    uid, AccountFiles(user, lambda: self._start(uid), self._clock, self._openers)
                )
            self._make_room(files)
        return files

    def close(self) -> None:
        """End all helpers. Repeatable."""
        with self._lock:
            accounts, self._accounts, self._closed = list(self._accounts.values()), {}, True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.kill()
        threads = [threading.Thread(target=files.close, args=(CLOSE_SECONDS,)) for files in accounts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _start(self, uid: int) -> Helper:
        """A helper that has become the account; another one gets ready for the next account meanwhile."""
        user, rights = identity(uid)
        with self._lock:
            if self._closed:
                raise FilesUnavailable("the provider is being stopped")
            helper, self._spare = self._spare, None
        try:
            if helper is None or not helper.alive:
                helper = Helper(self._clock)
            helper.assign(user, rights, self._settings)
            with self._lock:
                if self._spare is None and not self._closed:
                    self._spare = Helper(self._clock)
        except OSError as error:
            raise FilesUnavailable(
                f"no helper process for the files of {user} could be started: {error.strerror or error}"
            ) from error
        return helper

    def _make_room(self, wanted: AccountFiles) -> None:
        with self._lock:
            idle = {u: f for u, f in self._accounts.items() if f is not wanted and not f.busy}
            if len(self._accounts) <= MOST_HELPERS or not idle:
                return
            oldest = min(idle, key=lambda uid: idle[uid].used_at)
            unused = self._accounts.pop(oldest)
        unused.retire()


@lru_cache(maxsize=1024)
def account(uid: int) -> tuple[str, str]:
    """Login name and home directory of a uid; its number and nothing where the host knows no name."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), ""
    return entry.pw_name, entry.pw_dir
