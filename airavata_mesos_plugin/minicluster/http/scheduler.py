"""HTTP of the scheduler: the Thrift API and the pages beside it that cost little."""

from __future__ import annotations

import html
import json
import time
from collections import defaultdict
from typing import Protocol as Interface

from aiohttp import web

from airavata_mesos_plugin.minicluster.clock import Clock, pause
from airavata_mesos_plugin.minicluster.faults import Fault, Faults, Kind
from airavata_mesos_plugin.minicluster.http.server import (
    READ,
    BodyTooLarge,
    Routes,
    body_of,
    data_response,
    query_of,
    text_response,
)
from airavata_mesos_plugin.minicluster.scheduler.access import METHODS
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.envelope import storage_not_ready
from airavata_mesos_plugin.minicluster.scheduler.handler import Handler
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.tiers import DEFAULT_TIER, TIERS
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
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

CHALLENGE = 'BASIC realm="Apache Aurora Scheduler"'


def _hang_up(request: web.BaseRequest) -> web.Response:
    """Close the connection; nothing of the response is sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _tear(request: web.BaseRequest, answer: web.Response) -> web.StreamResponse:
    """Promise the whole answer, send half of it, close the connection."""
    body = answer.body
    whole = body if isinstance(body, bytes) else b""
    torn = web.StreamResponse(headers={**answer.headers, "Content-Length": str(len(whole))})
    await torn.prepare(request)
    await torn.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()
    return torn


def _redirect(leader: str, request: web.BaseRequest) -> web.Response:
    location = f"{leader.rstrip('/')}{request.rel_url.raw_path_qs}"
    return web.Response(status=307, headers={"Location": location})


def _error_page(status: int, why: str) -> web.Response:
    head = f"<html><head><title>Error {status}</title></head><body><h2>HTTP ERROR {status}</h2>"
    page = f"{head}<p>{html.escape(why)}</p></body></html>\n"
    return web.Response(text=page, status=status, content_type="text/html")


class Leading(Interface):
    """Whether the scheduler behind these pages leads."""

    settings: ClusterSettings
    scheduler: Scheduler | None
    """Set while it leads."""

    def leader_url(self) -> str | None:
        """Where the leader is; None when nobody leads, or more than one claims to."""


class SchedulerHttp:
    def __init__(self, node: Leading, faults: Faults, clock: Clock) -> None:
        self._node = node
        self._faults = faults
        self._clock = clock
        self._handler: Handler | None = None
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
            body = await body_of(request, self._node.settings.max_request_bytes)
        except BodyTooLarge:
            return _error_page(413, f"a request may have {self._node.settings.max_request_bytes} bytes")
        answer_in = content.response_protocol(request.headers.get("Accept"))
        try:
            call = Call(asked, body)
        except NotAMessage as error:
            return _error_page(500, str(error))
        met = self._faults.meet(call.method)
        if met.delay:
            await pause(self._clock, met.delay)
        if met.fault is not None:
            return await self._fail(request, call, answer_in, met.fault)
        return data_response(request, self._answer(call, answer_in), answer_in.value)

    async def _fail(
        self, request: web.BaseRequest, call: Call, answer_in: Protocol, fault: Fault
    ) -> web.StreamResponse:
        if fault.kind is Kind.STATUS:
            page = _error_page(fault.status, "switched on as a fault")
            if fault.status == 401:
                page.headers["WWW-Authenticate"] = CHALLENGE
            return page
        if fault.kind is Kind.WRONG_LEADER:
            return _redirect(fault.location, request)
        if fault.kind is Kind.NOT_READY:
            return data_response(request, self._not_ready(call, answer_in), answer_in.value)
        if fault.kind is Kind.DROP_BEFORE:
            return _hang_up(request)
        answer = data_response(request, self._answer(call, answer_in), answer_in.value)
        if fault.kind is Kind.TORN:
            return await _tear(request, answer)
        return _hang_up(request)

    def _not_ready(self, call: Call, protocol: Protocol) -> bytes:
        cluster = self._node.settings.cluster_name
        return write_reply(protocol, call, storage_not_ready(cluster))

    def _answer(self, call: Call, protocol: Protocol) -> bytes:
        if call.method not in METHODS:
            return write_exception(protocol, call, UNKNOWN_METHOD, f"Invalid method name: '{call.method}'")
        try:
            arguments = call.arguments()
        except BadArguments as error:
            return write_exception(protocol, call, PROTOCOL_ERROR, str(error))
        self._calls[call.method] += 1
        handler = self._leading_handler()
        if handler is None:
            return self._not_ready(call, protocol)
        return write_reply(protocol, call, handler.call(call.method, arguments))

    def _leading_handler(self) -> Handler | None:
        scheduler = self._node.scheduler
        if scheduler is None:
            self._handler = None
        elif self._handler is None or self._handler.scheduler is not scheduler:
            self._handler = Handler(scheduler)
        return self._handler

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("OK\n")

    async def _leader_health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("OK\n")

    def _values(self) -> dict[str, float]:
        scheduler = self._node.scheduler
        values: dict[str, float] = {
            "jvm_uptime_secs": int(time.monotonic() - self._started),
            "framework_registered": int(scheduler is not None),
        }
        if scheduler is not None:
            values |= {
                "schedule_queue_size": len(scheduler.queue),
                "schedule_rounds": scheduler.rounds,
                "schedule_rounds_secs": round(scheduler.round_seconds, 6),
                "scheduler_illegal_task_state_transitions": scheduler.manager.ignored_transitions,
                "task_store_size": len(scheduler.store),
            }
            values |= {f"task_store_{s.name}": 0 for s in Status if s is not Status.DELETED}
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
        scheduler = self._node.scheduler
        for task in () if scheduler is None else scheduler.store.active():
            if task.status == Status.PENDING and scheduler is not None:
                groups[str(task.key), scheduler.queue.reason(task)].append(task.task_id)
        listed = [
            {"name": name, "taskIds": ids, "penaltyMs": 0, "reason": f"[{', '.join(reason)}]"}
            for (name, reason), ids in groups.items()
        ]
        return data_response(request, json.dumps(listed).encode(), "application/json")

    async def _tiers(self, request: web.BaseRequest) -> web.StreamResponse:
        tiers = {name: tier._asdict() for name, tier in TIERS.items()}
        body = json.dumps({"default": DEFAULT_TIER, "tiers": tiers}).encode()
        return data_response(request, body, "application/json")
