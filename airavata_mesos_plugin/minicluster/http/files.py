"""The files endpoints of an agent."""

from __future__ import annotations

import asyncio
import os
import re
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from airavata_mesos_plugin.minicluster.http.server import (
    ANY,
    Routes,
    json_bytes,
    json_response,
    query_of,
    text_response,
)
from airavata_mesos_plugin.minicluster.mesos import files

_SMALL = 256 * 1024
"""Files up to this size go out in one piece with the header."""
_FIFO_PAUSE = 0.05
_NOT_IN_HEADERS = re.compile(r"[\x00-\x1f\x7f]")
_TYPES = {
    **dict.fromkeys(("txt", "c", "h", "pl", "bat", "ksh"), "text/plain"),
    **dict.fromkeys(("html", "htm"), "text/html"),
    **dict.fromkeys(("jpeg", "jpg", "jpe"), "image/jpeg"),
    **dict.fromkeys(("tiff", "tif"), "image/tiff"),
    **dict.fromkeys(("ps", "eps", "ai"), "application/postscript"),
    **dict.fromkeys(("nc", "cdf"), "application/x-netcdf"),
    **dict.fromkeys(("mpeg", "mpg"), "video/mpeg"),
    "css": "text/css",
    "xml": "text/xml",
    "tsv": "text/tab-separated-values",
    "py": "text/x-python",
    "js": "application/x-javascript",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "tar": "application/x-tar",
    "hdf": "application/x-hdf",
    "sh": "application/x-sh",
    "tex": "application/x-tex",
    "gif": "image/gif",
    "png": "image/png",
    "bmp": "image/x-ms-bmp",
    "mp4": "video/mp4",
}
"""By the last suffix, upper and lower case apart; what Mesos does not know is octets, JSON for instance."""


def _headers(real: str) -> dict[str, str]:
    # Mesos puts the name there as it is, without quotes and even with line feeds.
    name = os.fsencode(real.rpartition("/")[2]).decode("utf-8", "replace")
    name = _NOT_IN_HEADERS.sub("_", name)
    content_type = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return {"Content-Disposition": f"attachment; filename={name}", "Content-Type": content_type}


async def _writer(fifo: str) -> None:
    """Wait as one who opens a named pipe does, until somebody writes into it."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll(0):
            await asyncio.sleep(_FIFO_PAUSE)
    finally:
        os.close(descriptor)


class FilesHttp:
    """`attached` says what may be read."""

    def __init__(self, attached: files.Attached) -> None:
        self._attached = attached
        self._one_at_a_time = asyncio.Lock()

    def routes(self) -> Routes:
        return {
            "/files/browse": (ANY, self._browse),
            "/files/read": (ANY, self._read),
            "/files/download": (ANY, self._download),
            "/files/debug": (ANY, self._debug),
        }

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[files.Attached]:
        """What may be read, for one request at a time, as in Mesos. Turns IsFifo into what happens there: the
        read waits for a writer, and all others wait with it."""
        async with self._one_at_a_time:
            try:
                yield self._attached
            except files.IsFifo as fifo:
                await _writer(fifo.real)
                text = f"Failed to open file at '{fifo.real}': Illegal seek.\n"
                raise files.FilesError(500, text) from None

    async def _browse(self, request: web.BaseRequest) -> web.StreamResponse:
        path = query_of(request).get("path", "")
        try:
            async with self.turn() as attached:
                real = attached.resolve(path)
                # A directory may have very many entries.
                body = await asyncio.to_thread(lambda: json_bytes(files.browse(real, path)))
        except files.FilesError as error:
            return text_response(error.text, error.status)
        return json_response(request, body)

    async def _read(self, request: web.BaseRequest) -> web.StreamResponse:
        query = query_of(request)
        try:
            async with self.turn() as attached:
                real = attached.resolve(query.get("path", ""))
                body = files.read_json(real, query.get("offset"), query.get("length"))
        except files.FilesError as error:
            return text_response(error.text, error.status)
        return json_response(request, body)

    async def _debug(self, request: web.BaseRequest) -> web.StreamResponse:
        return json_response(request, json_bytes(self._attached.listing()))

    async def _download(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with self.turn() as attached:
                real = attached.resolve(query_of(request).get("path", ""))
            descriptor, info = files.open_file(real, "download")
        except files.FilesError as error:
            return text_response(error.text or "404 Not Found.", error.status)
        except files.IsFifo as fifo:  # holds up this request alone
            await _writer(fifo.real)
            return web.Response(body=b"", headers=_headers(fifo.real))
        with os.fdopen(descriptor, "rb", buffering=0) as source:
            if info.st_size <= _SMALL and request.method != "HEAD":
                return web.Response(body=source.read(info.st_size), headers=_headers(real))
            response = web.StreamResponse(headers=_headers(real))
            response.content_length = info.st_size
            await response.prepare(request)
            if request.method != "HEAD" and request.transport is not None:
                loop = asyncio.get_running_loop()
                try:
                    sent = await loop.sendfile(request.transport, source, 0, info.st_size)
                except ConnectionError:  # the client went away; there is nobody to tell
                    return response
                if sent < info.st_size:  # it shrank meanwhile: what was announced cannot be kept
                    request.transport.abort()
                    return response
            await response.write_eof()
            return response
