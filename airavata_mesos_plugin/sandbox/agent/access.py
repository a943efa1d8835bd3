"""What it takes to be let in by the agents of a cluster: credentials and certificates."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from airavata_mesos_plugin.errors import ConfigurationError


def _nobody(_url: str) -> str | None:
    return None


@dataclass(frozen=True)
class AgentAccess:
    """For the agents of one cluster alone: a name in `SandboxAddress.access` says for which.

    ``authorization`` gives the value of the HTTP header for a URL, or None; it is asked before each request,
    so that a renewed secret is used at once. It may raise ConfigurationError.
    """

    authorization: Callable[[str], str | None] = field(default=_nobody, repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    _made: list[ssl.SSLContext] = field(default_factory=list, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def context(self) -> ssl.SSLContext:
        """For https; host names are checked. Made once. Raises ConfigurationError for files of no use."""
        with self._lock:
            if not self._made:
                try:
                    context = ssl.create_default_context(cafile=self.ca)
                    if self.certificate is not None:
                        context.load_cert_chain(self.certificate, self.key)
                except OSError as error:
                    raise ConfigurationError(
                        f"the certificates for the agents cannot be used: {error.strerror or error}",
                        advice="check tls of the cluster: ca, certificate and key",
                    ) from error
                self._made.append(context)
            return self._made[0]


EVERYBODY = AgentAccess()
"""For agents that ask for nothing; on https, those whose certificates this host trusts anyway."""
