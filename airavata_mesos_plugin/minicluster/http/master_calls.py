"""What operators ask of a Mesos master: `POST /api/v1` and `/teardown` (Mesos 1.11), in JSON."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from airavata_mesos_plugin.minicluster.agents import Agents
from airavata_mesos_plugin.minicluster.ballot import master_info
from airavata_mesos_plugin.minicluster.frameworks.registry import Registry
from airavata_mesos_plugin.minicluster.http.server import (
    BodyTooLarge,
    Routes,
    body_of,
    data_response,
    json_bytes,
    text_response,
)
from airavata_mesos_plugin.minicluster.mesos import objects
from airavata_mesos_plugin.minicluster.mesos.master import Master

_JSON = "application/json"
_LARGEST = 1 << 20
_NEEDS_BODY = {
    "MARK_AGENT_GONE": ("mark_agent_gone", "agent_id"),
    "TEARDOWN": ("teardown", "framework_id"),
}
_READS = ("GET_HEALTH", "GET_VERSION", "GET_MASTER")


class _Bad(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class MasterCallsHttp:
    def __init__(self, master: Master, registry: Registry, agents: Agents) -> None:
        self._master = master
        self._registry = registry
        self._agents = agents

    def routes(self) -> Routes:
        return {
            **dict.fromkeys(("/api/v1", "/master/api/v1"), (("POST",), self._call)),
            **dict.fromkeys(("/teardown", "/master/teardown"), (("POST",), self._teardown)),
        }

    async def _call(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Content-Type") != _JSON:
            return text_response(
                "Expecting 'Content-Type' of application/json or application/x-protobuf", 415
            )
        try:
            answer = await self._answer(await body_of(request, _LARGEST))
        except _Bad as error:
            return text_response(error.text, error.status)
        except BodyTooLarge:
            return text_response("413 Payload Too Large.", 413)
        return web.Response() if answer is None else data_response(request, json_bytes(answer), _JSON)

    async def _answer(self, body: bytes) -> dict[str, Any] | None:
        kind, wanted = _parsed(body)
        if kind == "MARK_AGENT_GONE":
            if wanted not in self._master.agents:
                raise _Bad(404, f"Agent '{wanted}' is not registered")
            await self._agents.lose(wanted, gone=True)
            return None
        if kind == "TEARDOWN":
            self._end(wanted)
            return None
        start = self._master.start_time
        answers: dict[str, dict[str, Any]] = {
            "GET_HEALTH": {"healthy": True},
            "GET_VERSION": {"version_info": objects.version_object(start)},
            "GET_MASTER": {
                "master_info": master_info(self._master.master_id, self._master.port),
                "start_time": start,
                "elected_time": start,
            },
        }
        return {"type": kind, kind.lower(): answers[kind]}

    async def _teardown(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = (await body_of(request, _LARGEST)).decode("utf-8", "replace")
            found = parse_qs(body).get("frameworkId")
            if not found:
                raise _Bad(400, "Missing 'frameworkId' query parameter in the request body")
            self._end(found[0])
        except _Bad as error:
            return text_response(error.text, error.status)
        except BodyTooLarge:
            return text_response("413 Payload Too Large.", 413)
        return text_response("")

    def _end(self, framework_id: str) -> None:
        framework = self._registry.frameworks.get(framework_id)
        if framework is None:
            raise _Bad(400, f"No framework found with ID {framework_id}")
        self._registry.remove(framework)


def _parsed(body: bytes) -> tuple[str, str]:
    """Type of a call and the id that it is about, if it is."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _Bad(400, "Failed to parse body into JSON: syntax error at line 1 near: ") from None
    kind = document.get("type") if isinstance(document, dict) else None
    if kind in _READS:
        return str(kind), ""
    if kind not in _NEEDS_BODY:
        raise _Bad(400, "Failed to validate master::Call: Expecting 'type' to be present")
    name, member = _NEEDS_BODY[kind]
    fields = document.get(name)
    found = fields.get(member) if isinstance(fields, dict) else None
    value = found.get("value") if isinstance(found, dict) else None
    if not isinstance(value, str):
        raise _Bad(400, f"Failed to validate master::Call: Expecting '{name}' to be present")
    return str(kind), value
