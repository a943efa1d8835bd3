"""Views of the generated Thrift descriptions.

The descriptions are tuples indexed by field id. Everything decoded here is immutable: structs are members
of sets in this API, so their own sets and lists must be hashable too.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from thrift.Thrift import TType


class Field(NamedTuple):
    fid: int
    ttype: int
    name: str
    args: Any


@cache
def fields(cls: type) -> tuple[Field, ...]:
    """Fields of a generated struct, in order of their ids."""
    found = [entry for entry in cls.thrift_spec if entry]  # type: ignore[attr-defined]
    return tuple(Field(entry[0], entry[1], entry[2], entry[3]) for entry in found)


def _frozen_args(ttype: int, args: Any) -> Any:
    if ttype == TType.STRUCT:
        return [args[0], frozen_spec(args[0])]
    if ttype in (TType.LIST, TType.SET):
        return (args[0], _frozen_args(args[0], args[1]), True)
    if ttype == TType.MAP:
        return (args[0], _frozen_args(args[0], args[1]), args[2], _frozen_args(args[2], args[3]), True)
    return args


@cache
def frozen_spec(cls: type) -> tuple[Any, ...]:
    """The description of `cls` with every container marked immutable, for the C decoder."""
    spec = cls.thrift_spec  # type: ignore[attr-defined]
    return tuple(
        (entry[0], entry[1], entry[2], _frozen_args(entry[1], entry[3]), entry[4]) if entry else None
        for entry in spec
    )
