"""A small routed server.

Mesos and Aurora have few fixed paths and their own rules about them, so this is a table in front of
aiohttp's low-level server instead of an application with a router.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Route = tuple[tuple[str, ...], Handler]
Routes = Mapping[str, Route]
READ = ("GET", "HEAD")
_COMPRESS_FROM = 1024


class BodyTooLarge(Exception):
    """The request has more bytes than the server takes."""


def query_of(request: web.BaseRequest) -> dict[str, str]:
    """Parameters of the address, decoded once; bytes that are not UTF-8 survive as surrogates. The last one
    of a name counts."""
    raw = request.rel_url.raw_query_string
    return dict(parse_qsl(raw, keep_blank_values=True, errors="surrogateescape"))


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
        wrapped = name.encode("utf-8", "surrogateescape") + b"(" + body + b");"
        return data_response(request, wrapped, "text/javascript")
    return data_response(request, body, "application/json")


def text_response(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status)


class Server:
    """Listens on 127.0.0.1.  `routes` maps paths to methods and handlers."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._runner: web.ServerRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{LISTEN_HOST}:{self.port}"

    async def start(self, port: int) -> None:
        """Listen, on any free port for 0.  Raises OSError when the port is taken."""
        self._runner = web.ServerRunner(web.Server(self._dispatch, access_log=None), shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, LISTEN_HOST, port, backlog=1024).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the socket and all connections; may be repeated."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        path = unquote(request.rel_url.raw_path)
        route = self._routes.get(path.rstrip("/") or "/")
        if route is None:
            return text_response("404 Not Found.\n", 404)
        methods, handler = route
        if request.method not in methods:
            allowed = ", ".join(methods)
            response = text_response(f"405 Method Not Allowed. Expecting one of {{ {allowed} }}.\n", 405)
            response.headers["Allow"] = allowed
            return response
        return await handler(request)
