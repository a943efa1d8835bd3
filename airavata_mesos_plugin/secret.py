"""Secrets that stand in a file or in the environment, read when they are needed and never shown."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

from airavata_mesos_plugin.config.types import SecretSource
from airavata_mesos_plugin.errors import ConfigurationError


class Secret:
    """One secret. A file is read again when it has changed, so that a token may be renewed under way."""

    def __init__(
        self, source: SecretSource, environ: Mapping[str, str] = os.environ, *, keep_blanks: bool = False
    ) -> None:
        """Blanks around what stands in a file are no part of the secret, unless ``keep_blanks`` says so."""
        self._source = source
        self._keep_blanks = keep_blanks
        self._environ = environ
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def __repr__(self) -> str:
        return f"<Secret of {self._place()}>"

    def read(self) -> str:
        """The first line of the secret's place. Repeatable.

        Raises ConfigurationError that names the place, and never what stands there.
        """
        if self._source.file is None:
            text = self._environ.get(self._source.variable or "", "")
        else:
            text = self._from_file(self._source.file)
        if not text:
            raise ConfigurationError(f"{self._place()} holds no secret")
        return text

    def _place(self) -> str:
        if self._source.file is not None:
            return f"the file {self._source.file}"
        return f"the environment variable {self._source.variable}"

    def _from_file(self, path: Path) -> str:
        with self._lock:
            try:
                status = path.stat()
                seen = (status.st_mtime_ns, status.st_size, status.st_ino)
                if seen != self._seen:
                    lines = path.read_text(encoding="utf-8").splitlines()
                    line = lines[0] if lines else ""
                    self._text, self._seen = line if self._keep_blanks else line.strip(), seen
            except OSError as error:
                raise ConfigurationError(
                    f"{self._place()} cannot be read: {error.strerror}",
                    advice="it must be readable by the account of the daemon",
                ) from error
            except UnicodeDecodeError:
                raise ConfigurationError(f"{self._place()} is not UTF-8 text") from None
            return self._text
