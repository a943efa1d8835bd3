"""A read-only view of the Mesos master (v0 endpoints, Mesos 1.5 to 1.11)."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    NotLeader,
    NotReady,
    ProtocolError,
    Refused,
    ServerFault,
    Unreachable,
)
from airavata_mesos_plugin.jobs import Resources
from airavata_mesos_plugin.schedulers.base import Leader, Node
from airavata_mesos_plugin.schedulers.http import Answer, exchange, redirect_target
from airavata_mesos_plugin.schedulers.mesos.absent import Absent
from airavata_mesos_plugin.schedulers.retry import Deadline, Retrier

MAX_REDIRECTS = 3
EXPIRY_SECONDS = 60.0
"""How long a list of agents or a framework id is believed."""

LEAST_REFRESH_SECONDS = 1.0
"""A look-up of an agent that is gone must not ask the master each time."""


@dataclass(frozen=True)
class _Agents:
    read_at: float
    urls: Mapping[str, str]


class MesosMaster:
    """Agents and frameworks as the leading master knows them. Safe to use from several threads.

    Every call may raise Unreachable (NotLeader among them), OutcomeUnknown, Refused, ServerFault and
    ProtocolError. All calls may be repeated.
    """

    def __init__(
        self,
        leader: Leader,
        session: requests.Session,
        retrier: Retrier,
        clock: Clock,
        *,
        connect_seconds: float = 5.0,
        call_seconds: float = 30.0,
    ) -> None:
        self._source = leader
        self._session = session
        self._retrier = retrier
        self._clock = clock
        self._connect_seconds = connect_seconds
        self._call_seconds = call_seconds
        self._lock = threading.Lock()
        self._agents: _Agents | None = None
        self._last_known: dict[str, str] = {}
        self._frameworks: dict[str, tuple[float, str]] = {}
        self._absent = Absent(clock)

    def get(self, path: str) -> Mapping[str, Any]:
        """The JSON object at a path of the leading master."""
        return self._retrier.run(
            lambda deadline: self._get(path, deadline)[1], repeatable=True, seconds=self._call_seconds
        )

    def get_one(self, address: str, path: str, deadline: Deadline) -> tuple[str, Mapping[str, Any]]:
        """URL that answered and its JSON object, asked at one address; for a diagnosis."""
        return self._get_at(f"{address}{path}", deadline)

    def agents(self) -> list[Mapping[str, Any]]:
        """The registered agents as the master describes them."""
        return _objects(self.get("/slaves"), "slaves")

    def nodes(self) -> list[Node]:
        """The registered agents with what they have and what is taken, and inactive those that were."""
        return self._absent.added_to({str(agent.get("id", "")): _node(agent) for agent in self.agents()})

    def agent_url(self, agent_id: str) -> str | None:
        """Base URL of an agent, the last known one when the master no longer has it; None if never seen."""
        now = self._clock.monotonic()
        with self._lock:
            agents = self._agents
        age = None if agents is None else now - agents.read_at
        fresh = age is not None and age < EXPIRY_SECONDS
        just_read = age is not None and age < LEAST_REFRESH_SECONDS
        if agents is not None and (just_read or (fresh and agent_id in agents.urls)):
            return agents.urls.get(agent_id) or self._last_known.get(agent_id)
        try:
            agents = self._read_agents()
        except AiravataMesosError:
            # Agents rarely move, so an old address beats none while the master is away.
            with self._lock:
                known = self._last_known.get(agent_id)
            if known is None:
                raise
            return known
        with self._lock:
            return agents.urls.get(agent_id) or self._last_known.get(agent_id)

    def framework_id(self, name: str) -> str:
        """Id of the framework of that name; the active one, else the one that registered last.

        Raises NotReady when the master knows none.
        """
        now = self._clock.monotonic()
        with self._lock:
            read_at, known = self._frameworks.get(name, (0.0, ""))
        if known and now - read_at < EXPIRY_SECONDS:
            return known
        try:
            found = self._read_framework(name)
        except AiravataMesosError:
            if not known:
                raise
            return known
        if not found and not known:
            raise NotReady(
                f"no framework called {name!r} is registered at the Mesos master",
                advice="start the scheduler, or set framework_name of the cluster",
            )
        with self._lock:
            # A master that has just taken over may not know the framework yet: the old id stays.
            self._frameworks[name] = (now, found or known)
        return found or known

    def _read_agents(self) -> _Agents:
        url, document = self._retrier.run(
            lambda deadline: self._get("/slaves", deadline), repeatable=True, seconds=self._call_seconds
        )
        scheme = urlsplit(url).scheme
        urls = {}
        for member in ("recovered_slaves", "slaves"):
            for agent in _objects(document, member):
                address = _agent_address(agent)
                if address is not None and agent.get("id"):
                    urls[str(agent["id"])] = f"{scheme}://{address}"
        agents = _Agents(self._clock.monotonic(), urls)
        with self._lock:
            self._agents = agents
            if not urls.keys() <= self._last_known.keys():
                # A new agent may belong to a cluster that was set up anew: frameworks are looked up again.
                self._frameworks = {name: (-math.inf, known) for name, (_, known) in self._frameworks.items()}
            self._last_known.update(urls)
        return agents

    def _read_framework(self, name: str) -> str:
        document = self.get("/frameworks")
        candidates = [
            (
                bool(framework.get("active")) and member == "frameworks",
                _number(framework, "registered_time"),
                framework,
            )
            for member in ("frameworks", "completed_frameworks")
            for framework in _objects(document, member)
            if framework.get("name") == name and framework.get("id")
        ]
        if not candidates:
            return ""
        return str(max(candidates, key=lambda candidate: candidate[:2])[2]["id"])

    def _get(self, path: str, deadline: Deadline) -> tuple[str, Mapping[str, Any]]:
        failures: list[Unreachable] = []
        for address in self._source.addresses(deadline.remaining()):
            try:
                return self._get_at(f"{address}{path}", deadline)
            except Unreachable as error:
                failures.append(error)
                if deadline.remaining() <= 0:
                    break
        self._source.note_failure()
        if not failures:
            raise NotLeader("no Mesos master leads at present", advice="check that one runs")
        if len(failures) == 1:
            raise failures[0]
        family = NotLeader if any(isinstance(error, NotLeader) for error in failures) else Unreachable
        raise family(
            "no Mesos master answered: " + "; ".join(error.message for error in failures),
            advice="check mesos_masters of the cluster",
        )

    def _get_at(self, url: str, deadline: Deadline) -> tuple[str, Mapping[str, Any]]:
        for _ in range(MAX_REDIRECTS + 1):
            answer = exchange(
                self._session,
                "GET",
                url,
                headers={"Accept": "application/json"},
                connect_seconds=self._connect_seconds,
                total_seconds=deadline.remaining(),
            )
            target = redirect_target(answer)
            if target is None:
                break
            url = target
        if answer.status != 200:
            raise _error_for_status(answer)
        try:
            # File names and labels may hold bytes that are not UTF-8.
            document = json.loads(answer.body.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"{url} answered with something that is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise ProtocolError(f"{url} answered with JSON that is not an object")
        return answer.url, document


def _error_for_status(answer: Answer) -> AiravataMesosError:
    where = f"{answer.url} answered HTTP {answer.status}"
    if answer.status == 401:
        return AuthenticationFailed(f"{where}: credentials are missing or wrong")
    if answer.status == 403:
        return Refused(f"{where}: the account may not read this")
    if answer.status in (404, 405):
        return Unreachable(f"{where}: there is no Mesos master", advice="check mesos_masters of the cluster")
    if answer.status in (307, 308, 503):
        return NotLeader(f"{where}: it does not know a leading master")
    if answer.status in (408, 429, 502, 504):
        return NotReady(f"{where}: try again later")
    if answer.status >= 500:
        return ServerFault(where)
    return ProtocolError(where)


def _objects(document: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    found = document.get(member) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ProtocolError(f"the Mesos master's list of {member} is not a list of objects")
    return found


def _agent_address(agent: Mapping[str, Any]) -> str | None:
    """``host:port`` of an agent, by name, or as its process id has it: ``slave(1)@10.0.0.5:5051``."""
    host, port = agent.get("hostname"), agent.get("port")
    if host and isinstance(port, (int, float)):
        host = f"[{host}]" if ":" in str(host) else host
        return f"{host}:{int(port)}"
    _, _, address = str(agent.get("pid", "")).partition("@")
    return address or None


def _mapping(document: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    found = document.get(member) or {}
    if not isinstance(found, dict):
        raise ProtocolError(f"the Mesos master's {member} of an agent is not an object")
    return found


def _number(document: Mapping[str, Any], member: str) -> float:
    value = document.get(member)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _node(agent: Mapping[str, Any]) -> Node:
    attributes = _mapping(agent, "attributes")
    return Node(
        name=str(agent.get("hostname", "")),
        total=_resources(_mapping(agent, "resources")),
        used=_resources(_mapping(agent, "used_resources")),
        attributes={
            str(name): f"{value:g}" if isinstance(value, (int, float)) else str(value)
            for name, value in attributes.items()
        },
        active=bool(agent.get("active", True)) and not agent.get("deactivated", False),
    )


def _resources(amounts: Mapping[str, Any]) -> Resources:
    # Whole numbers come as floats; half a MiB is of no use to anybody.
    return Resources(
        cpus=_number(amounts, "cpus"),
        memory_mb=int(_number(amounts, "mem")),
        disk_mb=int(_number(amounts, "disk")),
        gpus=int(_number(amounts, "gpus")),
    )
