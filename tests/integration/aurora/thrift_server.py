"""An Aurora API over HTTP whose answers a test puts in; it keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.gen.aurora import AuroraAdmin
from airavata_mesos_plugin.gen.aurora import ttypes as t

Reply = Callable[[str, Any], Any]
"""Name of the call and its arguments to a ``Response``."""


def ok(**members: Any) -> Any:
    result = t.Result(**members) if members else None
    return t.Response(responseCode=t.ResponseCode.OK, result=result, details=[])


def refused(code: int, text: str) -> Any:
    return t.Response(responseCode=code, details=[t.ResponseDetail(message=text)])


class ThriftServer(ThreadingHTTPServer):
    """Calls are decoded by the service that has all of them."""

    daemon_threads = True

    def __init__(self, reply: Reply, tls: SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.calls: list[tuple[str, Any]] = []
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        self.gate: Callable[[Mapping[str, str]], int] = lambda _headers: 200
        scheme = "http"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ThriftServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers.append({k.lower(): v for k, v in self.headers.items()})
        status = self.server.gate(self.server.headers[-1])
        answer = b"" if status != 200 else self._answer(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, body: bytes) -> bytes:
        protocol = TJSONProtocol if body[:1] == b"[" else TBinaryProtocol
        reader = protocol(TMemoryBuffer(body))
        name, _, _ = reader.readMessageBegin()
        arguments = _of(name, "args")()
        arguments.read(reader)
        self.server.bodies.append(body)
        self.server.calls.append((name, arguments))
        buffer = TMemoryBuffer()
        writer = protocol(buffer)
        writer.writeMessageBegin(name, TMessageType.REPLY, 0)
        _of(name, "result")(success=self.server.reply(name, arguments)).write(writer)
        writer.writeMessageEnd()
        return bytes(buffer.getvalue())

    def log_message(self, *_: Any) -> None:
        """Nothing: a test says by itself what went wrong."""


def _of(name: str, kind: str) -> Any:
    from airavata_mesos_plugin.schedulers.aurora.codec import METHODS

    service = METHODS[name].service if name in METHODS else AuroraAdmin
    return getattr(service, f"{name}_{kind}")


@contextmanager
def serving(reply: Reply, tls: SSLContext | None = None) -> Iterator[ThriftServer]:
    server = ThriftServer(reply, tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
