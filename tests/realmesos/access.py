"""Who may do what in a real cluster: credentials, tokens, ACLs and certificates."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

Json = dict[str, Any]

AGENT_PRINCIPAL = "agent"
JWT_KEY = b"the key of this cluster's tokens, 40 bytes"


@dataclass(frozen=True)
class Tls:
    """Files of a certificate authority and of a certificate that all servers of a cluster share."""

    authority: trustme.CA
    ca_file: Path
    certificate: Path
    key: Path
    require_client: bool

    def client(self, directory: Path, name: str) -> tuple[Path, Path]:
        """A certificate of this authority for a client, and its key."""
        return _write(self.authority.issue_cert(name), directory, name)

    def context(self) -> ssl.SSLContext:
        """What the harness itself connects with."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(self.certificate, self.key)
        return context

    def environment(self) -> dict[str, str]:
        """Settings of a Mesos process (libprocess). Connections without TLS are closed.

        Mesos' older way of checking names would look up the host name of every client, too.
        """
        return {
            "LIBPROCESS_SSL_ENABLED": "1",
            "LIBPROCESS_SSL_KEY_FILE": str(self.key),
            "LIBPROCESS_SSL_CERT_FILE": str(self.certificate),
            "LIBPROCESS_SSL_CA_FILE": str(self.ca_file),
            "LIBPROCESS_SSL_REQUIRE_CLIENT_CERT": "1" if self.require_client else "0",
            "LIBPROCESS_SSL_HOSTNAME_VALIDATION_SCHEME": "openssl",
            "LIBPROCESS_SSL_VERIFY_IPADD": "1",
        }


def make_tls(directory: Path, *names: str, require_client: bool = False) -> Tls:
    """A new authority and a certificate for ``names``, host names or addresses; files of mode 0600."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    certificate, key = _write(authority.issue_cert(*names), directory, "server")
    return Tls(authority, ca_file, certificate, key, require_client)


def _write(leaf: trustme.LeafCert, directory: Path, name: str) -> tuple[Path, Path]:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    key.touch(mode=0o600)
    leaf.private_key_pem.write_to_path(str(key))
    return certificate, key


def basic(principal: str, secret: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{principal}:{secret}".encode()).decode()


def token(principal: str, *, lifetime_seconds: float = 3600.0, key: bytes = JWT_KEY) -> str:
    """A JSON Web Token as agents take it, HS256 signed with their ``jwt_secret_key``."""
    head = {"alg": "HS256", "typ": "JWT"}
    claims = {"sub": principal, "exp": int(time.time() + lifetime_seconds)}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{_encoded(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class AccessFlags:
    """Command line flags of masters and agents that require ``credentials`` and apply ``acls``."""

    def __init__(self, directory: Path, credentials: Mapping[str, str] | None, acls: Json | None) -> None:
        self._directory = directory
        self._credentials = credentials
        self._acls = acls

    def master(self) -> list[str]:
        flags = self._acl_flags()
        if self._credentials is not None:
            everybody = {**self._credentials, AGENT_PRINCIPAL: AGENT_PRINCIPAL}
            flags += [
                "--authenticate_http_readonly",
                "--authenticate_http_readwrite",
                "--authenticate_http_frameworks",
                "--http_framework_authenticators=basic",
                "--authenticate_agents",
                f"--credentials={self._file('credentials', _credentials(everybody))}",
            ]
        return flags

    def agent(self) -> list[str]:
        flags = self._acl_flags()
        if self._credentials is not None:
            own = {"principal": AGENT_PRINCIPAL, "secret": AGENT_PRINCIPAL}
            flags += [
                "--authenticate_http_readonly",
                "--authenticate_http_readwrite",
                "--authenticate_http_executors",
                f"--jwt_secret_key={self._file('jwt_key', JWT_KEY.decode())}",
                f"--http_credentials={self._file('http_credentials', _credentials(self._credentials))}",
                f"--credential={self._file('credential', json.dumps(own))}",
            ]
        return flags

    def _acl_flags(self) -> list[str]:
        return [] if self._acls is None else [f"--acls={self._file('acls', json.dumps(self._acls))}"]

    def _file(self, name: str, text: str) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


def _credentials(secrets: Mapping[str, str]) -> str:
    pairs = [{"principal": principal, "secret": secret} for principal, secret in secrets.items()]
    return json.dumps({"credentials": pairs})
