"""Opens the source of a sandbox by the method that its queue names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.agent.source import AgentSource
from airavata_mesos_plugin.sandbox.origins import PUSH, SHARED
from airavata_mesos_plugin.sandbox.outputs.push import open_pushed
from airavata_mesos_plugin.sandbox.shared_source import SharedSource
from airavata_mesos_plugin.sandbox.source import Origin, Source
from airavata_mesos_plugin.schedulers.base import SandboxAddress

FILES_API = "files_api"

Opener = Callable[[Origin], AbstractContextManager[Source]]
"""Opens a source for the length of a block; connections may outlive it, in a pool of the opener's."""


class Sources:
    """All methods that this process knows. Safe to use from several threads."""

    def __init__(self, client: FilesClient, openers: Mapping[str, Opener] | None = None) -> None:
        """``openers`` are the methods besides the files API. ``client`` stays the caller's to close."""
        self._client = client
        self._openers: dict[str, Opener] = {
            FILES_API: self._files_api,
            SHARED: self._shared,
            PUSH: open_pushed,
            **(openers or {}),
        }

    def open(self, origin: Origin | SandboxAddress) -> AbstractContextManager[Source]:
        """The source; an address alone means the files API.

        Raises ConfigurationError for a method that this process does not know, and what the opener raises.
        """
        if isinstance(origin, SandboxAddress):
            origin = Origin(FILES_API, origin)
        opener = self._openers.get(origin.method)
        if opener is None:
            raise ConfigurationError(
                f"outputs cannot be fetched with the method {origin.method!r}",
                advice=f"this provider knows {', '.join(sorted(self._openers))}",
            )
        return opener(origin)

    @contextlib.contextmanager
    def _files_api(self, origin: Origin) -> Iterator[Source]:
        yield AgentSource(self._client, origin.address)

    @contextlib.contextmanager
    def _shared(self, origin: Origin) -> Iterator[Source]:
        yield SharedSource(origin, AgentSource(self._client, origin.address))
