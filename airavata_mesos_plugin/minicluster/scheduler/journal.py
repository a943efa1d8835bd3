"""What the scheduler has to remember, told to whatever keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.minicluster.wire.specs import frozen_spec


class Journal(Protocol):
    """`kind` and `key` name one thing.  Nothing is kept for good before `flush`."""

    def put(self, kind: str, key: str, value: Callable[[], bytes]) -> None:
        """The thing has a new value; `value` is asked for it when it is written, once for many changes."""

    def delete(self, kind: str, key: str) -> None:
        """The thing is gone."""

    def flush(self) -> None:
        """Returns when everything told before is kept.  Raises OSError when it cannot be."""


class Forgetful:
    """Keeps nothing."""

    def put(self, kind: str, key: str, value: Callable[[], bytes]) -> None: ...

    def delete(self, kind: str, key: str) -> None: ...

    def flush(self) -> None: ...


def encoded(struct: Any) -> bytes:
    buffer = TMemoryBuffer()
    struct.write(TBinaryProtocolAccelerated(buffer))
    return bytes(buffer.getvalue())


def decoded(cls: Any, data: bytes) -> Any:
    """A struct whose containers are immutable, as those that come over the wire."""
    reader = TBinaryProtocolAccelerated(TMemoryBuffer(data))
    if reader._fast_decode is None:
        return cls.read(reader)
    # Immutable structs are made by the decoder from their class.
    return reader._fast_decode(None, reader, [cls, frozen_spec(cls)])
