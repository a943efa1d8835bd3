"""A plain client for trying a minicluster: blocking calls and bounded waits.

For tests and for people at a prompt.  It encodes with the stock Thrift runtime, not the server's own code.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.gen.aurora import AuroraAdmin
from airavata_mesos_plugin.gen.aurora import ttypes as api

BINARY = "application/vnd.apache.thrift.binary"
JSON = "application/vnd.apache.thrift.json"
_PROTOCOLS = {BINARY: TBinaryProtocolAccelerated, JSON: TJSONProtocol}
_ENDED = frozenset({3, 4, 5, 7})
T = TypeVar("T")


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def until(look: Callable[[], T], timeout: float = 60.0) -> T:
    """The first true answer of `look`.  Raises TimeoutError with the last one after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {found!r} after {timeout} s")
        pause.wait(0.005)


def request(
    url: str, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """One HTTP request, without following redirects.  Raises OSError and http.client.HTTPException."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def get(url: str, path: str, /, **parameters: object) -> Reply:
    return request(url, f"{path}?{urlencode(parameters)}" if parameters else path)


def process(name: str, cmdline: str, **members: object) -> dict[str, object]:
    """One process of a Thermos task."""
    return {"name": name, "cmdline": cmdline, **members}


def thermos(*processes: dict[str, object], **members: object) -> str:
    """The JSON of a task; `members` are those of the task."""
    resources = {"cpu": 0.1, "ram": 16 << 20, "disk": 16 << 20}
    task = {"processes": list(processes), "resources": resources, **members}
    return json.dumps({"role": "www", "environment": "devel", "cluster": "mini", "task": task})


def job_key(name: str) -> Any:
    return api.JobKey(role="www", environment="devel", name=name)


def job(
    name: str, data: str | None, instances: int = 1, cpus: float = 0.1, ports: Iterable[str] = (), **task: Any
) -> Any:
    """A JobConfiguration; `task` are further fields of its TaskConfig."""
    resources = {api.Resource(numCpus=cpus), api.Resource(ramMb=16), api.Resource(diskMb=16)}
    resources |= {api.Resource(namedPort=port) for port in ports}
    members = {
        "job": job_key(name),
        "owner": api.Identity(user="alice"),
        "resources": resources,
        "maxTaskFailures": 1,
        "executorConfig": api.ExecutorConfig(name="AuroraExecutor", data=data),
    }
    return api.JobConfiguration(
        key=job_key(name),
        owner=api.Identity(user="alice"),
        instanceCount=instances,
        taskConfig=api.TaskConfig(**{**members, **task}),
    )


class Probe:
    """Talks to one scheduler."""

    def __init__(self, scheduler_url: str) -> None:
        self.url = scheduler_url

    def call(self, method: str, *arguments: object, protocol: str = BINARY) -> Any:
        """The `Response`.  Raises TApplicationException, and RuntimeError for any HTTP status but 200."""
        sent = TMemoryBuffer()
        client = AuroraAdmin.Client(_PROTOCOLS[protocol](sent))
        getattr(client, f"send_{method}")(*arguments)
        headers = {"Content-Type": protocol, "Accept": protocol}
        reply = request(self.url, "/api", "POST", sent.getvalue(), headers)
        if reply.status != 200:
            raise RuntimeError(f"{method}: HTTP {reply.status}: {reply.text}")
        client = AuroraAdmin.Client(_PROTOCOLS[protocol](TMemoryBuffer(reply.body)))
        return getattr(client, f"recv_{method}")()

    def create(self, configuration: Any) -> None:
        """Raises RuntimeError when the job is refused."""
        answer = self.call("createJob", configuration)
        if answer.responseCode != api.ResponseCode.OK:
            raise RuntimeError(f"refused: {answer.details}")

    def tasks(self, name: str) -> list[Any]:
        """All tasks of a job, the oldest first."""
        query = api.TaskQuery(jobKeys={job_key(name)})
        found = self.call("getTasksWithoutConfigs", query).result.scheduleStatusResult.tasks
        return sorted(found, key=lambda task: task.taskEvents[0].timestamp)

    def wait(self, name: str, *statuses: int, timeout: float = 60.0) -> list[Any]:
        """The tasks of a job, once all of them have one of `statuses` (default: ended)."""
        wanted = statuses or tuple(_ENDED)

        def look() -> list[Any]:
            tasks = self.tasks(name)
            return tasks if all(task.status in wanted for task in tasks) else []

        return until(look, timeout)

    def kill(self, name: str, message: str | None = None) -> Any:
        return self.call("killTasks", job_key(name), None, message)


def events(task: Any) -> list[tuple[str, str | None]]:
    """Status names and messages of a task's life."""
    names = api.ScheduleStatus._VALUES_TO_NAMES
    return [(names[event.status], event.message) for event in task.taskEvents]


def run_dir(work_dir: Path, task: Any) -> Path:
    """The run directory of a task on this machine."""
    (found,) = work_dir.glob(
        f"slaves/*/frameworks/*/executors/thermos-{task.assignedTask.taskId}/runs/latest"
    )
    return found
