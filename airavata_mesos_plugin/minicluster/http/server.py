"""A small routed server.

Mesos and Aurora have few fixed paths and their own rules about them, so this is a table in front of
aiohttp's low-level server instead of an application with a router.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

from aiohttp import web

from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Route = tuple[tuple[str, ...], Handler]
Routes = Mapping[str, Route]
READ = ("GET", "HEAD")
ANY = (*READ, "POST", "PUT", "DELETE")
_SEPARATORS = re.compile(r"[&;]")
_COMPRESS_FROM = 1024

_STEPS_OF_AN_ACCEPT = 5  # turns of the event loop, with room to spare


class BodyTooLarge(Exception):
    """The request has more bytes than the server takes."""


def query_of(request: web.BaseRequest) -> dict[str, str]:
    """Parameters of the address, decoded once; bytes that are not UTF-8 survive as surrogates. The last one
    of a name counts. Both & and ; stand between them."""
    parts = (part.partition("=") for part in _SEPARATORS.split(request.rel_url.raw_query_string))
    return {_decoded(name): _decoded(value) for name, _, value in parts}


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


async def body_of(request: web.BaseRequest, limit: int) -> bytes:
    """Raises BodyTooLarge."""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > limit:
            raise BodyTooLarge
    return b"".join(parts)


def accepts_gzip(request: web.BaseRequest) -> bool:
    for entry in request.headers.get("Accept-Encoding", "").split(","):
        coding, _, weight = entry.partition(";")
        if coding.strip().lower() in ("gzip", "*"):
            return weight.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def data_response(request: web.BaseRequest, body: bytes, content_type: str) -> web.Response:
    headers = {"Content-Type": content_type}
    if len(body) >= _COMPRESS_FROM and accepts_gzip(request):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def json_bytes(value: Any) -> bytes:
    """File names that are not UTF-8 are written as the bytes they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def json_response(request: web.BaseRequest, body: bytes) -> web.Response:
    """JSON as Mesos sends it, or JSONP when the address asks for it."""
    name = query_of(request).get("jsonp")
    if name:
        wrapped = name.encode("utf-8", "surrogateescape") + b"(" + body + b")"
        return data_response(request, wrapped, "text/javascript")
    return data_response(request, body, "application/json")


def text_response(text: str, status: int = 200) -> web.Response:
    body = text.encode("utf-8", "surrogateescape")  # paths in it may be any bytes
    return web.Response(body=body, status=status, content_type="text/plain", charset="utf-8")


class Server:
    """Listens on 127.0.0.1.  `routes` maps paths to methods and handlers."""

    def __init__(self, routes: Routes, *, notices_leaving: bool = False) -> None:
        """``notices_leaving``: a handler is cancelled when its client goes away."""
        self._routes = routes
        self._notices_leaving = notices_leaving
        self._runner: web.ServerRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{LISTEN_HOST}:{self.port}"

    async def start(self, port: int) -> None:
        """Listen, on any free port for 0.  Raises OSError when the port is taken."""
        server = web.Server(self._dispatch, access_log=None, handler_cancellation=self._notices_leaving)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, LISTEN_HOST, port, backlog=1024).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the socket and all connections; may be repeated."""
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
            # A connection that has just been accepted becomes known, and so is closed with the others.
            for _ in range(_STEPS_OF_AN_ACCEPT):
                await asyncio.sleep(0)
            await self._runner.cleanup()
            self._runner = None

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        path = unquote(request.rel_url.raw_path)
        route = self._routes.get(path.rstrip("/") or "/")
        if route is None:
            return text_response("404 Not Found.", 404)
        methods, handler = route
        if request.method not in methods:
            allowed = ", ".join(f"'{method}'" for method in methods)
            text = (
                f"405 Method Not Allowed. Expecting one of {{ {allowed} }}, but received '{request.method}'."
            )
            response = text_response(text, 405)
            response.headers["Allow"] = ", ".join(methods)
            return response
        return await handler(request)
