"""One call in, one reply out, in the protocol that each side asked for."""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport.TTransport import TMemoryBuffer, TTransportException

from airavata_mesos_plugin.gen.aurora import AuroraAdmin, AuroraSchedulerManager, ReadOnlyScheduler
from airavata_mesos_plugin.minicluster.wire import tjson
from airavata_mesos_plugin.minicluster.wire.errors import BadArguments, NotAMessage
from airavata_mesos_plugin.minicluster.wire.specs import frozen_spec

UNKNOWN_METHOD = TApplicationException.UNKNOWN_METHOD
PROTOCOL_ERROR = TApplicationException.PROTOCOL_ERROR


_UNREADABLE = (TProtocolException, TTransportException, EOFError, ValueError, struct.error)
# A value of the wrong type shows in many ways, depending on which decoder meets it.
_UNDECODABLE = (
    *_UNREADABLE,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
)


class Protocol(Enum):
    BINARY = "application/vnd.apache.thrift.binary"
    JSON = "application/vnd.apache.thrift.json"


def _class_of(method: str, suffix: str) -> Any:
    for module in (ReadOnlyScheduler, AuroraSchedulerManager, AuroraAdmin):
        found = getattr(module, f"{method}_{suffix}", None)
        if found is not None:
            return found
    raise LookupError(f"the Aurora API has no method {method}")


class Call:
    """A request whose header was read.  Raises NotAMessage when there is none."""

    def __init__(self, protocol: Protocol, body: bytes) -> None:
        self._protocol = protocol
        if protocol is Protocol.JSON:
            self.method, self.seqid, self._arguments = tjson.read_header(body)
            return
        # Lengths are checked against the body, so that a hostile one reserves no memory.
        self._reader = TBinaryProtocolAccelerated(
            TMemoryBuffer(body), string_length_limit=len(body), container_length_limit=len(body)
        )
        try:
            name, _kind, self.seqid = self._reader.readMessageBegin()
        except _UNREADABLE as error:
            raise NotAMessage(f"not a TBinary message: {error}") from None
        self.method = str(name)

    def arguments(self) -> Any:
        """The method's arguments; can be read once. Raises BadArguments, and LookupError for an unknown
        method."""
        cls = _class_of(self.method, "args")
        try:
            if self._protocol is Protocol.JSON:
                return tjson.decode_struct(cls, self._arguments)
            arguments = cls()
            if self._reader._fast_decode is None:
                arguments.read(self._reader)
            else:
                self._reader._fast_decode(arguments, self._reader, [cls, frozen_spec(cls)])
        except _UNDECODABLE as error:
            raise BadArguments(str(error)) from None
        return arguments


def _binary(name: str, kind: int, seqid: int, body: Any) -> bytes:
    transport = TMemoryBuffer()
    writer = TBinaryProtocolAccelerated(transport)
    writer.writeMessageBegin(name, kind, seqid)
    body.write(writer)
    writer.writeMessageEnd()
    return bytes(transport.getvalue())


def write_reply(protocol: Protocol, call: Call, response: Any) -> bytes:
    """The reply that carries `response` (the API's `Response` struct)."""
    result = _class_of(call.method, "result")(success=response)
    if protocol is Protocol.BINARY:
        return _binary(call.method, TMessageType.REPLY, call.seqid, result)
    return tjson.write_message(call.method, TMessageType.REPLY, call.seqid, tjson.encode_struct(result))


def write_exception(protocol: Protocol, call: Call, kind: int, text: str) -> bytes:
    """Thrift's own exception: the call was not handled at all."""
    if protocol is Protocol.BINARY:
        error = TApplicationException(kind, text)
        return _binary(call.method, TMessageType.EXCEPTION, call.seqid, error)
    members = {"1": {"str": text}, "2": {"i32": kind}}
    return tjson.write_message(call.method, TMessageType.EXCEPTION, call.seqid, members)
