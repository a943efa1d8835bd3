"""HTTP of the scheduler API: `POST /api/v1/scheduler` of the master (Mesos 1.11), in JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from airavata_mesos_plugin.minicluster.faults import Fault, Faults, Kind
from airavata_mesos_plugin.minicluster.frameworks.calls import Calls
from airavata_mesos_plugin.minicluster.frameworks.registry import Registry
from airavata_mesos_plugin.minicluster.frameworks.stream import Stream, Torn
from airavata_mesos_plugin.minicluster.frameworks.values import Refused
from airavata_mesos_plugin.minicluster.http.breaking import hang_up
from airavata_mesos_plugin.minicluster.http.server import BodyTooLarge, Routes, body_of, text_response

_JSON = "application/json"
_STREAM_ID = "Mesos-Stream-Id"
PATHS = ("/api/v1/scheduler", "/master/api/v1/scheduler")


class FrameworksHttp:
    def __init__(self, registry: Registry, calls: Calls, faults: Faults, largest: int) -> None:
        """``largest``: bytes of a body."""
        self._registry = registry
        self._calls = calls
        self._faults = faults
        self._largest = largest

    def routes(self) -> Routes:
        return dict.fromkeys(PATHS, (("POST",), self._call))

    async def _call(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            call = await self._parsed(request)
            kind = self._calls.kind_of(call)
            meeting = self._faults.meet(kind)
            if meeting.delay:
                await asyncio.sleep(meeting.delay)
            if meeting.fault is not None:
                return await self._struck(request, call, kind, meeting.fault)
            return await self._carried_out(request, call, kind)
        except Refused as error:
            return text_response(error.text, error.status)

    async def _carried_out(
        self, request: web.BaseRequest, call: dict[str, Any], kind: str
    ) -> web.StreamResponse:
        if kind != "SUBSCRIBE":
            self._calls.carry_out(call, request.headers.get(_STREAM_ID))
            return web.Response(status=202)
        _check_accept(request)
        if _STREAM_ID in request.headers:
            raise Refused(400, f"Subscribe calls should not include the '{_STREAM_ID}' header")
        return await self._follow(request, self._registry.subscribe(call))

    async def _follow(self, request: web.BaseRequest, stream: Stream) -> web.StreamResponse:
        response = self._begun(stream)
        try:
            await response.prepare(request)
            async for record in stream.records():
                await response.write(record)
            await response.write_eof()
        except Torn:
            hang_up(request)
        except ConnectionError:  # the framework went away
            return response
        finally:
            self._registry.left(stream)
        return response

    async def _struck(
        self, request: web.BaseRequest, call: dict[str, Any], kind: str, fault: Fault
    ) -> web.StreamResponse:
        if fault.kind is Kind.STATUS:
            return text_response("", fault.status)
        if fault.kind is Kind.NOT_READY:
            return text_response("Master has not finished recovery", 503)
        if fault.kind is Kind.WRONG_LEADER:
            return web.Response(status=307, headers={"Location": fault.location + request.path})
        if fault.kind is Kind.DROP_BEFORE:
            return hang_up(request)
        if kind == "SUBSCRIBE":
            stream = self._registry.subscribe(call)
            try:
                if fault.kind is Kind.TORN:
                    return await self._break_off(request, stream)
            finally:
                self._registry.left(stream)
        else:
            self._calls.carry_out(call, request.headers.get(_STREAM_ID))
        return hang_up(request)

    async def _break_off(self, request: web.BaseRequest, stream: Stream) -> web.StreamResponse:
        """Half of the first event, then the connection ends."""
        response = self._begun(stream)
        await response.prepare(request)
        async for record in stream.records():
            await response.write(record[: len(record) // 2])
            break
        if request.transport is not None:
            request.transport.close()
        return response

    @staticmethod
    def _begun(stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": _JSON, _STREAM_ID: stream.id})
        response.enable_chunked_encoding()
        return response

    async def _parsed(self, request: web.BaseRequest) -> dict[str, Any]:
        content = request.headers.get("Content-Type")
        if content is None:
            raise Refused(400, "Expecting 'Content-Type' to be present")
        if content != _JSON:
            raise Refused(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
        try:
            document = json.loads(await body_of(request, self._largest))
        except BodyTooLarge:
            raise Refused(413, "413 Payload Too Large.") from None
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"Failed to parse body into JSON: {error}") from None
        if not isinstance(document, dict):
            raise Refused(400, "Failed to convert JSON into Call protobuf: Expecting a JSON object")
        return document


def _check_accept(request: web.BaseRequest) -> None:
    accepted = [part.partition(";")[0].strip() for part in request.headers.get("Accept", "*/*").split(",")]
    if not {_JSON, "application/*", "*/*"} & set(accepted):
        raise Refused(406, "Expecting 'Accept' to allow application/json or application/x-protobuf")
