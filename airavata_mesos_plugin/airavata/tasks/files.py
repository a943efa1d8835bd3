"""Copies below a directory: whole or not at all, and never over a link out of it."""

from __future__ import annotations

import os
import secrets
import threading
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from airavata_mesos_plugin.airavata.tasks.spi import Cancelled, TaskException
from airavata_mesos_plugin.errors import InvalidRequest, NotFound, UnsafePath
from airavata_mesos_plugin.sandbox.paths import Root, create_at, escape, remove_at, rename_at

_CHUNK = 1024 * 1024
_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755


class LocalStorage:
    """A storage resource on this machine: everything below one directory.

    Places are URIs with the scheme ``file``, whose host says nothing here, or paths: absolute ones inside
    the directory, or relative ones below it. Nothing else is read, and no link is followed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def open(self, source: str) -> BinaryIO:
        name = self._name(source)
        try:
            with Root(self._root) as root:
                return os.fdopen(root.open_file(name), "rb")
        except OSError as error:
            raise NotFound(f"storage has no readable file {escape(source)}: {error.strerror}") from error

    def store(self, stream: BinaryIO, destination: str, cancelled: threading.Event) -> str:
        name = self._name(destination)
        with Root(self._root) as root:
            put(root, name, stream, cancelled)
        return f"file://{self._root}/{name}"

    def _name(self, place: str) -> str:
        parts = urlsplit(place) if "://" in place else None
        if parts is not None and parts.scheme != "file":
            raise InvalidRequest(
                f"{escape(place)}: storage on this machine has no {parts.scheme} addresses",
                advice="give a path, or an address that begins with file://",
            )
        # What looks like a query or fragment belongs to the file's name.
        path = place if parts is None else "/" + place.split("://", 1)[1].partition("/")[2]
        if not path.startswith("/"):
            return path
        prefix = str(self._root).rstrip("/") + "/"
        if not path.startswith(prefix):
            raise UnsafePath(f"{escape(place)} is not in the storage {self._root}")
        return path[len(prefix) :]


def put(
    root: Root, name: str, stream: BinaryIO, cancelled: threading.Event, *, may_be_empty: bool = True
) -> int:
    """Write a file beside, then rename it; its size in bytes. Missing directories are made.

    Raises Cancelled, UnsafePath, AlreadyExists, TaskException for an empty file that may not be, OSError.
    """
    with root.parent(name, lambda _: _DIRECTORY_MODE) as (directory, base):
        part = f".airavata-{secrets.token_hex(8)}.part"
        try:
            with os.fdopen(create_at(directory, part), "wb") as target:
                size = 0
                while chunk := stream.read(_CHUNK):
                    if cancelled.is_set():
                        raise Cancelled(f"the copy of {escape(name)} was cancelled")
                    target.write(chunk)
                    size += len(chunk)
                if size == 0 and not may_be_empty:
                    raise TaskException(f"{escape(name)} is empty, and Airavata stages no empty inputs")
                os.fchmod(target.fileno(), _FILE_MODE)
            rename_at(directory, part, base)
        finally:
            remove_at(directory, part)
    return size
