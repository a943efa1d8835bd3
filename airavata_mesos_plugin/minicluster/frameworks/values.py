"""Reading v1 JSON. What is wrong with a call becomes the answer that Mesos gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

Json = dict[str, Any]
T = TypeVar("T")
UNREADABLE = "Failed to convert JSON into Call protobuf"


class Refused(Exception):
    """HTTP status and text of a call that is not taken."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def invalid(text: str) -> Refused:
    return Refused(400, f"Failed to validate scheduler::Call: {text}")


def member(document: Mapping[str, Any], name: str) -> Json:
    """An object that has to be there.  Raises Refused."""
    found = document.get(name)
    if not isinstance(found, dict):
        raise invalid(f"Expecting '{name}' to be present")
    return found


def identity(document: Mapping[str, Any], name: str) -> str:
    """The value of an id that has to be there.  Raises Refused."""
    found = optional_identity(document, name)
    if found is None:
        raise Refused(400, f"{UNREADABLE}: Missing required fields: {name}")
    return found


def optional_identity(document: Mapping[str, Any], name: str) -> str | None:
    """None when it is not there.  Raises Refused for something else than an id."""
    found = document.get(name)
    if found is None:
        return None
    value = found.get("value") if isinstance(found, dict) else None
    if not isinstance(value, str):
        raise Refused(400, f"{UNREADABLE}: {name} is no id")
    return value


def identities(document: Mapping[str, Any], name: str) -> list[str]:
    """Raises Refused for what is no list of ids."""
    return [identity({name: one}, name) for one in objects(document, name)]


def part(document: Mapping[str, Any], name: str) -> Json:
    """An object, empty when it is not there.  Raises Refused."""
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise Refused(400, f"{UNREADABLE}: {name} is not an object")
    return found


def objects(document: Mapping[str, Any], name: str) -> list[Json]:
    """A list of objects, empty when it is not there.  Raises Refused."""
    return _list(document, name, dict)


def texts(document: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, empty when it is not there.  Raises Refused."""
    return _list(document, name, str)


def _list(document: Mapping[str, Any], name: str, kind: type[T]) -> list[T]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
        raise Refused(400, f"{UNREADABLE}: {name} is no such list")
    return found


def number(document: Mapping[str, Any], name: str, default: float) -> float:
    """Raises Refused for what is no number."""
    found = document.get(name, default)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        raise Refused(400, f"{UNREADABLE}: {name} is not a number")
    return float(found)


def seconds(document: Mapping[str, Any], *path: str) -> float | None:
    """A duration some levels below, given in nanoseconds; None when it is not there.  Raises Refused."""
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        return None
    if not isinstance(found, dict) or "nanoseconds" not in found:
        raise Refused(400, f"{UNREADABLE}: {path[-1]} is no duration")
    return number(found, "nanoseconds", 0) / 1e9


def text(document: Mapping[str, Any], name: str) -> str:
    """Empty when it is not there.  Raises Refused for what is no text."""
    found = document.get(name, "")
    if not isinstance(found, str):
        raise Refused(400, f"{UNREADABLE}: {name} is not a text")
    return found
