"""HTTP exchanges with schedulers and masters: one session, hard deadlines, exact errors.

The session ignores the environment on purpose: the proxy variables and ``~/.netrc`` of whoever started the
daemon must not decide which way, and under whose name, a cluster's scheduler is spoken to. Credentials
and certificates are arguments of `build_session`, and nothing else in the package knows of them.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    MaxRetryError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import Timeout

from airavata_mesos_plugin.errors import AiravataMesosError, ConfigurationError, OutcomeUnknown, Unreachable

REDIRECTS = frozenset({307, 308})
"""The redirects that keep method and body."""

POOL_SIZE = 16
"""Connections kept per host; more threads than that open extra ones that are not kept."""


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; the body is no longer compressed."""

    url: str
    status: int
    content_type: str
    location: str
    body: bytes


class _DeadlineRaw(io.RawIOBase):
    """Bytes of a socket until a fixed moment, however slowly they drip in."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        # urllib3 has just put the rest of the total time there.
        seconds = sock.gettimeout()
        self._end = None if seconds is None else time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            remaining = self._end - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    """The read timeout counts for head and body together, not anew for each packet."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineRaw(sock), 64 * 1024)


class _Connection(HTTPConnection):
    response_class = _DeadlineResponse

    def request(self, *args: Any, **kwargs: Any) -> None:
        # A kept connection still has the last moments of the previous call as its timeout.
        if self.sock is not None:
            self.sock.settimeout(_seconds(self.timeout))
        super().request(*args, **kwargs)


class _SecureConnection(HTTPSConnection):
    response_class = _DeadlineResponse

    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            # A failed TLS handshake must not look like a connection that broke after sending.
            raise NewConnectionError(self, f"TLS: {error}") from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(_seconds(self.timeout))
        super().request(*args, **kwargs)


def _seconds(timeout: object) -> float | None:
    return float(timeout) if isinstance(timeout, (int, float)) else None


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        manager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        self.poolmanager = manager


def build_session(
    *,
    auth: AuthBase | tuple[str, str] | None = None,
    verify: bool | str = True,
    cert: str | tuple[str, str] | None = None,
    user_agent: str = "airavata-mesos-plugin",
) -> requests.Session:
    """A session that threads may share: no cookies, no redirects, no environment, sized pools.

    ``verify`` and ``cert`` are TLS settings as requests knows them.
    """
    session = requests.Session()
    session.trust_env = False
    session.auth = auth
    session.verify = verify
    session.cert = cert
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "gzip", "Connection": "keep-alive"})
    adapter = _Adapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def exchange(
    session: requests.Session,
    method: str,
    url: str,
    *,
    connect_seconds: float,
    total_seconds: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """One request and its whole answer, whatever its status; redirects are not followed.

    Takes ``total_seconds`` at most, the look-up of the host name excepted, which the system bounds. Raises
    Unreachable when nothing was sent, OutcomeUnknown when the request may have arrived, and
    ConfigurationError for an address that is none.
    """
    if total_seconds <= 0:
        raise Unreachable(f"{url}: the time for the call was over before it was sent")
    timeout = Timeout(connect=min(connect_seconds, total_seconds), total=total_seconds)
    try:
        response = session.request(
            method,
            url,
            data=body,
            headers=dict(headers or {}),
            timeout=timeout,  # type: ignore[arg-type]  # requests takes urllib3's own form, its stubs do not
            allow_redirects=False,
            stream=True,
        )
        try:
            content = response.raw.read(decode_content=True)
        finally:
            response.close()
    except (requests.RequestException, HTTPError, OSError) as error:
        raise _classified(error, url, total_seconds) from error
    return Answer(
        url=url,
        status=response.status_code,
        content_type=response.headers.get("Content-Type", ""),
        location=response.headers.get("Location", ""),
        body=content,
    )


def redirect_target(answer: Answer) -> str | None:
    """Where an answer sends us, or None when it cannot be followed.

    Mesos 1.11 leaves the scheme out of the Location. A step from https down to http is not followed:
    credentials go along.
    """
    if answer.status not in REDIRECTS or not answer.location:
        return None
    target = urljoin(answer.url, answer.location)
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    if urlsplit(answer.url).scheme == "https" and parts.scheme != "https":
        return None
    return target


def _classified(error: Exception, url: str, total_seconds: float) -> AiravataMesosError:
    if isinstance(
        error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, LocationValueError)
    ):
        return ConfigurationError(f"{url} is not an address that can be called: {error}")
    if _before_sending(error):
        return Unreachable(
            f"cannot connect to {url}: {_words(error)}", advice="check the address and that the server runs"
        )
    if isinstance(error, (requests.ReadTimeout, ReadTimeoutError, TimeoutError)):
        return OutcomeUnknown(f"{url} did not answer within {total_seconds:.3g} s")
    return OutcomeUnknown(f"the connection to {url} broke before the answer was complete: {_words(error)}")


def _before_sending(error: Exception) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _words(error: BaseException) -> str:
    """The innermost reason in a chain of wrapped errors."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection within the connect timeout"
    seen = {id(error)}
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None or id(inner) in seen:
            break
        seen.add(id(inner))
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
