"""The view of the Mesos master over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import (
    AuthenticationFailed,
    NotLeader,
    NotReady,
    ProtocolError,
    Refused,
    ServerFault,
    Unreachable,
)
from airavata_mesos_plugin.jobs import Resources
from airavata_mesos_plugin.schedulers.base import FixedLeader, Node
from airavata_mesos_plugin.schedulers.http import build_session
from airavata_mesos_plugin.schedulers.mesos.master import EXPIRY_SECONDS, MesosMaster
from airavata_mesos_plugin.schedulers.retry import Retrier, RetryPolicy


class FakeMaster:
    """Answers each path from ``pages``: JSON value, raw bytes, or (status, headers)."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                page = outer.pages.get(self.path, (404, {}))
                status, headers = page if isinstance(page, tuple) else (200, {})
                body = page if isinstance(page, bytes) else json.dumps(page).encode()
                body = b"" if isinstance(page, tuple) else body
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.authority = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.authority}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def fake() -> Iterator[FakeMaster]:
    made = FakeMaster()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[FakeMaster]:
    made = FakeMaster()
    yield made
    made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


Masters = Callable[..., MesosMaster]


@pytest.fixture
def masters(clock: ManualClock) -> Iterator[Masters]:
    session = build_session()
    retrier = Retrier(RetryPolicy(attempts=2, first_pause_seconds=0.01), clock, threading.Event())
    yield lambda *urls: MesosMaster(
        FixedLeader(urls), session, retrier, clock, connect_seconds=30, call_seconds=60
    )
    session.close()


def dead() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def agent(name: str, port: int = 5051, **more: Any) -> dict[str, Any]:
    return {
        "id": f"m-{name}",
        "hostname": f"{name}.example",
        "port": port,
        "pid": "slave(1)@10.0.0.1:5051",
        **more,
    }


def test_nodes(fake: FakeMaster, masters: Masters) -> None:
    fake.pages["/slaves"] = {
        "slaves": [
            agent(
                "s1",
                attributes={"rack": "a", "weight": 2.0, "half": 0.5},
                active=True,
                resources={"cpus": 4.0, "mem": 1024.0, "disk": 2048.5, "gpus": 1.0, "ports": "[1-2]"},
                used_resources={"cpus": 0.5, "mem": 10.0, "disk": 0.0},
            ),
            agent("s2", active=False),
            agent("s3", active=True, deactivated=True),
        ]
    }
    nodes = masters(fake.url).nodes()
    assert nodes[0] == Node(
        "s1.example",
        Resources(cpus=4, memory_mb=1024, disk_mb=2048, gpus=1),
        Resources(cpus=0.5, memory_mb=10, disk_mb=0),
        {"rack": "a", "weight": "2", "half": "0.5"},
        True,
    )
    assert [node.active for node in nodes] == [True, False, False]


def test_no_agents_is_an_empty_list(fake: FakeMaster, masters: Masters) -> None:
    fake.pages["/slaves"] = {"slaves": []}
    assert masters(fake.url).nodes() == []


def test_redirect_without_a_scheme_is_followed(fake: FakeMaster, other: FakeMaster, masters: Masters) -> None:
    fake.pages["/slaves"] = (307, {"Location": f"//{other.authority}/slaves"})
    other.pages["/slaves"] = {"slaves": [agent("s1")]}
    assert [node.name for node in masters(fake.url).nodes()] == ["s1.example"]


def test_next_master_is_tried(fake: FakeMaster, other: FakeMaster, masters: Masters) -> None:
    fake.pages["/slaves"] = (503, {})
    other.pages["/slaves"] = {"slaves": []}
    assert masters(dead(), fake.url, other.url).nodes() == []


@pytest.mark.parametrize(
    ("page", "family"),
    [
        ((401, {}), AuthenticationFailed),
        ((403, {}), Refused),
        ((404, {}), Unreachable),
        ((429, {}), NotReady),
        ((500, {}), ServerFault),
        ((503, {}), NotLeader),
        ((307, {}), NotLeader),
        (b"<html>", ProtocolError),
        (b"[" * 100_000, ProtocolError),
        ([1], ProtocolError),
        ({"slaves": [1]}, ProtocolError),
        ({"slaves": [{"id": "a", "resources": 5}]}, ProtocolError),
    ],
)
def test_each_bad_answer_has_its_class(
    fake: FakeMaster, masters: Masters, page: object, family: type[Exception]
) -> None:
    fake.pages["/slaves"] = page
    with pytest.raises(family) as caught:
        masters(fake.url).nodes()
    assert type(caught.value) is family


