"""Masters that behave badly: refusals without end, silence, streams that break, redirects, nonsense."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.schedulers.base import Check
from airavata_mesos_plugin.schedulers.mesos.scheduler import MesosScheduler
from airavata_mesos_plugin.store import Ledger
from tests.support.waiting import wait_for

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Notes what comes and answers as it is told."""

    protocol_version = "HTTP/1.1"
    server: FakeMaster

    def do_GET(self) -> None:
        body = b'{"slaves": [], "version": "1.11.0"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.calls.append(body)
        if body["type"] == "SUBSCRIBE":
            self.server.answer(self)
        else:
            self.refuse(202)

    def refuse(self, status: int, text: str = "", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Mesos-Stream-Id", "stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, event: dict[str, Any]) -> None:
        data = json.dumps(event).encode()
        self.raw(b"%d\n%s" % (len(data), data))

    def raw(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def subscribed(self, **members: Any) -> None:
        self.stream()
        self.event({"type": "SUBSCRIBED", "subscribed": {"framework_id": {"value": "F"}, **members}})

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


class FakeMaster(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.calls: list[dict[str, Any]] = []
        self.over = threading.Event()
        self.answer: Answer = lambda handler: handler.refuse(503)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def subscriptions(self) -> int:
        with self.lock:
            return sum(call["type"] == "SUBSCRIBE" for call in self.calls)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Streams break here on purpose."""


class Impatient(SystemClock):
    """Notes how long somebody wants to wait, and does not."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.pauses.append(seconds)
        return event.wait(0.01)


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    server = FakeMaster()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock() -> Impatient:
    return Impatient()


Make = Callable[..., MesosScheduler]


@pytest.fixture
def subscribe(master: FakeMaster, clock: Impatient, tmp_path: Path) -> Iterator[Make]:
    ledger = Ledger(tmp_path / "ledger.sqlite", clock)
    made: list[MesosScheduler] = []

    def make(*masters: str) -> MesosScheduler:
        settings = ClusterSettings(name="c", kind="mesos", mesos_masters=masters or (master.url,))
        made.append(MesosScheduler(settings, clock, ledger.notes("c"), chance=lambda: 0.0))
        made[-1].poll([])
        return made[-1]

    yield make
    master.over.set()
    for one in made:
        one.close()
    ledger.close()


def framework(scheduler: MesosScheduler) -> Check:
    return scheduler.check()[-1]


def test_a_master_that_is_not_ready_is_asked_less_and_less(clock: Impatient, subscribe: Make) -> None:
    scheduler = subscribe()
    wait_for(lambda: len(clock.pauses), lambda count: count >= 7, "pauses")
    assert clock.pauses[:7] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert "HTTP 503" in framework(scheduler).detail


def test_a_subscription_that_is_refused_by_an_event_is_not_repeated_at_once(
    master: FakeMaster, clock: Impatient, subscribe: Make
) -> None:
    def answer(handler: Handler) -> None:
        handler.stream()
        handler.event({"type": "ERROR", "error": {"message": "Framework is not welcome"}})
        handler.end()

    master.answer = answer
    scheduler = subscribe()
    wait_for(lambda: len(clock.pauses), lambda count: count >= 3, "pauses")
    assert set(clock.pauses[:3]) == {60.0}
    assert "Framework is not welcome" in framework(scheduler).detail


def test_silence_is_noticed(master: FakeMaster, subscribe: Make) -> None:
    def answer(handler: Handler) -> None:
        handler.subscribed(heartbeat_interval_seconds=0.05)
        handler.server.over.wait(60)

    master.answer = answer
    subscribe()
    wait_for(master.subscriptions, lambda count: count >= 3, "subscribed again")
    with master.lock:
        later = [call for call in master.calls if call["type"] == "SUBSCRIBE"][1:]
    assert {call["framework_id"]["value"] for call in later} == {"F"}


@pytest.mark.parametrize(
    "data",
    [b"17\n{}", b"nonsense\n", b"2\n[]", b"2\n{}2\n{", b"1\n}"],
    ids=["torn", "no record", "no object", "torn later", "no JSON"],
)
def test_streams_that_break_are_renewed(
    master: FakeMaster, clock: Impatient, subscribe: Make, data: bytes
) -> None:
    broken: list[int] = []

    def answer(handler: Handler) -> None:
        handler.subscribed()
        if len(broken) < 3:
            broken.append(1)
            handler.raw(data)
            handler.end()
            return
        handler.server.over.wait(60)

    master.answer = answer
    scheduler = subscribe()
    wait_for(master.subscriptions, lambda count: count >= 4, "subscribed again")
    wait_for(lambda: framework(scheduler), lambda check: check.ok, "subscribed")
    # Each of them began well, so the pause does not grow.
    assert set(clock.pauses[:3]) == {0.5}


def test_redirects_are_followed_but_not_in_a_circle(
    master: FakeMaster, clock: Impatient, subscribe: Make
) -> None:
    other = FakeMaster()
    thread = threading.Thread(target=other.serve_forever, args=(0.05,))
    thread.start()
    try:
        master.answer = lambda handler: handler.refuse(
            307, Location=f"//127.0.0.1:{other.server_port}/api/v1/scheduler"
        )
        other.answer = lambda handler: handler.refuse(307, Location=f"//127.0.0.1:{master.server_port}")
        scheduler = subscribe()
        wait_for(lambda: clock.pauses, bool, "a pause")
        assert "circle" in framework(scheduler).detail

        def answer(handler: Handler) -> None:
            handler.subscribed()
            master.over.wait(60)

        other.answer = answer
        wait_for(lambda: framework(scheduler), lambda check: check.ok, "subscribed")
    finally:
        master.over.set()
        other.shutdown()
        thread.join()
        other.server_close()


def test_a_master_that_does_not_listen_is_passed_over(master: FakeMaster, subscribe: Make) -> None:
    def answer(handler: Handler) -> None:
        handler.subscribed()
        handler.server.over.wait(60)

    master.answer = answer
    scheduler = subscribe("http://127.0.0.1:1", master.url)
    wait_for(lambda: framework(scheduler), lambda check: check.ok, "subscribed")


def test_closing_ends_a_stream_that_is_silent(master: FakeMaster, subscribe: Make) -> None:
    def answer(handler: Handler) -> None:
        handler.subscribed()
        handler.server.over.wait(60)

    master.answer = answer
    scheduler = subscribe()
    wait_for(lambda: framework(scheduler), lambda check: check.ok, "subscribed")
    scheduler.close()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("mesos-")] == []
