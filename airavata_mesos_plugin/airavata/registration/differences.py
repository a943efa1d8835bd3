"""What differs between a document that we want and the one that Airavata holds, and how to join them.

Only fields that are wanted count. An empty text, zero, false, nothing and an absent field are the same:
Thrift servers fill defaults in, proto3 leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NAMES: dict[str, tuple[str, ...]] = {
    "batchQueues": ("queueName",),
    "computePreferences": ("computeResourceId",),
    "computeResourcePolicies": ("computeResourceId",),
    "batchQueueResourcePolicies": ("computeResourceId", "queuename"),
    "applicationInputs": ("name",),
    "applicationOutputs": ("name",),
    "moduleLoadCmds": ("commandOrder",),
    "preJobCommands": ("commandOrder",),
    "postJobCommands": ("commandOrder",),
    "setEnvironment": ("name",),
}
"""Lists whose order means nothing, and the fields that name one entry."""

SETS = {"allowedBatchQueues", "hostAliases", "applicationModules", "batchQueueEmailSenders"}
"""Lists of texts whose order means nothing."""


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], place: str = "") -> list[str]:
    """Places at which they differ, with both values, in words. Empty: nothing to do."""
    result: list[str] = []
    for name, value in wanted.items():
        result.extend(_values(name, value, found.get(name), f"{place}.{name}" if place else name))
    return result


def _values(name: str, value: Any, other: Any, place: str) -> Iterator[str]:
    if not value and not other:
        return
    if isinstance(value, Mapping):
        yield from _mappings(name, value, other or {}, place)
    elif name in NAMES or (isinstance(value, list) and value and isinstance(value[0], Mapping)):
        yield from _entries(name, value, other or [], place)
    elif isinstance(value, list):
        theirs = list(other or [])
        same = sorted(value) == sorted(theirs) if name in SETS else value == theirs
        if not same:
            yield f"{place}: {theirs} -> {value}"
    elif value != other:
        yield f"{place}: {other!r} -> {value!r}"


def _mappings(name: str, value: Mapping[str, Any], other: Mapping[str, Any], place: str) -> Iterator[str]:
    yield from differences(value, other, place)
    if name in ("jobManagerCommands", "parallelismPrefix"):
        # Free tables: what is not wanted has to go.
        for key in other:
            if key not in value and other[key]:
                yield f"{place}.{key}: {other[key]!r} -> removed"


def _entries(
    name: str, value: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], place: str
) -> Iterator[str]:
    fields = NAMES.get(name)
    keys = [_key(fields, entry, index) for index, entry in enumerate(value)]
    theirs = {_key(fields, entry, index): entry for index, entry in enumerate(other)}
    for key, entry in zip(keys, value, strict=True):
        if key in theirs:
            yield from differences(entry, theirs[key], f"{place}[{key}]")
        else:
            yield f"{place}[{key}]: added"
    for key in theirs:
        if key not in keys:
            yield f"{place}[{key}]: removed"


def _key(fields: tuple[str, ...] | None, entry: Mapping[str, Any], index: int) -> str:
    return " ".join(str(entry.get(field, "")) for field in fields) if fields else str(index)


def joined(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The found document with the wanted fields in it; entries of named lists keep their other fields."""
    result = dict(found)
    for name, value in wanted.items():
        other = found.get(name)
        if name in ("jobManagerCommands", "parallelismPrefix"):
            result[name] = dict(value)
        elif isinstance(value, Mapping):
            result[name] = joined(value, other or {})
        elif name in NAMES:
            fields = NAMES[name]
            theirs = {_key(fields, entry, 0): entry for entry in other or []}
            result[name] = [joined(entry, theirs.get(_key(fields, entry, 0), {})) for entry in value]
        else:
            result[name] = value
    return result


def without(fields: frozenset[str], value: Any) -> Any:
    """A copy of a document in which these fields do not occur at any depth."""
    if isinstance(value, Mapping):
        return {name: without(fields, entry) for name, entry in value.items() if name not in fields}
    return [without(fields, entry) for entry in value] if isinstance(value, list) else value
