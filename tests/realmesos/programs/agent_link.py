"""The executor's end of the agent's v1 executor API (Mesos 1.9 to 1.11)."""

from __future__ import annotations

import base64
import http.client
import json
import os
import queue
import ssl
import sys
import threading
import time
import uuid
from typing import Any

Json = dict[str, Any]

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}
FINAL_STATES = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED")


def log(*words: object) -> None:
    """A line into the sandbox's stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {' '.join(map(str, words))}\n")
    sys.stderr.flush()


def seconds(text: str | None, otherwise: float) -> float:
    """A duration as Mesos writes it, such as 500ms or 1mins."""
    if not text:
        return otherwise
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * _UNITS[text[len(number) :]]


def from_nanoseconds(duration: Json | None, otherwise: float) -> float:
    """Seconds of a DurationInfo message."""
    if duration and "nanoseconds" in duration:
        return float(duration["nanoseconds"]) / 1e9
    return otherwise


class AgentLink:
    """Subscribed to the agent that started this process; its events arrive in ``inbox``.

    When the agent stays away longer than the recovery timeout, or at once for a framework without
    checkpoints, an event of the type LOST is the last one.
    """

    def __init__(self) -> None:
        self._process, self.address = os.environ["MESOS_SLAVE_PID"].split("@")
        self._framework = {"value": os.environ["MESOS_FRAMEWORK_ID"]}
        self._executor = {"value": os.environ["MESOS_EXECUTOR_ID"]}
        self._checkpoint = os.environ.get("MESOS_CHECKPOINT") == "1"
        self._recovery = seconds(os.environ.get("MESOS_RECOVERY_TIMEOUT"), 900.0)
        self._backoff = seconds(os.environ.get("MESOS_SUBSCRIPTION_BACKOFF_MAX"), 2.0)
        self._token = os.environ.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        self._unacknowledged: dict[str, Json] = {}
        self._subscribed = threading.Event()
        self.inbox: queue.Queue[Json] = queue.Queue()
        self.tasks: dict[str, Json] = {}
        """Launched tasks of which no update has been acknowledged yet, by task id."""

    def start(self) -> None:
        """Subscribe, and again whenever the agent is back."""
        threading.Thread(target=self._follow, daemon=True).start()

    def post(
        self, path: str, body: Json, timeout: float | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """One call; the caller reads the answer and closes the connection."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        connection = self._connection(timeout)
        connection.request("POST", f"/{self._process}{path}", json.dumps(body), headers)
        return connection, connection.getresponse()

    def update(self, task_id: Json, state: str, **fields: Any) -> Json:
        """Send a status, now or with the next subscription; returns it as sent."""
        key = base64.b64encode(uuid.uuid4().bytes).decode()
        status = {
            "task_id": task_id,
            "state": state,
            "uuid": key,
            "executor_id": self._executor,
            "source": "SOURCE_EXECUTOR",
            "timestamp": time.time(),
            **fields,
        }
        self._unacknowledged[key] = status
        if self._subscribed.is_set():
            self._send(status)
        return status

    def _send(self, status: Json) -> bool:
        """Whether the agent is ready to hear of it. If not, all that is open is sent again soon."""
        ready = self._call("UPDATE", update={"status": status}) != 503
        if not ready:
            again = threading.Timer(min(self._backoff, 0.5), self._send_all)
            again.daemon = True
            again.start()
        return ready

    def _send_all(self) -> None:
        for status in list(self._unacknowledged.values()):
            if not self._send(status):
                return

    def acknowledged(self, event: Json) -> Json | None:
        """The status that the agent's event acknowledges, the first time it does."""
        self.tasks.pop(event["task_id"]["value"], None)
        return self._unacknowledged.pop(event["uuid"], None)

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        host, port = self.address.rsplit(":", 1)
        if os.environ.get("LIBPROCESS_SSL_ENABLED", "0") in ("1", "true"):
            context = ssl.create_default_context()
            context.check_hostname = False  # the agent, known by address, started this very process
            context.verify_mode = ssl.CERT_NONE
            certificate = os.environ.get("LIBPROCESS_SSL_CERT_FILE")
            if certificate:
                context.load_cert_chain(certificate, os.environ["LIBPROCESS_SSL_KEY_FILE"])
            return http.client.HTTPSConnection(host, int(port), timeout=timeout, context=context)
        return http.client.HTTPConnection(host, int(port), timeout=timeout)

    def _call(self, kind: str, **fields: Any) -> int:
        """The status of the answer, 0 without one."""
        body = {"type": kind, "framework_id": self._framework, "executor_id": self._executor, **fields}
        try:
            connection, response = self.post("/api/v1/executor", body, timeout=10)
            text = response.read()
            connection.close()
        except OSError as error:
            log(kind, "not delivered:", error)  # the next subscription repeats it
            return 0
        if response.status != 202:
            log(kind, "answered", response.status, text.decode())
        return response.status

    def _follow(self) -> None:
        lost: float | None = None
        while True:
            try:
                if self._subscribe():
                    lost = None
            except (OSError, ValueError, http.client.HTTPException) as error:
                log("agent connection:", repr(error))
            self._subscribed.clear()
            now = time.monotonic()
            lost = lost or now
            if not self._checkpoint or now - lost > self._recovery:
                self.inbox.put({"type": "LOST"})
                return
            time.sleep(min(self._backoff, 0.5))

    def _subscribe(self) -> bool:
        """Follow one subscription to its end; False when the agent refuses it."""
        body = {
            "type": "SUBSCRIBE",
            "framework_id": self._framework,
            "executor_id": self._executor,
            "subscribe": {
                "unacknowledged_updates": [{"status": status} for status in self._unacknowledged.values()],
                "unacknowledged_tasks": list(self.tasks.values()),
            },
        }
        connection, response = self.post("/api/v1/executor", body)
        try:
            if response.status != 200:
                log("subscribe answered", response.status, response.read().decode())
                return False
            self._subscribed.set()
            while line := response.readline():
                size = int(line)
                record = response.read(size)  # one record of recordio: its length, a line feed, its bytes
                if len(record) < size:
                    break
                self.inbox.put(json.loads(record))
            return True
        finally:
            connection.close()
