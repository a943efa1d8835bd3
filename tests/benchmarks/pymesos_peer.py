"""A minimal scheduler on pymesos with its own connection, as its users write one.

pymesos parses HTTP with a package that cannot be built for Python 3.11 and later; the small parser here knows
what a master sends.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from airavata_mesos_plugin.schedulers.mesos import pymesos_loader

_ENDS = frozenset(f"TASK_{word}" for word in ("FINISHED", "FAILED", "KILLED", "ERROR", "LOST"))


class HttpParser:
    """Of http-parser's interface what pymesos calls."""

    def __init__(self) -> None:
        self._data = b""
        self._head: list[str] | None = None
        self._headers: dict[str, str] = {}
        self._body = b""
        self._over = False

    def execute(self, data: bytes, length: int) -> int:
        self._data += data[:length]
        if self._head is None and b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            self._head = head.decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in self._head[1:])
            self._headers = {name.upper(): value.strip() for name, _, value in pairs}
        while self._head is not None and b"\r\n" in self._data:
            size_text, _, rest = self._data.partition(b"\r\n")
            size = int(size_text, 16)
            if len(rest) < size + 2:
                break
            self._body += rest[:size]
            self._data = rest[size + 2 :]
            self._over = self._over or size == 0
        return length

    def is_headers_complete(self) -> bool:
        return self._head is not None

    def get_status_code(self) -> int:
        return int(self._head[0].split(" ")[1]) if self._head else 0

    def get_headers(self) -> Mapping[str, str]:
        return self._headers

    def is_chunked(self) -> bool:
        return self._headers.get("TRANSFER-ENCODING", "") == "chunked"

    def is_partial_body(self) -> bool:
        return bool(self._body)

    def recv_body(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def is_message_complete(self) -> bool:
        return self._over

    def get_errno(self) -> int:
        return 0


class Peer:
    """Starts so many equal tasks, and waits until all have ended."""

    def __init__(self, master: str, user: str, tasks: int, cpus: float, command: str) -> None:
        self._left = tasks
        self._running = tasks
        self._cpus = cpus
        self._command = command
        self._over = threading.Event()
        framework = {
            "user": user,
            "name": "minimal",
            "checkpoint": True,
            "roles": ["*"],
            "capabilities": [{"type": "MULTI_ROLE"}],
        }
        driver = pymesos_loader.load_whole_driver(HttpParser)
        self._driver: Any = driver(self, framework, master)

    def run(self, seconds: float) -> bool:
        """Whether all came to an end in that time."""
        self._driver.start()
        done = self._over.wait(seconds)
        self._driver.stop()
        self._driver.join()
        return done

    # Callbacks, by pymesos' names

    def resourceOffers(self, driver: Any, offers: Sequence[Mapping[str, Any]]) -> None:  # noqa: N802
        for offer in offers:
            amounts = {part["name"]: part.get("scalar", {}).get("value", 0) for part in offer["resources"]}
            number = min(self._left, int(amounts.get("cpus", 0) / self._cpus + 1e-6))
            tasks = [self._task(offer, self._left - one) for one in range(number)]
            self._left -= number
            driver.launchTasks([offer["id"]], tasks, {"refuse_seconds": 1 if self._left else 3600})

    def statusUpdate(self, _driver: Any, status: Mapping[str, Any]) -> None:  # noqa: N802
        if status["state"] in _ENDS:
            self._running -= 1
            if self._running == 0:
                self._over.set()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_: None  # callbacks that do not matter here

    def _task(self, offer: Mapping[str, Any], number: int) -> dict[str, Any]:
        amounts = {"cpus": self._cpus, "mem": 32}
        return {
            "name": "task",
            "task_id": {"value": f"minimal-{number}"},
            "agent_id": offer["agent_id"],
            "command": {"shell": True, "value": self._command},
            "resources": [
                {"name": name, "type": "SCALAR", "scalar": {"value": value}}
                for name, value in amounts.items()
            ],
        }
