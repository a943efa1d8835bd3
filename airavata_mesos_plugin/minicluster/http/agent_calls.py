"""The v1 calls of an agent that are about its files, and two that need nothing (Mesos 1.11)."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from aiohttp import web

from airavata_mesos_plugin.minicluster.http.files import FilesHttp
from airavata_mesos_plugin.minicluster.http.server import (
    BodyTooLarge,
    Routes,
    body_of,
    data_response,
    json_bytes,
    text_response,
)
from airavata_mesos_plugin.minicluster.mesos import files, objects

_LARGEST = 1024 * 1024
_JSON = "application/json"
_FORMS = "application/json or application/x-protobuf or application/recordio"
_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "LIST_FILES": ("list_files", ("path",)),
    "READ_FILE": ("read_file", ("path", "offset")),
}
_CALLS = (*_FIELDS, "GET_HEALTH", "GET_VERSION")


class AgentCallsHttp:
    """JSON only."""

    def __init__(self, files_http: FilesHttp, start_time: float) -> None:
        self._files = files_http
        self._start_time = start_time

    def routes(self) -> Routes:
        return dict.fromkeys(("/api/v1", "/slave(1)/api/v1"), (("POST",), self._call))

    async def _call(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Content-Type") != _JSON:
            return text_response(f"Expecting 'Content-Type' of {_FORMS}", 415)
        accepted = [
            part.partition(";")[0].strip() for part in request.headers.get("Accept", "*/*").split(",")
        ]
        if not {_JSON, "application/*", "*/*"} & set(accepted):
            return text_response(f"Expecting 'Accept' to allow {_FORMS}", 406)
        try:
            answer = await self._answer(await body_of(request, _LARGEST))
        except files.FilesError as error:
            return text_response(error.text, error.status)
        except BodyTooLarge:
            return text_response("413 Payload Too Large.", 413)
        return data_response(request, json_bytes(answer), _JSON)

    async def _answer(self, body: bytes) -> dict[str, Any]:
        kind, fields = _parsed(body)
        if kind == "LIST_FILES":
            found = await self._list(str(fields["path"]))
            return {"type": kind, "list_files": {"file_infos": found} if found else {}}
        if kind == "READ_FILE":
            return {"type": kind, "read_file": await self._read(fields)}
        if kind == "GET_HEALTH":
            return {"type": kind, "get_health": {"healthy": True}}
        version = objects.version_object(self._start_time)
        return {"type": kind, "get_version": {"version_info": version}}

    async def _list(self, path: str) -> list[dict[str, Any]]:
        async with self._files.turn() as attached:
            real = _resolved(attached, path)
            return await asyncio.to_thread(files.file_infos, real, path)

    async def _read(self, fields: dict[str, Any]) -> dict[str, Any]:
        async with self._files.turn() as attached:
            real = _resolved(attached, str(fields["path"]))
            length = None if fields.get("length") is None else int(fields["length"])
            size, data = files.read(real, int(fields["offset"]), length)
        return {"size": size, "data": base64.b64encode(data).decode()}


def _resolved(attached: files.Attached, path: str) -> str:
    if not path:
        raise files.FilesError(404)
    try:
        return attached.resolve(path)
    except UnicodeEncodeError:  # half a surrogate pair
        raise files.FilesError(404) from None


def _parsed(body: bytes) -> tuple[str, dict[str, Any]]:
    """Type and fields of a call. Raises FilesError with what Mesos says."""
    try:
        document = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        raise files.FilesError(400, "Failed to parse body into JSON: syntax error at line 1 near: ") from None
    kind = document.get("type") if isinstance(document, dict) else None
    if kind not in _CALLS:
        raise files.FilesError(400, "Failed to validate agent::Call: Expecting 'type' to be present")
    if kind not in _FIELDS:
        return kind, {}
    name, required = _FIELDS[kind]
    fields = document.get(name)
    if not isinstance(fields, dict):
        raise files.FilesError(400, f"Failed to validate agent::Call: Expecting '{name}' to be present")
    for key in required:
        if fields.get(key) is None:
            raise files.FilesError(400, f"Missing required fields: {name}.{key}")
    return kind, fields
