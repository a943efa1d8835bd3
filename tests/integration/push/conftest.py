"""A daemon's HTTP side, sandboxes, and a road between them that breaks on the way up."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

import pytest

from tests.integration.inputs.conftest import Site, agent, make_site, sandbox
from tests.integration.inputs.road import Hole, Road

__all__ = ["agent", "make_site", "sandbox"]


class Climb(Road):
    """The offsets of its holes count in what the agent sends; a cut ends the connection there."""

    def _carry(self, agent: socket.socket, hole: Hole) -> None:
        with agent, socket.create_connection(self._target) as daemon, contextlib.suppress(OSError):
            back = threading.Thread(target=_copy, args=(daemon, agent))
            back.start()
            position = 0
            try:
                while data := agent.recv(65536):
                    if not position:
                        self.requests.append(data.split(b"\r\n", 1)[0].decode())
                    if hole.cut_at is not None and position + len(data) > hole.cut_at:
                        daemon.sendall(data[: hole.cut_at - position])
                        break
                    daemon.sendall(data)
                    position += len(data)
            finally:
                for side in (daemon, agent):
                    with contextlib.suppress(OSError):
                        side.shutdown(socket.SHUT_RDWR)
                back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    site = make_site(queues={"outputs": {"method": "push"}})
    site.road = Climb(site.parts.staging_url())
    return site
