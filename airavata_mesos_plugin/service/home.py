"""The home directory of a daemon: what lies where, and that only one daemon uses it."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin.errors import ConfigurationError

_LONGEST_SOCKET_PATH = 107
"""Linux: sizeof(sun_path) - 1."""


@dataclass(frozen=True)
class Home:
    """Paths below the home directory; nothing is created by looking at them."""

    directory: Path

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.db"

    @property
    def socket(self) -> Path:
        return self.directory / "command.sock"

    @property
    def peer_socket(self) -> Path:
        return self.directory / "provider.sock"

    @property
    def secret(self) -> Path:
        return self.directory / "secret"

    @property
    def staging_port(self) -> Path:
        return self.directory / "staging.port"

    @property
    def minicluster(self) -> Path:
        return self.directory / "minicluster"

    def prepare(self) -> None:
        """Make the directory. Others may pass through it to the socket, and see nothing else. Repeatable.

        Raises ConfigurationError when it cannot be made, belongs to somebody else, or its path is too
        long for a Unix socket.
        """
        try:
            self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
            status = self.directory.stat()
            if status.st_uid != os.geteuid():
                raise ConfigurationError(
                    f"{self.directory} belongs to another account",
                    advice="set AIRAVATA_MESOS_HOME to a directory of your own",
                )
            if stat.S_IMODE(status.st_mode) != 0o711:
                self.directory.chmod(0o711)
        except OSError as error:
            raise ConfigurationError(
                f"cannot use the home directory {self.directory}: {error.strerror}",
                advice="set AIRAVATA_MESOS_HOME to a directory that this account may write",
            ) from error
        longest = max(self.socket, self.peer_socket, key=lambda path: len(os.fsencode(path)))
        if len(os.fsencode(longest)) > _LONGEST_SOCKET_PATH:
            raise ConfigurationError(
                f"the path {longest} is too long for a Unix socket",
                advice=f"set AIRAVATA_MESOS_HOME to a path of at most "
                f"{_LONGEST_SOCKET_PATH - len(longest.name) - 1} bytes",
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only daemon of this directory. Raises ConfigurationError when there is another."""
        path = self.directory / "daemon.lock"
        path.touch(mode=0o600)  # whoever may open it may lock it
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"another daemon uses {self.directory}",
                    advice="stop it first, or set another AIRAVATA_MESOS_HOME",
                ) from None
            yield
