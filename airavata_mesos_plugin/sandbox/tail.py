"""Following a file of a running sandbox by bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.sandbox.files_api import FilesClient
from airavata_mesos_plugin.schedulers.base import SandboxAddress


def follow(
    client: FilesClient,
    address: SandboxAddress,
    relative: str,
    clock: Clock,
    stop: Callable[[], bool],
    poll_seconds: float,
    *,
    offset: int = 0,
    cancel: threading.Event | None = None,
) -> Iterator[bytes]:
    """The bytes of a file from ``offset`` on as they come, until ``stop()`` says that the task is over.

    What was written before the task ended is still given. A file that is not there yet is waited for; one
    that became shorter was started anew and is given from its beginning. ``cancel`` ends the iteration at
    once. A piece may end in the middle of a character. Raises what `FilesClient.read` raises, except
    NotFound; a caller who goes on after an error passes the number of bytes that it has as ``offset``.
    """
    cancel = threading.Event() if cancel is None else cancel
    while not cancel.is_set():
        over = stop()  # asked before the look, so that the last bytes are not missed
        try:
            size = client.size(address, relative)
            if size < offset:
                offset = 0
            while offset < size and not cancel.is_set():
                data = client.read(address, relative, offset)
                if not data:
                    break
                offset += len(data)
                size = max(size, offset)
                yield data
        except NotFound:
            pass  # not there yet, or collected: `stop` knows which
        if over or clock.wait(cancel, poll_seconds):
            return
