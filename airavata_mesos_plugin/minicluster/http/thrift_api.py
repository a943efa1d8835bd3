"""The Thrift API over HTTP."""

from __future__ import annotations

import html
from collections import defaultdict
from typing import Any
from typing import Protocol as Interface

from aiohttp import web

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.clock import Clock, pause
from airavata_mesos_plugin.minicluster.faults import Fault, Faults, Kind
from airavata_mesos_plugin.minicluster.http.breaking import hang_up, tear
from airavata_mesos_plugin.minicluster.http.security import Denied, Security
from airavata_mesos_plugin.minicluster.http.server import (
    BodyTooLarge,
    body_of,
    data_response,
    text_response,
)
from airavata_mesos_plugin.minicluster.scheduler.access import METHODS
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.envelope import storage_not_ready
from airavata_mesos_plugin.minicluster.scheduler.handler import NOBODY, Handler
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


class Leading(Interface):
    """Whether the scheduler behind these pages leads."""

    settings: ClusterSettings
    scheduler: Scheduler | None
    """Set while it leads."""

    def leader_url(self) -> str | None:
        """Where the leader is; None when nobody leads, or more than one claims to."""


def error_page(status: int, why: str) -> web.Response:
    head = f"<html><head><title>Error {status}</title></head><body><h2>HTTP ERROR {status}</h2>"
    page = f"{head}<p>{html.escape(why)}</p></body></html>\n"
    return web.Response(text=page, status=status, content_type="text/html")


def _unauthorized(why: str) -> web.Response:
    page = error_page(401, why)
    page.headers["WWW-Authenticate"] = CHALLENGE
    return page


def redirect(leader: str, request: web.BaseRequest) -> web.Response:
    location = f"{leader.rstrip('/')}{request.rel_url.raw_path_qs}"
    return web.Response(status=307, headers={"Location": location})


class ThriftApi:
    """`security` is None when everybody may do everything."""

    def __init__(self, node: Leading, faults: Faults, clock: Clock, security: Security | None) -> None:
        self._node = node
        self._faults = faults
        self._clock = clock
        self._security = security
        self._handler: Handler | None = None
        self.counts: dict[str, int] = defaultdict(int)
        """Calls so far, by method."""

    def refusal_of(self, request: web.BaseRequest) -> web.Response | None:
        """401 for credentials that are wrong, on any call; it comes before the question who leads."""
        try:
            self._user_of(request)
        except PermissionError as error:
            return _unauthorized(str(error))
        return None

    def _user_of(self, request: web.BaseRequest) -> str | None:
        if self._security is None:
            return NOBODY
        return self._security.user_of(request.headers.get("Authorization"))

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type")
        most = self._node.settings.max_request_bytes
        try:
            asked = content.request_protocol(content_type)
            body = await body_of(request, most)
            call = Call(asked, body)
        except content.UnsupportedContentType:
            return text_response(f"Unsupported Content-Type: {content_type}", 415)
        except content.MalformedContentType:
            return error_page(500, f"cannot parse the Content-Type {content_type}")
        except BodyTooLarge:
            return error_page(413, f"a request may have {most} bytes")
        except NotAMessage as error:
            return error_page(500, str(error))
        answer_in = content.response_protocol(request.headers.get("Accept"))
        met = self._faults.meet(call.method)
        if met.delay:
            await pause(self._clock, met.delay)
        if met.fault is not None:
            return await self._fail(request, call, answer_in, met.fault)
        return self._carry_out(request, call, answer_in)

    async def _fail(
        self, request: web.BaseRequest, call: Call, answer_in: Protocol, fault: Fault
    ) -> web.StreamResponse:
        if fault.kind is Kind.STATUS:
            why = "switched on as a fault"
            return _unauthorized(why) if fault.status == 401 else error_page(fault.status, why)
        if fault.kind is Kind.WRONG_LEADER:
            return redirect(fault.location, request)
        if fault.kind is Kind.NOT_READY:
            return data_response(request, self._not_ready(call, answer_in), answer_in.value)
        if fault.kind is Kind.DROP_BEFORE:
            return hang_up(request)
        answer = self._carry_out(request, call, answer_in)
        if fault.kind is Kind.TORN:
            return await tear(request, answer)
        return hang_up(request)

    def _carry_out(self, request: web.BaseRequest, call: Call, answer_in: Protocol) -> web.Response:
        user = self._user_of(request)
        if user is None and self._security is not None and self._security.needs_login(call.method):
            return _unauthorized(f"{call.method} needs a login")
        return data_response(request, self._reply(call, answer_in, user), answer_in.value)

    def _reply(self, call: Call, protocol: Protocol, user: str | None) -> bytes:
        if call.method not in METHODS:
            return write_exception(protocol, call, UNKNOWN_METHOD, f"Invalid method name: '{call.method}'")
        try:
            arguments = call.arguments()
        except BadArguments as error:
            return write_exception(protocol, call, PROTOCOL_ERROR, str(error))
        self.counts[call.method] += 1
        if self._security is not None and user is not None:
            try:
                self._security.check(user, call.method, arguments)
            except Denied as error:
                details = (api.ResponseDetail(message=error.message),)
                refused: Any = api.Response(responseCode=error.code, details=details)
                return write_reply(protocol, call, refused)
        handler = self._leading_handler()
        if handler is None:
            return self._not_ready(call, protocol)
        return write_reply(protocol, call, handler.call(call.method, arguments, user or NOBODY))

    def _leading_handler(self) -> Handler | None:
        scheduler = self._node.scheduler
        if scheduler is None:
            self._handler = None
        elif self._handler is None or self._handler.scheduler is not scheduler:
            self._handler = Handler(scheduler)
        return self._handler

    def _not_ready(self, call: Call, protocol: Protocol) -> bytes:
        return write_reply(protocol, call, storage_not_ready(self._node.settings.cluster_name))
