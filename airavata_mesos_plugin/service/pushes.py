"""The route on which agents send outputs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimeoutOfFuture

from aiohttp import web

from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, TransferError
from airavata_mesos_plugin.provider.pushes import Pushes

log = logging.getLogger(__name__)

WRITERS = 32
"""Jobs whose outputs are taken at the same time; others are told to come again."""

SILENCE_SECONDS = 300.0
"""How long an agent may send nothing."""


_LOOK_SECONDS = 1.0  # how often a writer looks whether the daemon is being stopped


class PushRoute:
    """``PUT`` or ``POST`` of an archive to ``/outputs/<ticket>``: 200 when it is there, whole.

    404: nobody waits for it. 503: come again later. 4xx and 5xx otherwise: it was not taken.
    """

    def __init__(self, pushes: Pushes) -> None:
        self._pushes = pushes
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="pushes")
        self._busy = 0
        self._closed = threading.Event()

    def routes(self) -> list[web.RouteDef]:
        """What the server has to serve."""
        return [web.put("/outputs/{ticket}", self._take), web.post("/outputs/{ticket}", self._take)]

    def close(self) -> None:
        """Take nothing more. Repeatable."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _take(self, request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        ticket = request.match_info["ticket"]
        if self._busy >= WRITERS:
            raise web.HTTPServiceUnavailable
        self._busy += 1
        try:
            await loop.run_in_executor(self._pool, self._pushes.check, ticket)
            await loop.run_in_executor(
                self._pool, self._pushes.take, ticket, _chunks(request, loop, self._closed)
            )
        except NotFound:
            raise web.HTTPNotFound from None
        except AiravataMesosError as error:
            log.warning("outputs that an agent sends: %s", error)
            status = web.HTTPServiceUnavailable if error.transient else web.HTTPUnprocessableEntity
            raise status from error
        finally:
            self._busy -= 1
        return web.Response(text="OK\n")


def _chunks(
    request: web.Request, loop: asyncio.AbstractEventLoop, closed: threading.Event
) -> Iterator[bytes]:
    """The body, for another thread than the loop's; the sender waits while it is not taken."""
    while True:
        try:
            piece = asyncio.run_coroutine_threadsafe(_next(request), loop)
            while True:
                try:
                    data = piece.result(_LOOK_SECONDS)
                    break
                except TimeoutOfFuture:
                    if closed.is_set():
                        raise
        except AiravataMesosError:
            raise
        # The server's library has many words for a body that does not come to its end.
        except Exception as error:
            raise TransferError(f"the agent broke off: {error or type(error).__name__}") from error
        if not data:
            return
        yield data


async def _next(request: web.Request) -> bytes:
    try:
        return await asyncio.wait_for(request.content.readany(), SILENCE_SECONDS)
    except asyncio.TimeoutError:
        raise TransferError(f"the agent has sent nothing for {SILENCE_SECONDS:g} s") from None
