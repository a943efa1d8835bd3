"""How Thrift's Java classes print themselves; Aurora puts that into some messages."""

from __future__ import annotations

from typing import Any

from airavata_mesos_plugin.minicluster.wire.specs import fields


def thrift_text(value: Any) -> str:
    """`Name(field:value, ...)` without unset fields."""
    if hasattr(type(value), "thrift_spec"):
        cls: type = type(value)
        found = ((field.name, getattr(value, field.name)) for field in fields(cls))
        return f"{cls.__name__}({', '.join(f'{n}:{thrift_text(v)}' for n, v in found if v is not None)})"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{', '.join(map(thrift_text, value))}]"
    return str(value)
