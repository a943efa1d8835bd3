"""Stands for Airavata's REST proxy in the demonstration: it takes the states that jobs are told to have.

Source: Airavata develop, ``restproxy``: ``POST /topics/<topic>`` with Kafka's JSON records.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOPIC = "helix-airavata-mq"
_LONGEST_BODY = 64 * 1024


class Heard:
    """What was said of each job, by its name, in order and without repetitions in a row."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._changed = threading.Condition()
        self._statuses: dict[str, list[str]] = {}

    def add(self, job_name: str, status: str) -> None:
        """Note one status."""
        with self._changed:
            statuses = self._statuses.setdefault(job_name, [])
            if statuses[-1:] != [status]:
                statuses.append(status)
            self._changed.notify_all()

    def of(self, job_name: str) -> list[str]:
        """The statuses of a job so far."""
        with self._changed:
            return list(self._statuses.get(job_name, []))

    def wait_for(self, ends: Mapping[str, str], seconds: float) -> bool:
        """Wait until the last status of each job is the given one; False when ``seconds`` are over."""
        with self._changed:
            return self._changed.wait_for(
                lambda: all(self._statuses.get(name, [])[-1:] == [end] for name, end in ends.items()), seconds
            )


@contextmanager
def status_proxy() -> Iterator[Heard]:
    """A proxy on loopback until the end of the block."""

    def take(job_name: str, status: str) -> None:
        heard.add(job_name, status)

    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(take))
    server.daemon_threads = True
    heard = Heard(f"http://127.0.0.1:{server.server_address[1]}/topics/{TOPIC}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(take: Callable[[str, str], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = min(int(self.headers.get("Content-Length") or 0), _LONGEST_BODY)
            try:
                records = json.loads(self.rfile.read(size))["records"]
                for record in records:
                    take(str(record["value"]["jobName"]), str(record["value"]["status"]))
            except (ValueError, KeyError, TypeError):
                self.send_response(400)
            else:
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the demonstration shows what counts."""

    return Handler