def test_agent_address_is_read_once_and_expires(
    fake: FakeMaster, masters: Masters, clock: ManualClock
) -> None:
    fake.pages["/slaves"] = {"slaves": [agent("s1"), agent("s2", 5052)]}
    master = masters(fake.url)
    assert master.agent_url("m-s1") == "http://s1.example:5051"
    assert master.agent_url("m-s2") == "http://s2.example:5052"
    assert len(fake.asked) == 1
    fake.pages["/slaves"] = {"slaves": [agent("s1", 6000)]}
    clock.advance(EXPIRY_SECONDS + 1)
    assert master.agent_url("m-s1") == "http://s1.example:6000"


def test_agent_that_has_gone_keeps_its_last_address(
    fake: FakeMaster, masters: Masters, clock: ManualClock
) -> None:
    fake.pages["/slaves"] = {"slaves": [agent("s1")]}
    master = masters(fake.url)
    assert master.agent_url("m-s1")
    fake.pages["/slaves"] = {"slaves": []}
    clock.advance(EXPIRY_SECONDS + 1)
    assert master.agent_url("m-s1") == "http://s1.example:5051"
    assert master.agent_url("m-never") is None
    clock.advance(EXPIRY_SECONDS + 1)
    fake.pages["/slaves"] = (503, {})
    assert master.agent_url("m-s1") == "http://s1.example:5051"
    with pytest.raises(NotLeader):
        master.agent_url("m-never")


def test_unknown_agents_do_not_make_a_call_each(
    fake: FakeMaster, masters: Masters, clock: ManualClock
) -> None:
    fake.pages["/slaves"] = {"slaves": []}
    master = masters(fake.url)
    for number in range(50):
        assert master.agent_url(f"gone-{number}") is None
    assert len(fake.asked) == 1
    clock.advance(2)
    fake.pages["/slaves"] = {"slaves": [agent("new")]}
    assert master.agent_url("m-new") == "http://new.example:5051"


def test_agents_known_from_the_registry_and_by_process_id(fake: FakeMaster, masters: Masters) -> None:
    fake.pages["/slaves"] = {
        "slaves": [{"id": "a", "pid": "slave(1)@10.0.0.5:5051"}, agent("b") | {"hostname": "::1"}],
        "recovered_slaves": [agent("r")],
    }
    master = masters(fake.url)
    assert master.agent_url("a") == "http://10.0.0.5:5051"
    assert master.agent_url("m-b") == "http://[::1]:5051"
    assert master.agent_url("m-r") == "http://r.example:5051"


def framework(ident: str, name: str = "Aurora", at: float = 1.0, active: bool = True) -> dict[str, Any]:
    return {"id": ident, "name": name, "active": active, "registered_time": at}


@pytest.mark.parametrize(
    ("running", "completed", "expected"),
    [
        ([framework("x", "other"), framework("a")], [framework("old", at=9, active=False)], "a"),
        ([framework("a", at=1), framework("b", at=2)], [], "b"),
        ([framework("a", active=False, at=5), framework("b", at=2)], [], "b"),
        ([], [framework("c", at=1, active=False), framework("d", at=2, active=False)], "d"),
    ],
)
def test_framework_is_found_by_name(
    fake: FakeMaster, masters: Masters, running: list[Any], completed: list[Any], expected: str
) -> None:
    fake.pages["/frameworks"] = {"frameworks": running, "completed_frameworks": completed}
    master = masters(fake.url)
    assert master.framework_id("Aurora") == expected
    assert master.framework_id("Aurora") == expected
    assert len(fake.asked) == 1


def test_framework_is_remembered_over_a_change_of_master(
    fake: FakeMaster, masters: Masters, clock: ManualClock
) -> None:
    fake.pages["/frameworks"] = {"frameworks": [framework("a")]}
    master = masters(fake.url)
    master.framework_id("Aurora")
    pages: list[object] = [{"frameworks": []}, (503, {})]
    for page in pages:
        clock.advance(EXPIRY_SECONDS + 1)
        fake.pages["/frameworks"] = page
        assert master.framework_id("Aurora") == "a"


def test_unknown_framework_says_what_to_do(fake: FakeMaster, masters: Masters) -> None:
    fake.pages["/frameworks"] = {"frameworks": [framework("x", "other")]}
    with pytest.raises(NotReady, match="framework_name"):
        masters(fake.url).framework_id("Aurora")
