"""A Mesos agent's files endpoints over a real socket, with switches for what hostile agents do."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.support.tree_source import TreeSource

VIRTUAL = "/frameworks/F-1/executors/thermos-a (1)/runs/latest/sandbox"
Fault = Callable[["Handler"], bool]


class Agent:
    """Serves ``root``. ``faults`` maps (call, relative name) to what is done instead of the answer.

    A fault returns True when it has answered, False to let the ordinary answer follow.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: dict[tuple[str, str], Fault] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.release = threading.Event()  # ends what hangs on purpose
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.agent = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.address = SandboxAddress(self.url, VIRTUAL)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    agent: Agent
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.agent.connections += 1

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        agent = self.server.agent
        agent.headers.append(dict(self.headers.items()))
        call, _, query = self.path.partition("?")
        values = dict(item.split("=", 1) for item in query.split("&"))
        path = os.fsdecode(unquote_to_bytes(values["path"]))
        call = call.removeprefix("/files/")
        relative = path.removeprefix(VIRTUAL).lstrip("/")
        agent.calls[call, relative] += 1
        fault = agent.faults.get((call, relative))
        if fault is not None and fault(self):
            return
        if path != VIRTUAL and not path.startswith(VIRTUAL + "/"):
            self.answer(404, b"")
            return
        real = agent.root / relative if relative else agent.root
        try:
            resolved = real.resolve(strict=True)
        except (OSError, RuntimeError):
            self.answer(404, b"")
            return
        if not resolved.is_relative_to(agent.root.resolve()):
            self.answer(400, f"'{resolved}' is inaccessible.".encode())
            return
        if call == "browse":
            self.answer(200, listing(real, path), "application/json")
        elif resolved.is_dir():
            self.answer(400, f"Cannot {call} a directory.".encode())
        elif call == "read":
            self.read(resolved, int(values.get("offset", "-1")), int(values.get("length", "-1")))
        else:
            self.download(resolved)

    def read(self, path: Path, offset: int, length: int) -> None:
        size = path.stat().st_size
        if offset == -1:
            data, offset = b"", size
        else:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(65536 if length == -1 else min(length, 65536))
        self.answer(200, b'{"data":%s,"offset":%d}' % (raw_json(data), offset), "application/json")

    def download(self, path: Path) -> None:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.head(200, size, "application/octet-stream")
            self.wfile.flush()
            self.connection.sendfile(file, count=size) if size else None

    def head(self, status: int, length: int, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def answer(self, status: int, body: bytes, kind: str = "text/plain") -> bool:
        self.head(status, len(body), kind)
        self.wfile.write(body)
        return True

    def raw(self, data: bytes, *, close: bool = True) -> bool:
        """Send these bytes as they are; a fault of the agent."""
        self.wfile.write(data)
        self.wfile.flush()
        self.close_connection = close
        return True

    def hang(self) -> bool:
        """Say nothing more until the test is over."""
        self.wfile.flush()
        self.server.agent.release.wait(300)
        self.close_connection = True
        return True


def raw_json(data: bytes) -> bytes:
    """A JSON string as Mesos writes it: bytes that are not UTF-8 go in as they are."""
    escaped = json.dumps(data.decode("latin-1"), ensure_ascii=False)
    return escaped.encode("latin-1")


def entry(path: str, status: os.stat_result | None = None, **values: object) -> bytes:
    """One line of a listing as an agent writes it."""
    document: dict[str, object] = {
        "gid": "users",
        "mode": stat.filemode(status.st_mode) if status else "-rw-r--r--",
        "mtime": float(int(status.st_mtime)) if status else 1.6e9,
        "nlink": status.st_nlink if status else 1,
        "size": status.st_size if status else 1,
        "uid": "user",
        **values,
    }
    return json.dumps(document).encode()[:-1] + b',"path":' + raw_json(os.fsencode(path)) + b"}"


def listing(real: Path, virtual: str) -> bytes:
    lines = []
    if real.is_dir():
        for child in sorted(real.iterdir()):
            try:
                lines.append(entry(f"{virtual}/{child.name}", child.stat()))
            except OSError:  # a dangling link
                continue
    return b"[" + b",".join(lines) + b"]"


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    path = tmp_path / "sandbox"
    path.mkdir()
    return path


@pytest.fixture
def working(tmp_path: Path) -> Path:
    path = tmp_path / "working"
    path.mkdir()
    return path


@pytest.fixture
def agent(sandbox: Path) -> Iterator[Agent]:
    agent = Agent(sandbox)
    yield agent
    agent.close()


@pytest.fixture
def new_agent() -> Iterator[Callable[[Path], Agent]]:
    agents: list[Agent] = []

    def start(root: Path) -> Agent:
        agents.append(Agent(root))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()


@pytest.fixture(name="entry")
def entry_fixture() -> Callable[..., bytes]:
    return entry


@pytest.fixture
def settings() -> FetchSettings:
    return FetchSettings(connections=4)


@pytest.fixture
def client(settings: FetchSettings) -> Iterator[FilesClient]:
    client = FilesClient(settings)
    yield client
    client.close()


@pytest.fixture
def source(sandbox: Path) -> TreeSource:
    return TreeSource(sandbox)


@pytest.fixture
def fetcher(source: TreeSource) -> Iterator[Fetcher]:
    """Fetches from agents, and from ``source`` as the origin `TREE`."""
    fetcher = Fetcher(FetchSettings(connections=2), SystemClock(), openers={"tree": source.open})
    yield fetcher
    fetcher.close()
