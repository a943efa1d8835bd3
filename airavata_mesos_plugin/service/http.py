"""The daemon's HTTP side: agents download inputs here, and send outputs."""

from __future__ import annotations

import errno
from pathlib import Path

from aiohttp import web

from airavata_mesos_plugin.config import StagingSettings
from airavata_mesos_plugin.errors import ConfigurationError
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service.gangs import GangsRoute
from airavata_mesos_plugin.service.inputs import InputsRoute
from airavata_mesos_plugin.service.pushes import PushRoute

GOODBYE_SECONDS = 2.0
"""How long transfers under way hold up the end of the daemon: they go on after the next start."""


class StagingServer:
    """``GET /inputs/<ticket>``, ``POST /gangs/<ticket>`` and ``GET /health``; everything else is 404."""

    """``GET /inputs/<ticket>``, ``PUT /outputs/<ticket>`` and ``GET /health``; everything else is 404."""

    def __init__(self, settings: StagingSettings, port_file: Path) -> None:
        self._settings = settings
        self._port_file = port_file
        self._inputs: InputsRoute | None = None
        self._gangs: GangsRoute | None = None
        self._pushes: PushRoute | None = None
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
        self._inputs = InputsRoute(provider.inputs, self._settings, provider.inputs.clock)
        self._gangs = GangsRoute(provider.gangs)
        self._pushes = PushRoute(provider.pushes)
        application = web.Application()
        application.add_routes(
            [
                *self._inputs.routes(),
                *self._gangs.routes(),
                *self._pushes.routes(),
                web.get("/health", _health),
                # Whoever tries other methods or paths learns nothing about what there is.
                web.route("*", "/{anything:.*}", _nothing),
            ]
        )
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=GOODBYE_SECONDS
        )
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
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._gangs is not None:
            self._gangs.close()
            self._gangs = None
        if self._pushes is not None:
            self._pushes.close()
            self._pushes = None

    def _candidates(self) -> list[int]:
        """Ports to try. Jobs that wait know the address of the last run, so that comes first."""
        if self._settings.port:
            return [self._settings.port]
        try:
            return [int(self._port_file.read_text()), 0]
        except (OSError, ValueError):
            return [0]


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="OK\n")


async def _nothing(_request: web.Request) -> web.Response:
    raise web.HTTPNotFound
