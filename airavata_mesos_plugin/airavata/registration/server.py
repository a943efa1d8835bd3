"""Where an Airavata listens."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from airavata_mesos_plugin.errors import ConfigurationError

Version = Literal["develop", "master", "0.17"]

PORTS: dict[str, int] = {"develop": 8930, "master": 9090}
"""Where Airavata listens unless told otherwise: Thrift on develop (0.21), HTTP and gRPC on master."""


@dataclass(frozen=True)
class Server:
    """``ca_file``: who signed the server's certificate; none: the system's list."""

    host: str
    port: int
    tls: bool = False
    ca_file: Path | None = None
    timeout_seconds: float = 30.0

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def exposes_token(self) -> bool:
        """Does the access token cross a network in the clear?"""
        return not self.tls and self.host not in ("127.0.0.1", "::1", "localhost")

    def tls_context(self) -> ssl.SSLContext:
        """Raises ConfigurationError when the file of certificates cannot be used."""
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise ConfigurationError(f"cannot use the certificates in {self.ca_file}: {error}") from error


def parse(
    text: str, version: Version, *, tls: bool = False, ca_file: Path | None = None, timeout: float = 30.0
) -> Server:
    """``HOST``, ``HOST:PORT`` or, for master, ``http[s]://HOST[:PORT]``. Raises ConfigurationError."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    known = scheme in (("", "http", "https") if version == "master" else ("",))
    if not known or not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise ConfigurationError(
            f"{text!r} is not the address of an Airavata {version}",
            advice=f"give HOST or HOST:PORT; the usual port is {PORTS[version]}",
        )
    default = {"https": 443, "http": 80}.get(scheme, PORTS[version])
    return Server(host, port or default, tls or scheme == "https", ca_file, timeout)
