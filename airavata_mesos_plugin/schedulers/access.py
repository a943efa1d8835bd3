"""Credentials and certificates of a session, from settings (Aurora 0.22: none, Basic and Negotiate).

A bearer token is for a proxy before the scheduler. Secrets are read when a request is made, so that a
renewed token or password is used at once; they are in no settings, message or repr.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from airavata_mesos_plugin.config import AuthenticationSettings, TlsSettings
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.schedulers.http import build_session
from airavata_mesos_plugin.secret import Secret


class BasicLogin(AuthBase):
    """HTTP Basic with a password that is read for each request."""

    def __init__(self, user: str, password: Secret) -> None:
        self._user = user
        self._password = password

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As bytes: the library would write it in Latin-1.
        user, password = self._user.encode(), self._password.read().encode()
        signed: requests.PreparedRequest = HTTPBasicAuth(user, password)(request)
        return signed

    def __repr__(self) -> str:
        return f"<BasicLogin of {self._user}>"


class BearerLogin(AuthBase):
    """A bearer token that is asked for before each request."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token = self._token()
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("the bearer token is not one word of printable ASCII")
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    def __repr__(self) -> str:
        return "<BearerLogin>"


def login(settings: AuthenticationSettings) -> AuthBase | None:
    """What puts credentials on a request; None for none. Raises ConfigurationError."""
    if settings.mechanism == "basic" and settings.user is not None and settings.password is not None:
        return BasicLogin(settings.user, Secret(settings.password))
    if settings.mechanism == "bearer":
        return BearerLogin(Secret(settings.token).read if settings.token is not None else _plug(settings))
    if settings.mechanism == "kerberos":
        return _kerberos(settings)
    return None


def authorization_of(settings: AuthenticationSettings) -> Callable[[str], str | None]:
    """What gives the value of the header for a request to a URL, for connections without a session.

    Raises ConfigurationError, as what it returns does.
    """
    signer = login(settings)

    def authorization(url: str) -> str | None:
        if signer is None:
            return None
        request = requests.Request("GET", url).prepare()
        value = signer(request).headers.get("Authorization")
        return value.decode("latin-1") if isinstance(value, bytes) else value

    return authorization


def session_of(authentication: AuthenticationSettings, tls: TlsSettings) -> requests.Session:
    """A session with these credentials and certificates. Raises ConfigurationError."""
    for path in (tls.ca, tls.certificate, tls.key):
        if path is not None and not path.is_file():
            raise ConfigurationError(
                f"there is no certificate file {path}", advice="check tls of the cluster"
            )
    cert: str | tuple[str, str] | None = None
    if tls.certificate is not None:
        cert = str(tls.certificate) if tls.key is None else (str(tls.certificate), str(tls.key))
    return build_session(
        auth=login(authentication), verify=True if tls.ca is None else str(tls.ca), cert=cert
    )


def _plug(settings: AuthenticationSettings) -> Callable[[], str]:
    module, _, name = (settings.token_from or "").partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"token_from {settings.token_from!r} cannot be loaded: {error}",
            advice="name an importable function as package.module:function",
        ) from error
    if not callable(found):
        raise ConfigurationError(f"token_from {settings.token_from!r} is not a function")

    def ask() -> str:
        try:
            token: str = found()
        except Exception as error:
            # Only the kind of failure is told: its words may hold what must not be seen.
            raise ConfigurationError(f"{settings.token_from} gave no token: {type(error).__name__}") from None
        return token

    return ask


def _kerberos(settings: AuthenticationSettings) -> AuthBase:
    try:
        gssapi = importlib.import_module("requests_gssapi")
    except ImportError as error:
        raise ConfigurationError(
            "Kerberos needs another package", advice="install airavata-mesos-plugin[kerberos]"
        ) from error
    # Credentials are sent at once: a create must not be posted first without them.
    made: AuthBase = gssapi.HTTPSPNEGOAuth(
        mutual_authentication=gssapi.OPTIONAL,
        opportunistic_auth=True,
        target_name=settings.kerberos_service,
    )
    return made
