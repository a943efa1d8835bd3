"""The connection to the leading master: one event stream, and calls beside it (Mesos 1.5 to 1.11, v1 API).

pymesos' own connections are plain HTTP to one address. These find the leader among several, speak TLS, send
credentials of any kind that `access` knows, notice silence, and can be closed by another thread.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import TlsSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    ConfigurationError,
    InvalidRequest,
    NotLeader,
    NotReady,
    OutcomeUnknown,
    ProtocolError,
    Refused,
    Unreachable,
)
from airavata_mesos_plugin.schedulers.base import Leader
from airavata_mesos_plugin.schedulers.http import REDIRECTS, exchange
from airavata_mesos_plugin.schedulers.mesos.recordio import RecordDecoder

PATH = "/api/v1/scheduler"
MAX_REDIRECTS = 3
READ_BYTES = 256 * 1024
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


class EventStream:
    """One subscription. `events` is for one thread; `close` for any."""

    def __init__(
        self,
        url: str,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        clock: Clock,
    ) -> None:
        if connection.sock is None:  # http.client gives the socket away when the answer has no body to come
            raise ProtocolError(f"{url} answered a subscription with a whole answer instead of a stream")
        self.url = url
        self.stream_id = response.headers.get("Mesos-Stream-Id", "")
        self._clock = clock
        self._connection = connection
        self._response = response
        self._socket: socket.socket = connection.sock
        self._closed = threading.Event()
        self.silence_seconds = 75.0
        """How long no event may come until the connection counts as dead: five heartbeats of Mesos 1.11."""

    def events(self) -> Iterator[list[Mapping[str, Any]]]:
        """Events in their order, those that came together in one list, until the master ends the stream.

        Raises Unreachable when the connection breaks or is silent for too long, ProtocolError for bytes that
        are no events.
        """
        decoder = RecordDecoder()
        heard = self._clock.monotonic()
        while not self._closed.is_set():
            remaining = heard + self.silence_seconds - self._clock.monotonic()
            if remaining <= 0:
                raise Unreachable(f"{self.url} sent nothing for {self.silence_seconds:.0f} s")
            try:
                self._socket.settimeout(remaining)
                data = self._response.read1(READ_BYTES)
            except TimeoutError:
                continue
            except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
                # What http.client raises when another thread has closed the connection is not documented.
                if self._closed.is_set():
                    return
                raise Unreachable(f"the event stream of {self.url} broke: {error}") from error
            if not data:
                return
            records = decoder.feed(data)
            if records:
                heard = self._clock.monotonic()
                events = [_event(record) for record in records]
                self._note_heartbeat(events)
                yield events

    def _note_heartbeat(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            subscribed = event.get("subscribed")
            interval = subscribed.get("heartbeat_interval_seconds") if isinstance(subscribed, dict) else None
            if isinstance(interval, (int, float)) and interval > 0:
                self.silence_seconds = 5.0 * interval

    def close(self) -> None:
        """End the stream; a thread that reads it comes back. Repeatable."""
        self._closed.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # it was closed before
            return

    def release(self) -> None:
        """Give up the connection; for the reading thread, when it is done."""
        self.close()
        self._response.close()
        self._connection.close()


class MasterLink:
    """Opens event streams and sends calls. Calls are safe from several threads."""

    def __init__(
        self,
        leader: Leader,
        session: requests.Session,
        tls: TlsSettings,
        clock: Clock,
        *,
        connect_seconds: float,
        call_seconds: float,
    ) -> None:
        self._leader = leader
        self._session = session
        self._tls = tls
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._call_seconds = call_seconds

    def subscribe(self, body: Mapping[str, object]) -> EventStream:
        """Subscribe at whoever leads. Repeatable: a later subscription takes the place of the one before.

        Raises Unreachable, NotLeader, NotReady, AuthenticationFailed, Refused, InvalidRequest, ProtocolError
        or ConfigurationError.
        """
        failures: list[AiravataMesosError] = []
        for address in self._leader.addresses(self._call_seconds):
            try:
                return self._subscribe_at(f"{address}{PATH}", body)
            except (Unreachable, NotReady, OutcomeUnknown) as error:
                failures.append(error)
        self._leader.note_failure()
        if not failures:
            raise NotLeader("no Mesos master leads at present", advice="check that one runs")
        if len(failures) == 1:
            raise failures[0]
        raise Unreachable(
            "no Mesos master took the subscription: " + "; ".join(error.message for error in failures),
            advice="check mesos_masters of the cluster",
        )

    def lost(self) -> None:
        """The stream has ended: look again who leads before the next subscription."""
        self._leader.note_failure()

    def call(self, stream: EventStream, body: Mapping[str, object]) -> None:
        """Send a call that belongs to a subscription; on return the master has received it, no more.

        Raises Unreachable when nothing was sent, OutcomeUnknown when it may have arrived, and InvalidRequest
        or Refused when the master did not take it.
        """
        answer = exchange(
            self._session,
            "POST",
            stream.url,
            headers={**_HEADERS, "Mesos-Stream-Id": stream.stream_id},
            body=json.dumps(body).encode(),
            connect_seconds=self._connect_seconds,
            total_seconds=self._call_seconds,
        )
        if answer.status not in (200, 202):
            raise _error_for_status(stream.url, answer.status, answer.body, str(body.get("type")))

    def _subscribe_at(self, url: str, body: Mapping[str, object]) -> EventStream:
        for _ in range(MAX_REDIRECTS + 1):
            connection = self._connection(url)
            try:
                response = self._post(connection, url, body)
                status = response.status
                if status == 200:
                    return EventStream(url, connection, response, self._clock)
                location, text = response.headers.get("Location", ""), response.read(65536)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise Unreachable(
                    f"cannot subscribe at {url}: {error}", advice="check the address and that the master runs"
                ) from error
            except AiravataMesosError:
                connection.close()
                raise
            connection.close()
            target = _redirection(url, location) if status in REDIRECTS else None
            if target is None:
                raise _error_for_status(url, status, text, "SUBSCRIBE")
            url = target
        raise NotLeader(f"{url}: the masters send us round in a circle")

    def _post(
        self, connection: http.client.HTTPConnection, url: str, body: Mapping[str, object]
    ) -> http.client.HTTPResponse:
        request = requests.Request("POST", url, headers=_HEADERS, data=json.dumps(body).encode())
        prepared = self._session.prepare_request(request)
        connection.connect()
        if connection.sock is not None:
            connection.sock.settimeout(self._call_seconds)
        headers = {name: str(value) for name, value in prepared.headers.items()}
        headers["Accept-Encoding"] = "identity"
        # Otherwise the answer of a stream would keep no socket that could be shut down from outside.
        headers["Connection"] = "keep-alive"
        connection.request("POST", urlsplit(url).path, body=prepared.body, headers=headers)
        return connection.getresponse()

    def _connection(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        if parts.hostname is None:
            raise ConfigurationError(f"{url} is not an address that can be called")
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                parts.hostname, parts.port or 443, timeout=self._connect_seconds, context=self._context()
            )
        return http.client.HTTPConnection(parts.hostname, parts.port or 5050, timeout=self._connect_seconds)

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self._tls.ca or DEFAULT_CA_BUNDLE_PATH))
            if self._tls.certificate is not None:
                context.load_cert_chain(
                    str(self._tls.certificate), None if self._tls.key is None else str(self._tls.key)
                )
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the certificates of the cluster cannot be read: {error}", advice="check tls of the cluster"
            ) from error
        return context


def _redirection(url: str, location: str) -> str | None:
    """Where a redirect leads; Mesos leaves the scheme out. Never from https down to http."""
    target = urljoin(url, location) if location else ""
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    if urlsplit(url).scheme == "https" and parts.scheme != "https":
        return None
    # Some releases name the leader only.
    return target if parts.path not in ("", "/") else f"{parts.scheme}://{parts.netloc}{PATH}"


def _event(record: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the Mesos master sent an event that is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise ProtocolError("the Mesos master sent an event that is not an object")
    return event


def _error_for_status(url: str, status: int, body: bytes, call: str) -> AiravataMesosError:
    text = body.decode("utf-8", "replace").strip()[:500]
    where = f"{url} answered {call} with HTTP {status}{': ' + text if text else ''}"
    if status == 401:
        return AuthenticationFailed(where, advice="check authentication of the cluster")
    if status == 403:
        return Refused(where)
    if status in (307, 308):
        return NotLeader(f"{url} does not know a leading master")
    if status in (408, 429, 500, 502, 503, 504):
        return NotReady(where)
    if status == 400:
        return InvalidRequest(where)
    return ProtocolError(where)
