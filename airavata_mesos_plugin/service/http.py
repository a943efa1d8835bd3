"""The daemon's HTTP side: agents download inputs here."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from airavata_mesos_plugin.config import StagingSettings
from airavata_mesos_plugin.errors import AiravataMesosError, ConfigurationError, NotFound
from airavata_mesos_plugin.provider import Provider

log = logging.getLogger(__name__)

READERS = 32
"""Downloads of inputs whose next piece is read at the same time."""


class StagingServer:
    """``GET /inputs/<ticket>`` and ``GET /health``; everything else is 404."""

    def __init__(self, settings: StagingSettings, port_file: Path) -> None:
        self._settings = settings
        self._port_file = port_file
        # One's own, so that files which are slow to read hold up nothing else of the daemon.
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="inputs")
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Base URL under which agents reach this server."""
        if self._settings.advertise:
            return self._settings.advertise
        return f"http://{self._settings.listen}:{self._port}"

    async def start(self, provider: Provider) -> None:
        """Listen. Raises ConfigurationError when the address cannot be used."""
        application = web.Application()
        application[_PROVIDER] = provider
        application[_POOL] = self._pool
        application.add_routes([web.get("/inputs/{ticket}", _inputs), web.get("/health", _health)])
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        for port in self._candidates():
            site = web.TCPSite(self._runner, self._settings.listen, port)
            try:
                await site.start()
            except OSError as error:
                if error.errno == errno.EADDRINUSE and port != self._settings.port:
                    continue  # somebody took our port while we were away
                raise ConfigurationError(
                    f"cannot listen on {self._settings.listen}:{port}: {error.strerror}",
                    advice="change staging.listen or staging.port",
                ) from error
            break
        self._port = self._runner.addresses[0][1]
        self._port_file.touch(mode=0o600)
        self._port_file.write_text(f"{self._port}\n")

    async def stop(self) -> None:
        """Close all connections. Repeatable."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _candidates(self) -> list[int]:
        """Ports to try. Jobs that wait know the address of the last run, so that comes first."""
        if self._settings.port:
            return [self._settings.port]
        try:
            return [int(self._port_file.read_text()), 0]
        except (OSError, ValueError):
            return [0]


_PROVIDER = web.AppKey("provider", Provider)
_POOL = web.AppKey("pool", ThreadPoolExecutor)


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="OK\n")


async def _inputs(request: web.Request) -> web.StreamResponse:
    loop = asyncio.get_running_loop()
    pool = request.app[_POOL]
    try:
        chunks = await loop.run_in_executor(
            pool, request.app[_PROVIDER].inputs.open, request.match_info["ticket"]
        )
    except NotFound:
        raise web.HTTPNotFound from None
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
    await response.prepare(request)
    try:
        while (chunk := await loop.run_in_executor(pool, _next, chunks)) is not None:
            await response.write(chunk)
    except AiravataMesosError as error:
        log.warning("inputs: %s", error)
        # A chunked answer without its last chunk is the only way to tell the agent that it is not whole.
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)
