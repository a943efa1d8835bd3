"""The files endpoints of an agent."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re

from aiohttp import web

from airavata_mesos_plugin.minicluster.http.server import (
    READ,
    Routes,
    json_bytes,
    json_response,
    query_of,
    text_response,
)
from airavata_mesos_plugin.minicluster.mesos import files

_SMALL = 256 * 1024
"""Files up to this size go out in one piece with the header."""
_NOT_IN_HEADERS = re.compile(r"[\x00-\x1f\x7f]")


def _content_type(name: str) -> str:
    guessed, encoding = mimetypes.guess_type(name)
    return "application/octet-stream" if guessed is None or encoding else guessed


def _headers(real: str) -> dict[str, str]:
    # Mesos puts the name there without quotes.
    name = os.fsencode(real.rpartition("/")[2]).decode("utf-8", "replace")
    name = _NOT_IN_HEADERS.sub("_", name)
    return {"Content-Type": _content_type(name), "Content-Disposition": f"attachment; filename={name}"}


class FilesHttp:
    """`attached` says what may be read."""

    def __init__(self, attached: files.Attached) -> None:
        self._attached = attached

    def routes(self) -> Routes:
        return {
            "/files/browse": (READ, self._browse),
            "/files/read": (READ, self._read),
            "/files/download": (READ, self._download),
            "/files/debug": (READ, self._debug),
        }

    async def _browse(self, request: web.BaseRequest) -> web.StreamResponse:
        path = query_of(request).get("path", "")
        try:
            real = self._attached.resolve(path)
            # A directory may have very many entries.
            body = await asyncio.to_thread(lambda: json_bytes(files.browse(real, path)))
        except files.FilesError as error:
            return text_response(error.text, error.status)
        return json_response(request, body)

    async def _read(self, request: web.BaseRequest) -> web.StreamResponse:
        query = query_of(request)
        try:
            real = self._attached.resolve(query.get("path", ""))
            body = files.read_json(real, query.get("offset"), query.get("length"))
        except files.FilesError as error:
            return text_response(error.text, error.status)
        return json_response(request, body)

    async def _debug(self, request: web.BaseRequest) -> web.StreamResponse:
        return json_response(request, json_bytes(self._attached.listing()))

    async def _download(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            real = self._attached.resolve(query_of(request).get("path", ""))
            descriptor, info = files.open_regular(real, "download")
        except files.FilesError as error:
            return text_response(error.text, error.status)
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
