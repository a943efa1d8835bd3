"""``POST /gangs/<ticket>/<number>``: a node of a parallel job is ready and asks for the others."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from airavata_mesos_plugin.errors import InvalidRequest, NotFound
from airavata_mesos_plugin.provider.gangs import GangDesk

OPEN_SECONDS = 10.0
"""How long an answer waits for the last node until the question has to be asked again."""

_LARGEST = 4096  # bytes of a registration


class GangsRoute:
    """Answers all nodes of a job at the moment when the last one comes."""

    def __init__(self, desk: GangDesk) -> None:
        self._desk = desk
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="gangs")
        self._complete: dict[str, asyncio.Event] = {}  # by ticket, while somebody waits

    def routes(self) -> list[web.RouteDef]:
        """To be added to an application."""
        return [web.post(r"/gangs/{ticket}/{number:[0-9]{1,5}}", self._answer)]

    def close(self) -> None:
        """Begin nothing more. Repeatable."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: web.Request) -> web.Response:
        ticket, number = request.match_info["ticket"], int(request.match_info["number"])
        said = await self._said(request)
        answer = await self._register(ticket, number, said)
        if "nodes" not in answer:
            event = self._complete.setdefault(ticket, asyncio.Event())
            try:
                await asyncio.wait_for(event.wait(), OPEN_SECONDS)
            except asyncio.TimeoutError:
                if self._complete.get(ticket) is event:
                    del self._complete[ticket]
                    event.set()  # others of the job ask again too, and look anew
            answer = await self._register(ticket, number, said)
        if "nodes" in answer and (waiting := self._complete.pop(ticket, None)) is not None:
            waiting.set()
        return web.json_response(answer)

    async def _register(self, ticket: str, number: int, said: dict[str, object]) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._desk.register, ticket, number, said)
        except NotFound:
            raise web.HTTPNotFound from None
        except InvalidRequest as error:
            raise web.HTTPBadRequest(text=f"{error.message}\n") from None

    async def _said(self, request: web.Request) -> dict[str, object]:
        if (request.content_length or _LARGEST + 1) > _LARGEST:
            raise web.HTTPBadRequest
        try:
            said = json.loads(await request.content.read(_LARGEST))
        except ValueError:
            raise web.HTTPBadRequest from None
        if not isinstance(said, dict):
            raise web.HTTPBadRequest
        return said
