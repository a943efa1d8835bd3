"""Logging in by SSH with a key, to hosts whose own keys somebody has compared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import paramiko

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    ConfigurationError,
    Unreachable,
)


@dataclass(frozen=True)
class Target:
    """An account of a host."""

    user: str
    host: str
    port: int = 22

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Identity:
    """With what one logs in; ``when_locked`` is advice for a key with a passphrase."""

    key: Path | None  # None: the keys of the SSH agent and of this account
    when_locked: str
    when_refused: str = ""  # goes on after the usual advice

    def __str__(self) -> str:
        return f"the key {self.key}" if self.key else "the keys of this account"


def log_in(
    client: paramiko.SSHClient,
    target: Target,
    identity: Identity,
    known_hosts: Path,
    seconds: float,
    transport_factory: Callable[..., paramiko.Transport] | None = None,
) -> None:
    """Connect within ``seconds`` for each step. No password is ever sent, no host key ever added.

    The host keys must have been loaded into ``client``; messages name the file ``known_hosts``. Raises
    Unreachable, AuthenticationFailed (also for a host key that is unknown or another one) and
    ConfigurationError for a private key that cannot be used.
    """
    client.set_missing_host_key_policy(_Refuse(target, known_hosts))
    options: dict[str, Any] = {} if transport_factory is None else {"transport_factory": transport_factory}
    try:
        client.connect(
            target.host,
            target.port,
            target.user,
            key_filename=str(identity.key) if identity.key else None,
            allow_agent=identity.key is None,
            look_for_keys=identity.key is None,
            timeout=seconds,
            banner_timeout=seconds,
            auth_timeout=seconds,
            **options,
        )
    except AiravataMesosError:
        raise
    except paramiko.BadHostKeyException as error:
        raise AuthenticationFailed(
            f"{target.host} shows the host key {_fingerprint(error.key)}, and {known_hosts} has another one",
            advice="somebody may listen in; if the host was installed anew, compare its key, then replace the"
            " line",
        ) from error
    except paramiko.PasswordRequiredException as error:
        raise ConfigurationError(
            f"{identity}: a passphrase is needed", advice=identity.when_locked
        ) from error
    except paramiko.AuthenticationException as error:
        raise AuthenticationFailed(
            f"{target} does not accept {identity}",
            advice=f"add its public half to ~/.ssh/authorized_keys of {target.user} on {target.host}"
            f"{identity.when_refused}",
        ) from error
    except (FileNotFoundError, PermissionError) as error:
        raise ConfigurationError(f"{identity}: cannot read the private key: {error.strerror}") from error
    except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
        raise Unreachable(
            f"no SSH connection to {target}: {reason(error)}",
            advice="check the address, that sshd runs there and that a firewall lets us through",
        ) from error


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Whoever shows a key that nobody has compared is not trusted."""

    def __init__(self, target: Target, known_hosts: Path) -> None:
        self._target = target
        self._known_hosts = known_hosts

    def missing_host_key(self, _client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> NoReturn:
        raise AuthenticationFailed(
            f"the host key of {hostname} is not in {self._known_hosts}; the host shows {_fingerprint(key)}",
            advice="compare that with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` on the host, then run:"
            f" ssh-keyscan -p {self._target.port} {self._target.host} >> {self._known_hosts}",
        )


def reason(error: BaseException) -> str:
    """What an error of a socket, a file or paramiko says; at least its kind."""
    text = ""
    with contextlib.suppress(AttributeError):
        text = error.strerror or ""  # type: ignore[attr-defined]
    return text or str(error) or type(error).__name__


def _fingerprint(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"
