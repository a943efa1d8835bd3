"""A connection to the Thrift service of Airavata 0.21 (develop), port 8930.

Plain or TLS socket, buffered transport, binary protocol. The C-accelerated protocol must not be used: with
it the stubs of airavata-python-sdk 2.2.7 lose every enumeration that they read.
"""

from __future__ import annotations

from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TApplicationException
from thrift.transport.TSocket import TSocket
from thrift.transport.TSSLSocket import TSSLSocket
from thrift.transport.TTransport import TBufferedTransport, TTransportException

from airavata_mesos_plugin.airavata.registration.server import Server
from airavata_mesos_plugin.airavata.registration.stubs import stub
from airavata_mesos_plugin.airavata.registration.token import Access
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    Refused,
    ServerFault,
    Unreachable,
)

LARGEST_ANSWER = 64 * 1024 * 1024


class ThriftClient:
    """Calls of the service ``Airavata``. Connects with the first call; not for several threads."""

    def __init__(self, server: Server, access: Access) -> None:
        self._server = server
        self._token = stub("security").AuthzToken(
            accessToken=access.token, claimsMap={"userName": access.user, "gatewayID": access.gateway}
        )
        self._transport: Any = None
        self._client: Any = None

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method; the token goes first. Raises what `Door` says."""
        client = self._connected()
        try:
            answer = getattr(client, method)(self._token, *arguments)
        except Exception as error:
            known = self._explained(method, error)
            if known is None:
                raise
            if not isinstance(known, (InvalidRequest, Refused, NotFound)):
                self.close()  # the stream may be in the middle of an answer
            raise known from error
        if answer is False and not method.startswith(("get", "user", "is")):
            raise ServerFault(f"Airavata at {self._server} answered that {method} was not done")
        return answer

    def close(self) -> None:
        """Close the connection; the next call opens one again."""
        if self._transport is not None:
            self._transport.close()
            self._transport = self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            server = self._server
            if server.tls:
                socket = TSSLSocket(server.host, server.port, ssl_context=server.tls_context())
            else:
                socket = TSocket(server.host, server.port)
            socket.setTimeout(server.timeout_seconds * 1000)
            transport = TBufferedTransport(socket)
            try:
                transport.open()
            except (TTransportException, OSError) as error:
                raise Unreachable(
                    f"cannot connect to Airavata at {server}: {error}",
                    advice="check --server, --tls and that the API server runs",
                ) from error
            limits = {"string_length_limit": LARGEST_ANSWER, "container_length_limit": LARGEST_ANSWER}
            self._transport = transport
            self._client = stub("Airavata").Client(TBinaryProtocol(transport, **limits))
        return self._client

    def _explained(self, method: str, error: Exception) -> AiravataMesosError | None:
        errors = stub("errors")
        where = f"Airavata at {self._server}"
        reason = str(getattr(error, "message", "") or getattr(error, "parameter", "") or "no reason given")
        kind = getattr(getattr(error, "airavataErrorType", None), "name", "")
        if isinstance(error, (errors.AuthorizationException, errors.AuthenticationException)) or kind in (
            "AUTHENTICATION_FAILURE",
            "INVALID_AUTHORIZATION",
            "AUTHORIZATION_EXPIRED",
        ):
            return AuthenticationFailed(
                f"{where} did not allow {method}: {reason}",
                advice="the token may have expired, or its owner may lack the role or the permission",
            )
        if kind == "PERMISSION_DENIED":
            return Refused(f"{where} refused {method}: {reason}")
        if isinstance(error, (errors.InvalidRequestException, errors.AiravataClientException)):
            return InvalidRequest(f"{where} did not accept {method}: {reason}")
        if isinstance(error, errors.AiravataSystemException):
            return ServerFault(f"{where} failed in {method}: {reason}")
        if isinstance(error, TApplicationException) and error.type == TApplicationException.INTERNAL_ERROR:
            # Also a refused token, in the few methods that do not declare that error.
            return ServerFault(f"{where} failed in {method}: {error}", advice="see the log of its API server")
        if isinstance(error, (TTransportException, OSError, EOFError)):
            return OutcomeUnknown(
                f"the connection to {where} broke during {method}: {error}",
                advice="run the command again: it looks what is there and goes on",
            )
        if isinstance(error, (TApplicationException, TProtocolException, ValueError, UnicodeDecodeError)):
            return ProtocolError(
                f"{where} answered {method} with something else than Airavata 0.21 would: {error}",
                advice="check the port and --airavata",
            )
        return None
