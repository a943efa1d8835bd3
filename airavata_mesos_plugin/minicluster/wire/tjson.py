"""Thrift's JSON protocol for whole values: Python's own JSON parser, then one walk along the description.

This is several times faster than reading character by character, and a set of structs needs no special case.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

from thrift.Thrift import TFrozenDict, TType

from airavata_mesos_plugin.minicluster.wire.errors import BadArguments, NotAMessage
from airavata_mesos_plugin.minicluster.wire.specs import Field, fields

VERSION = 1
_TAGS = {
    TType.BOOL: "tf",
    TType.BYTE: "i8",
    TType.I16: "i16",
    TType.I32: "i32",
    TType.I64: "i64",
    TType.DOUBLE: "dbl",
    TType.STRING: "str",
    TType.STRUCT: "rec",
    TType.MAP: "map",
    TType.LIST: "lst",
    TType.SET: "set",
}
_BITS = {TType.BYTE: 8, TType.I16: 16, TType.I32: 32, TType.I64: 64}


@cache
def _by_key(cls: type) -> dict[str, tuple[Field, str]]:
    return {str(field.fid): (field, _TAGS[field.ttype]) for field in fields(cls)}


def _integer(ttype: int, value: Any) -> int:
    if isinstance(value, str):  # map keys, and numbers of writers that quote them
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadArguments(f"not an integer: {value!r}")
    if not -(1 << (_BITS[ttype] - 1)) <= value < 1 << (_BITS[ttype] - 1):
        raise BadArguments(f"integer out of range: {value}")
    return value


def _value(ttype: int, args: Any, value: Any) -> Any:
    if ttype == TType.STRING:
        if not isinstance(value, str):
            raise BadArguments(f"not a text: {value!r}")
        value.encode()  # lone surrogates cannot be sent back
        return value
    if ttype == TType.STRUCT:
        return decode_struct(args[0], value)
    if ttype == TType.BOOL:
        return bool(_integer(TType.BYTE, value))
    if ttype == TType.DOUBLE:
        return float(value)
    if ttype in (TType.LIST, TType.SET):
        items = [_value(args[0], args[1], item) for item in value[2:]]
        if value[0] != _TAGS[args[0]] or value[1] != len(items):
            raise BadArguments("list or set with a wrong header")
        return frozenset(items) if ttype == TType.SET else tuple(items)
    if ttype == TType.MAP:
        pairs = {_value(args[0], args[1], k): _value(args[2], args[3], v) for k, v in value[3].items()}
        return TFrozenDict(pairs)
    return _integer(ttype, value)


def decode_struct(cls: type, value: Any) -> Any:
    """An instance of the generated class. Unknown fields and fields of another type are skipped, as Thrift
    does.

    Raises BadArguments, ValueError, TypeError, LookupError or AttributeError when the value does not fit.
    """
    known = _by_key(cls)
    members: dict[str, Any] = {}
    for key, tagged in value.items():
        found = known.get(key)
        if found is not None and found[1] in tagged:
            members[found[0].name] = _value(found[0].ttype, found[0].args, tagged[found[1]])
    return cls(**members)


def _plain(ttype: int, args: Any, value: Any) -> Any:
    if ttype == TType.STRUCT:
        return encode_struct(value)
    if ttype == TType.BOOL:
        return 1 if value else 0
    if ttype == TType.DOUBLE:
        return (
            value
            if math.isfinite(value)
            else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        )
    if ttype in (TType.LIST, TType.SET):
        return [_TAGS[args[0]], len(value), *(_plain(args[0], args[1], item) for item in value)]
    if ttype == TType.MAP:
        pairs = {str(_plain(args[0], args[1], k)): _plain(args[2], args[3], v) for k, v in value.items()}
        return [_TAGS[args[0]], _TAGS[args[2]], len(value), pairs]
    return value


def encode_struct(struct: Any) -> dict[str, Any]:
    """The JSON object of a generated struct; unset fields are left out."""
    plain: dict[str, Any] = {}
    cls: type = type(struct)
    for key, (field, tag) in _by_key(cls).items():
        value = getattr(struct, field.name)
        if value is not None:
            plain[key] = {tag: _plain(field.ttype, field.args, value)}
    return plain


def read_header(body: bytes) -> tuple[str, int, Any]:
    """Method, sequence id and the still undecoded arguments.  Raises NotAMessage."""
    try:
        # Not strict: stock writers leave some control characters as they are.
        version, name, _kind, seqid, arguments = json.loads(body, strict=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise NotAMessage(f"not a TJSON message: {error}") from None
    if version != VERSION or not isinstance(name, str) or not isinstance(seqid, int):
        raise NotAMessage("not a TJSON message: bad header")
    return name, seqid, arguments


def write_message(name: str, kind: int, seqid: int, struct: dict[str, Any]) -> bytes:
    message = [VERSION, name, kind, seqid, struct]
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
