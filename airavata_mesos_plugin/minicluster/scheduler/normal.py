"""The normal form of structs: what a client reads back differs from what it sent (Aurora 0.22)."""

from __future__ import annotations

from typing import Any

from thrift.Thrift import TFrozenDict, TType

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.wire.specs import fields

_UNIONS = (
    api.Container,
    api.Image,
    api.JobUpdateStrategy,
    api.LockKey,
    api.Resource,
    api.Result,
    api.SlaPolicy,
    api.TaskConstraint,
)
_ENUM_FIELDS = frozenset({"cronCollisionPolicy", "mode", "status", "action", "responseCode"})
_NUMBERS = frozenset({TType.BYTE, TType.I16, TType.I32, TType.I64})


class EmptyUnion(ValueError):
    """A union was sent without any member."""

    def __init__(self) -> None:
        super().__init__("")


def _unset(ttype: int, name: str) -> Any:
    if ttype == TType.LIST:
        return ()
    if ttype == TType.SET:
        return frozenset()
    if ttype == TType.MAP:
        return TFrozenDict()
    if ttype == TType.BOOL:
        return False
    if ttype == TType.DOUBLE:
        return 0.0
    if ttype in _NUMBERS and name not in _ENUM_FIELDS:
        return 0
    return None


def _normal(ttype: int, args: Any, value: Any) -> Any:
    if ttype == TType.STRUCT:
        return normalised(value)
    if ttype == TType.LIST:
        return tuple(_normal(args[0], args[1], item) for item in value)
    if ttype == TType.SET:
        return frozenset(_normal(args[0], args[1], item) for item in value)
    if ttype == TType.MAP:
        return TFrozenDict({key: _normal(args[2], args[3], item) for key, item in value.items()})
    return value


def normalised(struct: Any) -> Any:
    """Unset collections become empty, unset numbers 0, unset booleans false; texts, enums and structs stay
    unset.

    Two configurations are equal when their normal forms are. Raises EmptyUnion.
    """
    cls: type = type(struct)
    union = cls in _UNIONS
    members: dict[str, Any] = {}
    for field in fields(cls):
        value = getattr(struct, field.name)
        if value is not None:
            members[field.name] = _normal(field.ttype, field.args, value)
        elif not union:
            members[field.name] = _unset(field.ttype, field.name)
    if union and not members:
        raise EmptyUnion
    return cls(**members)


def replaced(struct: Any, **changes: Any) -> Any:
    """A copy of an immutable struct with some fields changed."""
    cls: type = type(struct)
    members = {field.name: getattr(struct, field.name) for field in fields(cls)}
    return cls(**{**members, **changes})
