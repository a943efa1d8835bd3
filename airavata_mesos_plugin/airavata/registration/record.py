"""A small file that remembers what a registration made, so that its removal takes away just that.

Registration works without it (things are found by name). Removal without it leaves alone what might have
been there before: profile, applications, storage and credential.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from airavata_mesos_plugin.airavata.registration.door import Kind
from airavata_mesos_plugin.errors import ConfigurationError


def record_name(version: str, server: str, gateway: str, resource: str) -> str:
    """A file name for one resource at one gateway of one Airavata."""
    text = "-".join((version, server, gateway, resource))
    return re.sub(r"[^A-Za-z0-9._\-]", "_", text) + ".json"


class Record:
    """Ids by kind. Each change is in the file before the call returns."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._made: dict[str, list[str]] = {}
        if path is not None and path.exists():
            try:
                document = json.loads(path.read_text(encoding="utf-8"))
                self._made = {str(k): [str(i) for i in ids] for k, ids in document["made"].items()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise ConfigurationError(
                    f"cannot read {path}, the record of what was registered: {error}",
                    advice="move it away; unregister will then leave shared things alone",
                ) from error

    def made(self, kind: Kind, id_: str) -> bool:
        """Did a registration of ours make this?"""
        return id_ in self._made.get(kind, [])

    def ids(self, kind: Kind) -> list[str]:
        """All of a kind."""
        return list(self._made.get(kind, []))

    def add(self, kind: Kind, id_: str) -> None:
        """Remember. A repeat does nothing."""
        if not self.made(kind, id_):
            self._made.setdefault(kind, []).append(id_)
            self._write()

    def forget(self, kind: Kind, id_: str) -> None:
        """It is gone. A repeat does nothing."""
        if self.made(kind, id_):
            self._made[kind].remove(id_)
            if not self._made[kind]:
                del self._made[kind]
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._made:
                self._path.unlink(missing_ok=True)
                return
            part = self._path.with_name(self._path.name + ".part")
            with part.open("w", encoding="utf-8") as file:
                json.dump({"made": self._made}, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {self._path}, the record of what was registered: {error.strerror}",
                advice="set AIRAVATA_MESOS_HOME to a directory that this account may write",
            ) from error
