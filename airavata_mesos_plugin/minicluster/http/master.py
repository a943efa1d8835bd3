"""HTTP of the Mesos master."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from aiohttp import web

from airavata_mesos_plugin.minicluster.http.server import (
    READ,
    Handler,
    Routes,
    json_bytes,
    json_response,
    query_of,
    text_response,
)
from airavata_mesos_plugin.minicluster.mesos import objects
from airavata_mesos_plugin.minicluster.mesos.agent import Agent
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST

_DEFAULT_LIMIT = 100
_PLACES = ("", "/master")


class Leadership(Protocol):
    """Which of the masters leads."""

    leading: int | None


class MasterHttp:
    """One of the masters."""

    def __init__(self, master: Master, number: int, leadership: Leadership) -> None:
        """``number``: which of them this is."""
        self._master = master
        self._number = number
        self._leadership = leadership

    def routes(self) -> Routes:
        own: dict[str, Handler] = {"/health": self._health, "/redirect": self._redirect}
        leaders: dict[str, Handler] = {
            "/state": self._json(lambda _: objects.master_state(self._master)),
            "/state-summary": self._json(lambda _: objects.state_summary(self._master)),
            "/slaves": self._json(self._slaves),
            "/frameworks": self._json(self._frameworks),
            "/tasks": self._tasks,
        }
        # A bare path is that of the process `master`.
        version = self._json(lambda _: objects.version_object(self._master.start_time))
        return {
            **{f"{place}{path}": (READ, one) for path, one in own.items() for place in _PLACES},
            **self.led({f"{place}{path}": (READ, one) for path, one in leaders.items() for place in _PLACES}),
            "/version": (READ, version),
            "/metrics/snapshot": (READ, self._json(self._metrics)),
        }

    def _metrics(self, _query: dict[str, str]) -> dict[str, float]:
        if self._leadership.leading == self._number:
            return objects.metrics(self._master)
        return {"master/elected": 0.0}

    def _json(self, build: Callable[[dict[str, str]], Any]) -> Handler:
        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            return json_response(request, json_bytes(build(query_of(request))))

        return handler

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("")

    def led(self, routes: Routes) -> Routes:
        """These routes where this master leads; else clients are sent to the one that does."""

        def guarded(handler: Handler) -> Handler:
            async def led_or_sent_on(request: web.BaseRequest) -> web.StreamResponse:
                if self._leadership.leading == self._number:
                    return await handler(request)
                if self._leadership.leading is None:
                    return text_response("No leader elected", 503)
                location = f"//{LISTEN_HOST}:{self._master.port}{request.rel_url.raw_path_qs}"
                return web.Response(status=307, headers={"Location": location})

            return led_or_sent_on

        return {path: (methods, guarded(handler)) for path, (methods, handler) in routes.items()}

    async def _redirect(self, _request: web.BaseRequest) -> web.StreamResponse:
        if self._leadership.leading is None:
            return text_response("No leader elected", 503)
        # Without a scheme, as Mesos sends it.
        location = f"//{LISTEN_HOST}:{self._master.port}"
        return web.Response(status=307, headers={"Location": location})

    def _slaves(self, query: dict[str, str]) -> dict[str, Any]:
        wanted, start = query.get("slave_id"), self._master.start_time

        def shown(agents: Iterable[Agent]) -> list[dict[str, Any]]:
            chosen = (agent for agent in agents if wanted in (None, agent.info.agent_id))
            return [objects.agent_object(agent, start) for agent in chosen]

        return {
            "slaves": shown(self._master.agents.values()),
            "recovered_slaves": shown(self._master.recovered_agents.values()),
        }

    def _frameworks(self, query: dict[str, str]) -> dict[str, Any]:
        return objects.framework_objects(self._master, query.get("framework_id"))

    async def _tasks(self, request: web.BaseRequest) -> web.StreamResponse:
        query = query_of(request)
        try:
            limit = int(query.get("limit", _DEFAULT_LIMIT))
            offset = int(query.get("offset", 0))
        except ValueError:
            return text_response("Failed to parse limit or offset: not a number.\n", 400)
        if limit < 0 or offset < 0:
            return text_response("limit and offset must not be negative.\n", 400)
        master = self._master
        tasks = [*master.active.values(), *master.unreachable.values(), *master.completed]
        if "framework_id" in query:
            tasks = [task for task in tasks if task.framework_id == query["framework_id"]]
        if "task_id" in query:
            tasks = [task for task in tasks if task.launch.task_id == query["task_id"]]
        # Newest first unless told otherwise; a task without a status yet is the newest of all.
        tasks.sort(
            key=lambda task: (task.statuses[0].when if task.statuses else float("inf"), task.launch.task_id),
            reverse=query.get("order") != "asc",
        )
        page = tasks[offset : offset + limit]
        return json_response(request, json_bytes({"tasks": [objects.task_object(task) for task in page]}))
