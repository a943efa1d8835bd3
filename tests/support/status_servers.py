"""Servers that are told how jobs stand: Airavata's REST proxy and a mail server. Real, on loopback."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, TypeVar

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

T = TypeVar("T")

Answer = Callable[[int], "int | None"]
"""The HTTP status for the call of that number; None hangs until the server stops."""


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class RestProxy:
    """Module ``restproxy`` of Airavata develop: what it wants and what it answers, with faults on demand."""

    def __init__(self, answer: Answer = lambda _number: 200, port: int = 0) -> None:
        self.answer = answer
        self.calls: list[dict[str, str]] = []
        self.records: list[dict[str, str]] = []
        self.on_record: Callable[[dict[str, str]], None] = lambda _record: None
        self._over = asyncio.Event()
        self._thread = _LoopThread()
        self._runner = self._thread.run(self._start(port))
        self.port = int(self._runner.addresses[0][1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/topics/helix-airavata-mq"

    @property
    def statuses(self) -> list[str]:
        """What was accepted, in the realtime monitor's words."""
        return [record["status"] for record in self.records]

    def close(self) -> None:
        self._thread.loop.call_soon_threadsafe(self._over.set)
        self._thread.run(self._runner.cleanup())
        self._thread.stop()

    async def _start(self, port: int) -> web.AppRunner:
        application = web.Application()
        application.add_routes([web.post("/topics/helix-airavata-mq", self._topic)])
        application.add_routes([web.post("/moved", self._moved)])
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    async def _moved(self, _request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(self.endpoint)

    async def _topic(self, request: web.Request) -> web.Response:
        document = await request.json()
        values = [record["value"] for record in document.get("records", [])]
        if request.headers["Content-Type"] != "application/vnd.kafka.json.v2+json":
            return web.Response(status=415)
        if not values or set(document) != {"records"}:
            return web.Response(status=400)
        self.calls += values
        status = self.answer(len(self.calls) - 1)
        if status is None:
            await self._over.wait()
            return web.Response(status=503)
        if status == 200:
            for value in values:
                self.records.append(value)
                self.on_record(value)
        return web.Response(status=status)


class MailServer:
    """An SMTP server that keeps what it takes; ``answers`` go first, one for each mail."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, password: str | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.answers: list[str] = []
        self.refused: set[str] = set()
        self._tls = tls
        self._password = password
        self._thread = _LoopThread()
        self._server = self._thread.run(self._start())
        self.port = int(self._server.sockets[0].getsockname()[1])

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    def close(self) -> None:
        self._thread.run(self._end())
        self._thread.stop()

    async def _start(self) -> asyncio.Server:
        return await self._thread.loop.create_server(self._session, "127.0.0.1", 0)

    async def _end(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        for _ in range(3000):
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("a mail session did not end")

    def _session(self) -> SMTP:
        return SMTP(
            self,
            loop=self._thread.loop,
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            authenticator=self._authenticate if self._password else None,
            auth_required=self._password is not None,
        )

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password.decode() == self._password
        return AuthResult(success=good, handled=False)  # the answer is left to the server

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answers:
            answer = self.answers.pop(0)
            if not answer.startswith("250"):
                return answer
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"
