"""``GET /inputs/<ticket>``: the archive with the inputs of a job, for its agent.

``from`` is the byte to begin with, for who goes on after a broken connection; a header for ranges is passed
over. ``by`` names who asks, for the position in the line. An answer of 503 means: come back at once, your
position is kept; one of 410: an input is not as it was at submission, nobody need come back.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from aiohttp import web

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import StagingSettings
from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, StagingError
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider.input_methods import FETCHED_NAME
from airavata_mesos_plugin.provider.inputs import InputSource
from airavata_mesos_plugin.sandbox.inputs import archive
from airavata_mesos_plugin.service.transfers import Bandwidth, Places

T = TypeVar("T")

log = logging.getLogger(__name__)

LINE_SECONDS = 20.0
"""How long an answer may be late until the agent is asked to come back: less than any proxy has patience."""

IDLE_SECONDS = 10.0
"""Between two comments: Mesos' fetcher gives up after a minute without a byte (Mesos 1.9)."""

STALL_SECONDS = 300.0
"""How long a place is kept for an agent that takes nothing."""

_START = re.compile(r"[0-9]{1,18}")
_NAME = re.compile(r"[0-9A-Za-z._-]{0,64}")


class InputsRoute:
    """Sends inputs, so many at a time and so fast as the settings allow."""

    def __init__(self, source: InputSource, settings: StagingSettings, clock: Clock) -> None:
        self._source = source
        self._places = Places(settings.transfers, clock)
        self._bandwidth = Bandwidth(
            _bytes(settings.bandwidth_mb_per_second), _bytes(settings.job_bandwidth_mb_per_second), clock
        )
        # One's own, so that files which are slow to read hold up nothing else of the daemon. One more than
        # places, for the look at tickets.
        self._pool = ThreadPoolExecutor(settings.transfers + 1, thread_name_prefix="inputs")

    def routes(self) -> list[web.RouteDef]:
        """To be added to an application."""
        return [
            web.get("/inputs/{ticket}", self._answer, allow_head=False),
            web.get(f"/inputs/{{ticket}}/{FETCHED_NAME}", self._answer_fetcher, allow_head=False),
        ]

    def close(self) -> None:
        """Begin no more reads. Repeatable."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        ticket = request.match_info["ticket"]
        start, name = request.query.get("from", "0"), request.query.get("by", "")
        if not _START.fullmatch(start) or not _NAME.fullmatch(name):
            raise web.HTTPNotFound
        await self._job(ticket)
        if not await self._places.enter((ticket, name or object()), LINE_SECONDS):
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        try:
            return await self._send(_Answer(request), ticket, int(start))
        finally:
            self._places.leave()

    async def _answer_fetcher(self, request: web.Request) -> web.StreamResponse:
        """To one who gives up when he hears nothing for a while, and does not come back: he gets comments
        while he stands in the line.
        """
        ticket = request.match_info["ticket"]
        await self._job(ticket)
        answer, lead, name = _Answer(request), b"", object()
        while not await self._places.enter(name, IDLE_SECONDS):
            await answer.write(archive.idle())
            lead += archive.idle()
        try:
            return await self._send(answer, ticket, 0, lead)
        except web.HTTPException as error:
            return answer.broken(error)
        finally:
            self._places.leave()

    async def _job(self, ticket: str) -> JobRecord:
        try:
            return await self._in_pool(self._source.job, ticket)
        except NotFound:
            raise web.HTTPNotFound from None

    async def _send(self, answer: _Answer, ticket: str, start: int, lead: bytes = b"") -> web.StreamResponse:
        record = await self._job(ticket)  # it may have ended while its agent stood in the line
        pieces = self._source.stream(record, start, lead)
        coming = self._next(pieces)
        try:
            with self._bandwidth.transfer(record.id) as flow:
                while (piece := await coming) is not None:
                    coming = self._next(pieces)  # is read while this one is sent
                    for part in flow.slices(piece):
                        await flow.wait(len(part))
                        await answer.write(part)
            return await answer.end()
        except ConnectionError as error:
            log.info("inputs of job %d: the agent has hung up: %s", record.id, error)
            return answer.broken(error)
        except (AiravataMesosError, asyncio.TimeoutError) as error:
            log.warning("inputs of job %d: %s", record.id, error or "the agent takes nothing")
            return answer.broken(error)
        finally:
            with suppress(Exception):  # what became of it is of no interest any more
                await coming
            with suppress(RuntimeError):  # the daemon ends
                self._pool.submit(pieces.close)

    def _next(self, pieces: Generator[bytes, None, None]) -> asyncio.Future[bytes | None]:
        return asyncio.ensure_future(self._in_pool(next, pieces, None))

    async def _in_pool(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)


class _Answer:
    """The answer to a request; it begins with the first bytes, so that an error before them has a status."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(
            headers={"Content-Type": "application/x-tar", "Cache-Control": "no-store"}
        )

    async def write(self, part: bytes | memoryview) -> None:
        """Raises asyncio.TimeoutError when the agent takes nothing."""
        if not self._response.prepared:
            await self._response.prepare(self._request)
        if part:
            await asyncio.wait_for(self._response.write(part), STALL_SECONDS)

    async def end(self) -> web.StreamResponse:
        await self._response.write_eof()
        return self._response

    def broken(self, error: Exception) -> web.StreamResponse:
        if not self._response.prepared:
            if isinstance(error, web.HTTPException):
                raise error
            text = f"{error}\n"
            raise (
                web.HTTPGone(text=text) if isinstance(error, StagingError) else web.HTTPBadGateway(text=text)
            )
        # A chunked answer without its last chunk is the only way to tell the agent that it is not whole.
        if self._request.transport is not None:
            self._request.transport.abort()
        return self._response


def _bytes(megabytes: float | None) -> float | None:
    return None if megabytes is None else megabytes * 1e6
