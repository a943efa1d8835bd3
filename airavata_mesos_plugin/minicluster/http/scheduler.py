"""HTTP of the scheduler: the Thrift API and the pages beside it that cost little."""

from __future__ import annotations

import html
import json
import time
from collections import defaultdict

from aiohttp import web

from airavata_mesos_plugin.minicluster.http.server import (
    READ,
    BodyTooLarge,
    Routes,
    body_of,
    data_response,
    query_of,
    text_response,
)
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.handler import Handler
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.tiers import DEFAULT_TIER, TIERS
from airavata_mesos_plugin.minicluster.wire import content
from airavata_mesos_plugin.minicluster.wire.errors import BadArguments, NotAMessage
from airavata_mesos_plugin.minicluster.wire.message import (
    PROTOCOL_ERROR,
    UNKNOWN_METHOD,
    Call,
    Protocol,
    write_exception,
    write_reply,
)


def _error_page(status: int, why: str) -> web.Response:
    head = f"<html><head><title>Error {status}</title></head><body><h2>HTTP ERROR {status}</h2>"
    page = f"{head}<p>{html.escape(why)}</p></body></html>\n"
    return web.Response(text=page, status=status, content_type="text/html")


class SchedulerHttp:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._handler = Handler(scheduler)
        self._calls: dict[str, int] = defaultdict(int)
        self._started = time.monotonic()

    def routes(self) -> Routes:
        return {
            "/api": (("POST", "GET"), self._api),
            "/health": (READ, self._health),
            "/leaderhealth": (READ, self._leader_health),
            "/vars": (READ, self._vars),
            "/vars.json": (READ, self._vars_json),
            "/pendingtasks": (READ, self._pending_tasks),
            "/tiers": (READ, self._tiers),
        }

    async def _api(self, request: web.BaseRequest) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type")
        try:
            asked = content.request_protocol(content_type)
        except content.UnsupportedContentType:
            return text_response(f"Unsupported Content-Type: {content_type}", 415)
        except content.MalformedContentType:
            return _error_page(500, f"cannot parse the Content-Type {content_type}")
        try:
            body = await body_of(request, self._scheduler.settings.max_request_bytes)
        except BodyTooLarge:
            return _error_page(413, f"a request may have {self._scheduler.settings.max_request_bytes} bytes")
        answer_in = content.response_protocol(request.headers.get("Accept"))
        try:
            call = Call(asked, body)
        except NotAMessage as error:
            return _error_page(500, str(error))
        return data_response(request, self._answer(call, answer_in), answer_in.value)

    def _answer(self, call: Call, protocol: Protocol) -> bytes:
        if not self._handler.knows(call.method):
            return write_exception(protocol, call, UNKNOWN_METHOD, f"Invalid method name: '{call.method}'")
        try:
            arguments = call.arguments()
        except BadArguments as error:
            return write_exception(protocol, call, PROTOCOL_ERROR, str(error))
        self._calls[call.method] += 1
        return write_reply(protocol, call, self._handler.call(call.method, arguments))

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("OK\n")

    async def _leader_health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("OK\n")

    def _values(self) -> dict[str, float]:
        scheduler = self._scheduler
        values: dict[str, float] = {
            "jvm_uptime_secs": int(time.monotonic() - self._started),
            "schedule_queue_size": len(scheduler.queue),
            "schedule_rounds": scheduler.rounds,
            "schedule_rounds_secs": round(scheduler.round_seconds, 6),
            "scheduler_illegal_task_state_transitions": scheduler.manager.ignored_transitions,
            "framework_registered": 1,
            "task_store_size": len(scheduler.store),
        }
        for status in Status:
            if status is not Status.DELETED:
                values[f"task_store_{status.name}"] = 0
        for task in scheduler.store.all():
            values[f"task_store_{task.status.name}"] += 1
        for method, count in self._calls.items():
            values[f"scheduler_thrift_{method}_events"] = count
        return dict(sorted(values.items()))

    async def _vars(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("".join(f"{name} {value}\n" for name, value in self._values().items()))

    async def _vars_json(self, request: web.BaseRequest) -> web.StreamResponse:
        indent = 2 if "pretty" in query_of(request) else None
        body = json.dumps(self._values(), indent=indent).encode()
        return data_response(request, body, "application/json")

    async def _pending_tasks(self, request: web.BaseRequest) -> web.StreamResponse:
        groups: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
        for task in self._scheduler.store.active():
            if task.status == Status.PENDING:
                groups[str(task.key), self._scheduler.queue.reason(task)].append(task.task_id)
        listed = [
            {"name": name, "taskIds": ids, "penaltyMs": 0, "reason": f"[{', '.join(reason)}]"}
            for (name, reason), ids in groups.items()
        ]
        return data_response(request, json.dumps(listed).encode(), "application/json")

    async def _tiers(self, request: web.BaseRequest) -> web.StreamResponse:
        tiers = {name: tier._asdict() for name, tier in TIERS.items()}
        body = json.dumps({"default": DEFAULT_TIER, "tiers": tiers}).encode()
        return data_response(request, body, "application/json")
