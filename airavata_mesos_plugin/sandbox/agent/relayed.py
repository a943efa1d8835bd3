"""The files API of agents that ask for credentials, for processes that are not to have them.

The daemon asks the agent; a process that works as an account gets entries and bytes, as with SSH.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace

from airavata_mesos_plugin.sandbox.accounts.relay import SOCKET_DETAIL, RelayedSource
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.agent.source import READ_FACTOR, AgentSource
from airavata_mesos_plugin.sandbox.source import Origin, Source
from airavata_mesos_plugin.sandbox.sources import FILES_API, Opener

RELAYED = "files_api_relayed"
"""The method of an `Origin` on its way to such a process; queues never name it."""


def relayed(origin: Origin) -> Origin:
    """The origin as such a process is to get it: another method where the agent wants credentials."""
    if origin.method == FILES_API and origin.address.access:
        return replace(origin, method=RELAYED)
    return origin


def agent_opener(client: FilesClient) -> Opener:
    """The daemon's side; ``client`` has the credentials."""

    @contextlib.contextmanager
    def opened(origin: Origin) -> Iterator[Source]:
        yield AgentSource(client, origin.address)

    return opened


class _RelayedAgent(RelayedSource):
    shows_links = False

    def resumes(self, size: int, offset: int) -> bool:
        return (size - offset) * READ_FACTOR <= size


@contextlib.contextmanager
def open_relayed_agent(origin: Origin) -> Iterator[Source]:
    """The account's side: the source behind the sockets of the details, which are closed at the end."""
    text = dict(origin.details)[SOCKET_DETAIL]
    source = _RelayedAgent([socket.socket(fileno=int(number)) for number in text.split(",")])
    try:
        yield source
    finally:
        source.close()
