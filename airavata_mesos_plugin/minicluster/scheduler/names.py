"""Identifiers and job keys."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_IDENTIFIER = re.compile(r"[\w\-.]+", re.ASCII)
_MAX_LENGTH = 255
_UNSAFE_IN_TASK_ID = re.compile(r"[^A-Za-z0-9_-]")


def is_identifier(text: str | None) -> bool:
    """Roles, environments, job names, users and tiers: ASCII letters, digits, `_`, `-`, `.`; at most 255."""
    return text is not None and len(text) <= _MAX_LENGTH and _IDENTIFIER.fullmatch(text) is not None


class JobKey(NamedTuple):
    role: str
    environment: str
    name: str

    def __str__(self) -> str:
        return f"{self.role}/{self.environment}/{self.name}"


def is_valid_key(key: Any) -> bool:
    return key is not None and all(map(is_identifier, (key.role, key.environment, key.name)))


def key_of(key: Any) -> JobKey:
    """The hashable form of a generated JobKey whose parts are known to be set."""
    return JobKey(key.role, key.environment, key.name)


def key_text(key: Any) -> str:
    """How Aurora 0.22 prints a key in its messages."""
    if key is None:
        return "null"
    parts = ((name, getattr(key, name)) for name in ("role", "environment", "name"))
    return "IJobKey{" + ", ".join(f"{n}={'null' if v is None else v}" for n, v in parts) + "}"


def task_id(key: JobKey, instance: int, unique: str) -> str:
    """`<role>-<environment>-<name>-<instance>-<uuid>` with everything unusual replaced by a dash (since
    0.13)."""
    return _UNSAFE_IN_TASK_ID.sub("-", f"{key.role}-{key.environment}-{key.name}-{instance}-{unique}")
