"""Who is at the other end: the account of a Unix socket, or the one named for a client certificate."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.service.accounts import Accounts, account

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Caller:
    """An account, and why it is not served; empty when it is."""

    uid: int
    user: str
    refusal: str = ""
    sees_all: bool = True  # not only its own jobs

    def may_touch(self, owner: int) -> bool:
        """Whether scripts, files and cancels of a job of the account ``owner`` are for this caller."""
        return self.uid in (0, owner)


def of_unix_socket(connection: socket.socket) -> Caller:
    """The account that opened the other end (Linux SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return _caller(int(uid))


def of_certificate(certificate: Mapping[str, object], accounts: Mapping[str, int]) -> Caller | None:
    """The account of a verified client certificate; None when its names stand for none, or for several.

    ``certificate`` has the form of ``ssl.SSLSocket.getpeercert``; ``accounts`` maps names to uids.
    """
    uids = {accounts[name] for name in names(certificate) if name in accounts}
    return _caller(uids.pop()) if len(uids) == 1 else None


def admit(caller: Caller, accounts: Accounts) -> Caller:
    """The caller with what the settings say about its account. May ask the host's account database."""
    visitor = accounts.visitor(caller.uid)
    return Caller(caller.uid, visitor.user, caller.refusal or visitor.refusal, visitor.sees_all)


def names(certificate: Mapping[str, object]) -> Iterator[str]:
    """The common names, and the subject alternative names of any kind."""
    for group in _pairs(certificate.get("subject")):
        for kind, value in _pairs(group):
            if kind == "commonName":
                yield str(value)
    for _, value in _pairs(certificate.get("subjectAltName")):
        yield str(value)


def uids_of(accounts: Mapping[str, str]) -> dict[str, int]:
    """The settings' accounts as numbers. Raises ConfigurationError for an account that is not there."""
    found = {}
    for name, user in accounts.items():
        try:
            found[name] = pwd.getpwnam(user).pw_uid
        except KeyError:
            raise ConfigurationError(
                f"service.thrift.accounts: there is no account {user!r} for {name!r}",
                advice="name an account of this host",
            ) from None
    return found


def _caller(uid: int) -> Caller:
    user = account(uid)[0]
    owner = os.geteuid()
    if owner in (0, uid):
        return Caller(uid, user)
    return Caller(uid, user, f"this provider serves the account {account(owner)[0]} only, not {user}")


def _pairs(value: object) -> tuple[tuple[object, ...], ...]:
    return value if isinstance(value, tuple) else ()
