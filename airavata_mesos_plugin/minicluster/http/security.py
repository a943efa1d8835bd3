"""Basic authentication and permissions (Aurora 0.22)."""

from __future__ import annotations

import base64
import binascii
import configparser
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.access import METHODS, Access
from airavata_mesos_plugin.minicluster.scheduler.names import is_valid_key, key_text

_ANY = "*"


class Account(NamedTuple):
    password: str
    permissions: tuple[str, ...]


def implies(permission: str, wanted: tuple[str, ...]) -> bool:
    """Shiro's wildcard permissions: parts between colons, `*` for any, commas between alternatives; a
    shorter permission implies all that start with it."""
    for position, part in enumerate(permission.split(":")):
        choices = [choice.strip().lower() for choice in part.split(",")]
        if _ANY in choices:
            continue
        if position >= len(wanted) or wanted[position].lower() not in choices:
            return False
    return True


def read_ini(path: Path) -> dict[str, Account]:
    """Accounts from Shiro's INI form: `[users]` with `name = password, role, ...` and `[roles]` with
    `role = permission, ...`. Raises OSError, and ValueError for anything else in the file."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except configparser.Error as error:
        raise ValueError(f"{path}: {error}") from None
    unknown = set(parser.sections()) - {"users", "roles"}
    if unknown:
        raise ValueError(f"{path} may only hold [users] and [roles], not [{sorted(unknown)[0]}]")
    roles = {name: _listed(text) for name, text in parser.items("roles")} if "roles" in parser else {}
    accounts = {}
    for name, text in parser.items("users") if "users" in parser else ():
        password, _, held = (part.strip() for part in text.partition(","))
        permissions = tuple(p for role in _listed(held) for p in roles.get(role, ()))
        accounts[name] = Account(password, permissions)
    return accounts


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def accounts_of(users: Mapping[str, tuple[str, Iterable[str]]]) -> dict[str, Account]:
    """Accounts from a mapping of names to password and permissions."""
    return {name: Account(password, tuple(held)) for name, (password, held) in users.items()}


class Denied(Exception):
    """Logged in, but not permitted, or the call does not say which job it is about."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Security:
    """Who calls, and what that person may do."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = dict(accounts)

    def user_of(self, header: str | None) -> str | None:
        """The user whose credentials the Authorization header carries; None without header. Raises
        PermissionError when they are wrong."""
        if header is None:
            return None
        scheme, _, data = header.partition(" ")
        try:
            text = base64.b64decode(data.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise PermissionError("malformed credentials") from None
        name, colon, password = text.partition(":")
        account = self._accounts.get(name)
        known = "" if account is None else account.password
        same = hmac.compare_digest(known.encode(), password.encode())
        if scheme.lower() != "basic" or not colon or account is None or not same:
            raise PermissionError(f"wrong credentials of {name}")
        return name

    def needs_login(self, method: str) -> bool:
        entry = METHODS.get(method)
        return entry is not None and entry.access is not Access.READ

    def check(self, user: str, method: str, arguments: Any) -> None:
        """Raises Denied."""
        entry = METHODS[method]
        if entry.access is Access.READ:
            return
        permissions = self._accounts[user].permissions
        if entry.job_key is None:
            wanted: tuple[str, ...] = (f"thrift.{Access.ADMIN.value}", method)
            if not any(implies(permission, wanted) for permission in permissions):
                permission = f"UnscopedRpcPermission{{domain={wanted[0]}, rpc={method}}}"
                raise Denied(api.ResponseCode.AUTH_FAILED, f"Subject {user} lacks permission {permission}")
            return
        key = entry.job_key(arguments)
        if not is_valid_key(key):
            raise Denied(api.ResponseCode.INVALID_REQUEST, "Missing or invalid job key from request.")
        wanted = (f"thrift.{Access.JOB.value}", method, key.role, key.environment, key.name)
        if not any(implies(permission, wanted) for permission in permissions):
            raise Denied(
                api.ResponseCode.AUTH_FAILED,
                f"Subject {user} is not permitted to JobScopedRpcPermission{{rpc={method}, "
                f"permittedJob={key_text(key)}}}.",
            )
