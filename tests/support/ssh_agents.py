"""Debian's OpenSSH server as the host of agents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contract.ssh_host import ssh_host


@contextmanager
def agents_sshd(directory: Path) -> Iterator[dict[str, object]]:
    """A running server; the settings of a cluster (`sftp`) that reach it."""
    with ssh_host(directory) as host:
        known = directory / "known_hosts"
        known.write_text(host.known_hosts + host.known_hosts.replace("127.0.0.1", "localhost"))
        yield {
            "user": host.user,
            "port": host.port,
            "key": str(host.identity),
            "known_hosts": str(known),
        }
