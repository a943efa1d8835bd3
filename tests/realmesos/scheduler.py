"""A small scheduler for tests, over Mesos' v1 scheduler API."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tests.realmesos.access import Json, Tls, basic

ENDED = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST")
WAIT_SECONDS = 60.0


class Masters(Protocol):
    """Where to subscribe; `RealMesosCluster` is one."""

    @property
    def tls(self) -> Tls | None: ...

    @property
    def credentials(self) -> Mapping[str, str] | None: ...

    def leader(self) -> Master: ...


class Master(Protocol):
    """One of them."""

    @property
    def address(self) -> str: ...


class Refused(Exception):
    """The master does not let this framework subscribe; ``args[0]`` is the status."""


class Scheduler:
    """Subscribed until `close`. Status updates are acknowledged as they come, and told once."""

    def __init__(
        self,
        cluster: Masters,
        *,
        principal: str | None = None,
        framework_id: str | None = None,
        **info: Any,
    ) -> None:
        """``principal`` is one of the cluster's credentials; ``info`` goes into the FrameworkInfo.

        Raises Refused.
        """
        self._cluster = cluster
        self._master = cluster.leader()
        self._principal = principal
        self._stream = ""
        self._events: list[Json] = []
        self._heard: set[str] = set()
        self._changed = threading.Condition()
        self.id = framework_id or ""
        user = pwd.getpwuid(os.geteuid()).pw_name
        self._info = {
            "user": user,
            "name": "test",
            "roles": ["*"],
            "capabilities": [{"type": "MULTI_ROLE"}],
            **({"principal": principal} if principal else {}),
            **({"id": {"value": framework_id}} if framework_id else {}),
            **info,
        }
        self._subscribe()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unsubscribe; without a failover time-out the master ends the framework's tasks. Repeatable."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # wakes the reader; past TLS
        self._reader.join(WAIT_SECONDS)
        self._connection.close()

    def teardown(self) -> None:
        """End the framework and its tasks."""
        self.call("TEARDOWN")

    def call(self, kind: str, **fields: Any) -> tuple[int, bytes]:
        """Any call; returns status and body of the answer."""
        body = {"type": kind, "framework_id": {"value": self.id}, **fields}
        connection, response = self._post(body, WAIT_SECONDS)
        text = response.read()
        connection.close()
        return response.status, text

    def wait(self, wanted: Callable[[Json], bool], seconds: float = WAIT_SECONDS) -> Json:
        """The first event so far or to come that is ``wanted``; it is forgotten here."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                for number, event in enumerate(self._events):
                    if wanted(event):
                        return self._events.pop(number)
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no such event; there were {str(self._events)[-2000:]}")
                self._changed.wait(left)

    def forget(self) -> None:
        """Drop the events so far."""
        with self._changed:
            self._events.clear()

    def offer(self) -> Json:
        """The next offer."""
        offers: Json = self.wait(lambda event: event["type"] == "OFFERS")["offers"]
        first: Json = offers["offers"][0]
        return first

    def accept(self, offer: Json, *operations: Json) -> None:
        status, text = self.call(
            "ACCEPT",
            accept={
                "offer_ids": [offer["id"]],
                "operations": list(operations),
                "filters": {"refuse_seconds": 0},
            },
        )
        assert status == 202, text

    def launch(self, offer: Json, *tasks: Json) -> None:
        self.accept(offer, {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}})

    def state(self, task: str, *states: str) -> Json:
        """The next status of the task that is one of ``states``."""

        def wanted(event: Json) -> bool:
            if event["type"] != "UPDATE":
                return False
            status = event["update"]["status"]
            return status["task_id"]["value"] == task and status["state"] in states

        status: Json = self.wait(wanted)["update"]["status"]
        return status

    def _connect(self, timeout: float | None) -> http.client.HTTPConnection:
        host, port = self._master.address.split(":")
        if self._cluster.tls:
            context = self._cluster.tls.context()
            return http.client.HTTPSConnection(host, int(port), timeout=timeout, context=context)
        return http.client.HTTPConnection(host, int(port), timeout=timeout)

    def _post(
        self, body: Json, timeout: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._stream:
            headers["Mesos-Stream-Id"] = self._stream
        if self._principal and self._cluster.credentials:
            headers["Authorization"] = basic(self._principal, self._cluster.credentials[self._principal])
        connection = self._connect(timeout)
        connection.request("POST", "/api/v1/scheduler", json.dumps(body), headers)
        return connection, connection.getresponse()

    def _subscribe(self) -> None:
        body: Json = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self._info}}
        if self.id:
            body["framework_id"] = {"value": self.id}
        self._connection, response = self._post(body, None)
        self._socket = self._connection.sock
        if response.status != 200:
            text = response.read().decode()
            self._connection.close()
            raise Refused(response.status, text)
        self._stream = response.headers["Mesos-Stream-Id"]
        self._reader = threading.Thread(target=self._read, args=[response])
        self._reader.start()
        event = self.wait(lambda event: event["type"] in ("SUBSCRIBED", "ERROR", "CLOSED"))
        if event["type"] != "SUBSCRIBED":
            self.close()
            raise Refused(200, str(event))

    def _read(self, response: http.client.HTTPResponse) -> None:
        try:
            while line := response.readline():
                size = int(line)
                record = response.read(size)  # one record of recordio: its length, a line feed, its bytes
                if len(record) < size:
                    break
                self._handle(json.loads(record))
        except (OSError, ValueError, http.client.HTTPException) as error:  # the master is gone
            self._note({"type": "CLOSED", "error": repr(error)})
        else:
            self._note({"type": "CLOSED"})

    def _handle(self, event: Json) -> None:
        if event["type"] == "SUBSCRIBED":
            self.id = event["subscribed"]["framework_id"]["value"]
        if event["type"] == "UPDATE" and "uuid" in event["update"]["status"]:
            status = event["update"]["status"]
            keys = ("agent_id", "task_id", "uuid")
            self.call("ACKNOWLEDGE", acknowledge={key: status[key] for key in keys})
            if status["uuid"] in self._heard:
                return  # sent again, since this machine stood still before it could be acknowledged
            self._heard.add(status["uuid"])
        self._note(event)

    def _note(self, event: Json) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()


def scalars(**amounts: float) -> list[Json]:
    """Resources of a TaskInfo."""
    return [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in amounts.items()]


def task(offer: Json, name: str, shell: str, *, cpus: float = 0.1, mem: float = 32, **more: Any) -> Json:
    """A TaskInfo that runs a line of shell; ``command`` and others among ``more`` are merged in."""
    command = {"value": shell, "shell": True, **more.pop("command", {})}
    return {
        "name": name,
        "task_id": {"value": name},
        "agent_id": offer["agent_id"],
        "resources": scalars(cpus=cpus, mem=mem),
        "command": command,
        **more,
    }
