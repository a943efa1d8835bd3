"""Control calls: faults of the API, of agents and of the clock, switched from outside.

They are no part of Aurora and stand under `/minicluster/` on the scheduler's port, and only there if the
settings say so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from airavata_mesos_plugin.minicluster.agents import Agents
from airavata_mesos_plugin.minicluster.clock import OffsetClock
from airavata_mesos_plugin.minicluster.faults import Faults, parsed
from airavata_mesos_plugin.minicluster.http.server import BodyTooLarge, Routes, body_of, text_response
from airavata_mesos_plugin.minicluster.masters import Masters
from airavata_mesos_plugin.minicluster.node import Node
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler

_MAX_BYTES = 1 << 20


class BadOrder(ValueError):
    """The text says what is wrong with a control call."""


def _seconds(order: dict[str, Any], name: str, negative: bool = False) -> float:
    value = order.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadOrder(f"{name} must be a number of seconds, not {value!r}")
    if value < 0 and not negative:
        raise BadOrder(f"{name} must not be negative")
    return float(value)


class Cluster(Protocol):
    """What can be switched."""

    faults: Faults
    agents: Agents
    clock: OffsetClock
    nodes: list[Node]
    masters: Masters

    @property
    def scheduler(self) -> Scheduler:
        """Raises RuntimeError when none of this cluster leads."""


class ControlHttp:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._faults = cluster.faults
        self._agents = cluster.agents
        self._clock = cluster.clock

    def routes(self) -> Routes:
        return {
            "/minicluster/faults": (("GET", "POST", "DELETE"), self._on_faults),
            "/minicluster/agents": (("GET", "POST"), self._on_agents),
            "/minicluster/masters": (("GET", "POST"), self._on_masters),
            "/minicluster/schedulers": (("GET", "POST"), self._on_schedulers),
            "/minicluster/clock": (("GET", "POST"), self._on_clock),
        }

    async def _on_faults(self, request: web.BaseRequest) -> web.StreamResponse:
        async def add(order: Any) -> None:
            # All or none: a list with one bad member changes nothing.
            for fault in [parsed(one) for one in (order if isinstance(order, list) else [order])]:
                self._faults.add(fault)

        if request.method == "DELETE":
            self._faults.clear()
            return self._answer({"faults": self._faults.listed(), "met": self._faults.met})
        return await self._order(
            request, add, lambda: {"faults": self._faults.listed(), "met": self._faults.met}
        )

    async def _on_agents(self, request: web.BaseRequest) -> web.StreamResponse:
        async def act(order: Any) -> None:
            if not isinstance(order, dict) or not isinstance(order.get("agent"), str):
                raise BadOrder('an order is a JSON object such as {"agent": "localhost", "do": "lose"}')
            name, what = order["agent"], order.get("do")
            if what in ("lose", "gone"):
                await self._agents.lose(name, gone=what == "gone")
            elif what == "partition":
                self._agents.partition(name)
            elif what == "return":
                await self._agents.give_back(name)
            elif what == "slow":
                self._agents.slow(name, _seconds(order, "seconds"))
            elif what == "drain":
                host = self._agents.slot(name).settings.host
                self._cluster.scheduler.maintenance.drain([host])
            else:
                raise BadOrder(f"do must be one of lose, gone, partition, return, drain, slow, not {what!r}")

        return await self._order(request, act, lambda: {"agents": self._agents.listed()})

    async def _on_masters(self, request: web.BaseRequest) -> web.StreamResponse:
        masters = self._cluster.masters

        async def act(order: Any) -> None:
            what = order.get("do") if isinstance(order, dict) else None
            steps = {
                "fail-over": masters.fail_over,
                "vacate": masters.vacate,
                "elect": masters.elect,
                "expire": masters.expire,
            }
            if what not in steps:
                raise BadOrder(
                    f'do must be one of fail-over, vacate, elect, as in {{"do": "elect"}}, not {what!r}'
                )
            await steps[what]()

        def listed() -> dict[str, Any]:
            return {
                "masters": [{"url": u, "leads": n == masters.leading} for n, u in enumerate(masters.urls)]
            }

        return await self._order(request, act, listed)

    async def _on_schedulers(self, request: web.BaseRequest) -> web.StreamResponse:
        async def act(order: Any) -> None:
            number = order.get("scheduler") if isinstance(order, dict) else None
            if not isinstance(number, int) or not 0 <= number < len(self._cluster.nodes):
                raise BadOrder('an order is a JSON object such as {"scheduler": 0, "do": "resign"}')
            what = order.get("do")
            if what == "resign":
                self._cluster.nodes[number].resign()
            elif what == "expire":
                await self._cluster.nodes[number].expire()
            else:
                raise BadOrder(f"do must be resign or expire, not {what!r}")

        def listed() -> dict[str, Any]:
            nodes = self._cluster.nodes
            return {"schedulers": [{"url": n.url, "leads": n.scheduler is not None} for n in nodes]}

        return await self._order(request, act, listed)

    async def _on_clock(self, request: web.BaseRequest) -> web.StreamResponse:
        async def move(order: Any) -> None:
            if not isinstance(order, dict):
                raise BadOrder('an order is a JSON object such as {"offset": 60}')
            self._clock.offset = _seconds(order, "offset", negative=True)

        return await self._order(
            request, move, lambda: {"offset": self._clock.offset, "now_ms": self._clock.now_ms()}
        )

    async def _order(
        self,
        request: web.BaseRequest,
        carry_out: Callable[[Any], Awaitable[None]],
        state: Callable[[], dict[str, Any]],
    ) -> web.StreamResponse:
        if request.method == "POST":
            try:
                await carry_out(json.loads(await body_of(request, _MAX_BYTES)))
            except (ValueError, RecursionError, BodyTooLarge) as error:
                return text_response(f"{error or 'the body is too large'}\n", 400)
            except LookupError as error:
                return text_response(f"{error.args[0]}\n", 404)
            except (OSError, RuntimeError) as error:
                return text_response(f"{error}\n", 409)
        return self._answer(state())

    def _answer(self, state: dict[str, Any]) -> web.Response:
        return web.Response(body=json.dumps(state).encode(), content_type="application/json")
