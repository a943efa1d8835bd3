"""Agents that ended a task with the same files: real ones of several kinds, and the minicluster's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.probe import Probe, job, process, thermos
from airavata_mesos_plugin.minicluster.settings import ClusterSettings
from airavata_mesos_plugin.minicluster.threaded import ThreadedCluster
from tests.contract.files_api.tree import SCRIPT
from tests.realmesos.access import Tls, basic, make_tls, token
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.scheduler import ENDED, Scheduler, task
from tests.support.waiting import wait_for

REAL = ("plain", "basic", "bearer", "acls", "tls", "client-certificate")
WORLDS = ("minicluster", *REAL)
ADDRESSES = ("127.0.1.1", "127.0.2.1")
TIMEOUT_SECONDS = 60.0

_CREDENTIALS = {"operator": "o-secret", "reader": "r-secret", "stranger": "s-secret"}
_ONLY_READERS = {
    "access_sandboxes": [
        {"principals": {"values": ["operator", "reader"]}, "users": {"type": "ANY"}},
        {"principals": {"type": "ANY"}, "users": {"type": "NONE"}},
    ]
}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body.decode("utf-8", "surrogateescape"))


@dataclass(frozen=True)
class World:
    """``base`` is the virtual path of the directory that the task made, ``directory`` the real one."""

    name: str
    agent_url: str
    base: str
    directory: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    bearer: str = ""
    tls: Tls | None = None

    def path(self, name: str | bytes = "") -> str:
        """The virtual path of a file there, for an address."""
        tail = quote(name, safe="/") if name else ""
        return f"{quote(self.base)}/{tail}" if tail else quote(self.base)

    def ask(
        self,
        target: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request with the credentials of this world unless ``headers`` has others."""
        url = urlsplit(self.agent_url)
        connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT_SECONDS)
        if self.tls is not None:
            context = self.tls.context()
            connection = http.client.HTTPSConnection(url.netloc, timeout=TIMEOUT_SECONDS, context=context)
        connection.request(method, target, body, {**self.headers, **(headers or {})})
        answer = connection.getresponse()
        reply = Reply(answer.status, dict(answer.headers), answer.read())
        connection.close()
        return reply

    def call(self, kind: str, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
        """One v1 call; ``fields`` is its only member."""
        body = json.dumps({"type": kind, **fields})
        content = {"Content-Type": "application/json", "Accept": "application/json"}
        return self.ask("/api/v1", "POST", body.encode("utf-8"), {**content, **(headers or {})})

    def real(self, text: str) -> str:
        """The text that the agent says of a path below the real directory."""
        return text.replace("@", str(self.directory))


@contextmanager
def running(name: str, directory: Path, build: Path | None) -> Iterator[World]:
    """The agent, its task ended. ``build`` is needed for all but the minicluster."""
    if build is None:
        with _minicluster(directory) as world:
            yield world
        return
    options: dict[str, Any] = {"agents": 1}
    if name in ("basic", "bearer", "acls"):
        options["credentials"] = _CREDENTIALS
    if name == "acls":
        options["acls"] = _ONLY_READERS
    if name in ("tls", "client-certificate"):
        require = name == "client-certificate"
        options["tls"] = make_tls(directory / "tls", *ADDRESSES, require_client=require)
    with RealMesosCluster(directory / "mesos", build, **options) as cluster:
        principal = "operator" if cluster.credentials else None
        with Scheduler(cluster, principal=principal) as scheduler:
            offer = scheduler.offer()
            scheduler.launch(offer, task(offer, "t", SCRIPT))
            status = scheduler.state("t", *ENDED)
            assert status["state"] == "TASK_FINISHED", status
            sandbox = cluster.sandbox(cluster.agents[0], scheduler.id, "t")
            base = f"/frameworks/{scheduler.id}/executors/t/runs/latest/t"
            login = ("reader", _CREDENTIALS["reader"]) if name in ("basic", "acls") else None
            bearer = token("reader") if name == "bearer" else ""
            headers = {"Authorization": basic(*login)} if login else {}
            if bearer:
                headers = {"Authorization": f"Bearer {bearer}"}
            url = cluster.url(cluster.agents[0])
            yield World(name, url, base, Path(sandbox, "t"), headers, login, bearer, cluster.tls)


@contextmanager
def _minicluster(directory: Path) -> Iterator[World]:
    with ThreadedCluster(ClusterSettings(directory, stop_grace=0.3)) as cluster:
        probe = Probe(cluster.scheduler_url)
        probe.create(job("files", thermos(process("main", SCRIPT))))
        (ended,) = probe.wait("files")
        assert ended.status == api.ScheduleStatus.FINISHED
        executor = f"thermos-{ended.assignedTask.taskId}"
        (url,) = cluster.agent_urls
        world = World("minicluster", url, "", directory)

        def completed() -> list[tuple[str, str]]:
            return [
                (framework["id"], one["directory"])
                for framework in world.ask("/state").json()["completed_frameworks"]
                for one in framework["completed_executors"]
                if one["id"] == executor
            ]

        ((framework, sandbox),) = wait_for(completed, bool, "the executor's end")
        base = f"/frameworks/{framework}/executors/{executor}/runs/latest/sandbox/t"
        yield World("minicluster", url, base, Path(sandbox, "sandbox", "t"))
