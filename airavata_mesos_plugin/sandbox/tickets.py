"""Tickets in addresses: unguessable, expiring, for one attempt of one job, checked without a stored list."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import math
import os
import secrets
import stat
import struct
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from airavata_mesos_plugin.errors import ConfigurationError

_FORM = 2
_PAYLOAD = struct.Struct(">HQIQ")  # form, job id, attempt, expiry in whole seconds since the epoch
_TOKEN_LENGTH = 72  # base64 of 22 bytes of payload and 32 of signature
_SECRET_BYTES = 32


class Purpose(str, Enum):
    """What a ticket allows; one for another purpose is no ticket."""

    INPUTS = "inputs"
    GANG = "gang"
    OUTPUTS = "outputs"


class Holder(NamedTuple):
    """Whom a ticket was issued for."""

    job_id: int
    attempt: int


class Tickets:
    """Issues and checks tickets with one secret. Safe to use from several threads."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _SECRET_BYTES:
            raise ValueError(f"the secret has less than {_SECRET_BYTES} bytes")
        self._secret = secret

    @classmethod
    def open(cls, path: Path) -> Tickets:
        """Tickets with the secret in ``path``, which is made when it is not there.

        Repeatable, also by several processes at once: all of them get the same secret.
        Raises ConfigurationError when the file cannot be used.
        """
        try:
            if not path.exists():
                _make_secret(path)
            return cls(_read_secret(path))
        except OSError as error:
            raise ConfigurationError(
                f"cannot use the secret of the download addresses in {path}: {error.strerror}"
            ) from error

    def issue(self, job_id: int, attempt: int, expires_at: float, purpose: Purpose = Purpose.INPUTS) -> str:
        """A ticket of an attempt of a job that is good until ``expires_at``, in seconds since the epoch.

        Only letters, digits, ``-`` and ``_`` are in it. A repeat gives the same ticket.
        """
        payload = _PAYLOAD.pack(_FORM, job_id, attempt, math.ceil(expires_at))
        return base64.urlsafe_b64encode(payload + self._sign(purpose, payload)).decode("ascii")

    def check(self, token: str, now: float, purpose: Purpose = Purpose.INPUTS) -> Holder | None:
        """Whom the ticket is for; None when it is forged, damaged, expired at ``now``, or not for this."""
        if len(token) != _TOKEN_LENGTH or not token.isascii():
            return None
        try:
            raw = base64.b64decode(token.translate(_FROM_URL_SAFE), validate=True)
        except binascii.Error:
            return None
        if len(raw) != _PAYLOAD.size + hashlib.sha256().digest_size:
            return None
        payload, signature = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
        if not hmac.compare_digest(signature, self._sign(purpose, payload)):
            return None
        _, job_id, attempt, expires_at = _PAYLOAD.unpack(payload)
        return Holder(job_id, attempt) if now < expires_at else None

    def marker(self, job_id: int, attempt: int) -> str:
        """32 hexadecimal digits that only we know, always the same for an attempt of a job."""
        return self._sign("marker", _PAYLOAD.pack(_FORM, job_id, attempt, 0))[:16].hex()

    def gang_secret(self, job_id: int, attempt: int) -> bytes:
        """32 bytes that the nodes of an attempt of a job share, always the same for it."""
        return self._sign("gang secret", _PAYLOAD.pack(_FORM, job_id, attempt, 0))

    def _sign(self, purpose: str, payload: bytes) -> bytes:
        # The purpose keeps the secret from signing anything else alike.
        words = b"airavata-mesos " + purpose.encode("ascii") + b"\0"
        return hmac.digest(self._secret, words + payload, "sha256")


_FROM_URL_SAFE = {ord("-"): "+", ord("_"): "/", ord("+"): "!", ord("/"): "!"}


def _make_secret(path: Path) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES).hex().encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: whoever was first keeps the name, and the tickets given out stay good.
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()


def _read_secret(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
            raise ConfigurationError(
                f"others may read the secret of the download addresses in {path}",
                advice=f"remove the file, or run: chmod 600 {path}",
            )
        text = file.read(4096)
    try:
        secret = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        secret = b""
    if len(secret) < _SECRET_BYTES:
        raise ConfigurationError(
            f"{path} does not hold a secret of at least {_SECRET_BYTES} bytes in hexadecimal",
            advice="remove it; addresses that were given out become invalid",
        )
    return secret
