"""Download tickets: unguessable, expiring, bound to one job, checked without any stored list."""

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
from pathlib import Path

from airavata_mesos_plugin.errors import ConfigurationError

_PURPOSE = b"airavata-mesos inputs 1\0"  # keeps the secret from signing anything else alike
_PAYLOAD = struct.Struct(">QQ")  # job id, expiry in whole seconds since the epoch
_TOKEN_LENGTH = 64  # base64 of 16 bytes of payload and 32 of signature
_SECRET_BYTES = 32


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

    def issue(self, job_id: int, expires_at: float) -> str:
        """A ticket of job ``job_id`` that is good until ``expires_at``, in seconds since the epoch.

        Only letters, digits, ``-`` and ``_`` are in it. A repeat gives the same ticket.
        """
        payload = _PAYLOAD.pack(job_id, math.ceil(expires_at))
        return base64.urlsafe_b64encode(payload + self._sign(payload)).decode("ascii")

    def check(self, token: str, now: float) -> int | None:
        """The job that the ticket is for; None when it is forged, damaged or expired at ``now``."""
        if len(token) != _TOKEN_LENGTH or not token.isascii():
            return None
        try:
            raw = base64.b64decode(token.translate(_FROM_URL_SAFE), validate=True)
        except binascii.Error:
            return None
        if len(raw) != _PAYLOAD.size + hashlib.sha256().digest_size:
            return None
        payload, signature = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
        if not hmac.compare_digest(signature, self._sign(payload)):
            return None
        job_id, expires_at = _PAYLOAD.unpack(payload)
        return int(job_id) if now < expires_at else None

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, _PURPOSE + payload, "sha256")


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
