"""The access token of an Airavata administrator, and what it says about its owner.

The token is never logged and never part of an error text.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from pathlib import Path

from airavata_mesos_plugin.errors import ConfigurationError


@dataclass(frozen=True)
class Access:
    """Who talks to which gateway, and the token that proves it."""

    user: str
    gateway: str
    token: str = field(repr=False)


def read_token(value: str | None, file: Path | None) -> str:
    """The token of the environment or of a file. Raises ConfigurationError when there is none."""
    if file is not None:
        try:
            value = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(f"cannot read the access token from {file}: {reason}") from error
    token = (value or "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            "there is no usable access token",
            advice="put it into a file and name it with --token-file, or set AIRAVATA_TOKEN",
        )
    return token


def access(token: str, user: str | None, gateway: str | None) -> Access:
    """Who the token belongs to. What is not given is read from the token, if it is a Keycloak token.

    The signature is Airavata's business, not ours. Raises ConfigurationError when the user stays unknown.
    """
    claims = _claims(token)
    issuer = str(claims.get("iss", ""))
    realm = issuer.rstrip("/").rpartition("/realms/")[2] if "/realms/" in issuer else ""
    user = user or str(claims.get("preferred_username", ""))
    if not user:
        raise ConfigurationError(
            "the access token does not say whose it is", advice="name the Airavata user with --user"
        )
    return Access(user, gateway or realm or "default", token)


def _claims(token: str) -> dict[str, object]:
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        body = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
