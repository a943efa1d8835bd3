"""HTTP of the scheduler: the Thrift API and the pages beside it that cost little."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from typing import Any

from aiohttp import web

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.faults import Faults
from airavata_mesos_plugin.minicluster.http.security import Security
from airavata_mesos_plugin.minicluster.http.server import (
    READ,
    Handler,
    Routes,
    data_response,
    query_of,
    text_response,
)
from airavata_mesos_plugin.minicluster.http.thrift_api import Leading, ThriftApi, error_page, redirect
from airavata_mesos_plugin.minicluster.scheduler.core import Scheduler
from airavata_mesos_plugin.minicluster.scheduler.maintenance import Mode
from airavata_mesos_plugin.minicluster.scheduler.status import Status
from airavata_mesos_plugin.minicluster.scheduler.tiers import DEFAULT_TIER, TIERS

_BYPASS = "Bypass-Leader-Redirect"


def _json(request: web.BaseRequest, value: Any) -> web.Response:
    return data_response(request, json.dumps(value).encode(), "application/json")


class SchedulerHttp:
    def __init__(self, node: Leading, faults: Faults, clock: Clock, security: Security | None = None) -> None:
        self._node = node
        self._api = ThriftApi(node, faults, clock, security)
        self._started = time.monotonic()

    def routes(self) -> Routes:
        redirected = {
            "/pendingtasks": self._pending_tasks,
            "/quotas": self._quotas,
            "/cron": self._cron,
            "/maintenance": self._maintenance,
            "/tiers": self._tiers,
        }
        return {
            "/api": (("POST", "GET"), self._thrift),
            "/health": (READ, self._health),
            "/leaderhealth": (READ, self._leader_health),
            "/vars": (READ, self._vars),
            "/vars.json": (READ, self._vars_json),
            **{path: (READ, self._led(page)) for path, page in redirected.items()},
        }

    def _elsewhere(self, request: web.BaseRequest) -> web.Response | None:
        """Where to go instead; None when this scheduler is to answer itself."""
        if self._node.scheduler is not None or _BYPASS in request.headers:
            return None
        leader = self._node.leader_url()
        if leader is None:
            return error_page(503, "no scheduler leads at the moment")
        return redirect(leader, request)

    def _led(self, page: Any) -> Handler:
        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            elsewhere = self._elsewhere(request)
            if elsewhere is not None:
                return elsewhere
            scheduler = self._node.scheduler
            if scheduler is None:
                return error_page(503, "Storage is not READY")
            return _json(request, page(scheduler, request))

        return handler

    async def _thrift(self, request: web.BaseRequest) -> web.StreamResponse:
        refused = self._api.refusal_of(request) or self._elsewhere(request)
        return await self._api.answer(request) if refused is None else refused

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("OK\n")

    async def _leader_health(self, _request: web.BaseRequest) -> web.StreamResponse:
        if self._node.scheduler is not None:
            return text_response("OK\n")
        if self._node.leader_url() is not None:
            return text_response("Another scheduler leads.\n", 503)
        return text_response("No leader is known.\n", 502)

    def _values(self) -> dict[str, float]:
        scheduler = self._node.scheduler
        values: dict[str, float] = {
            "jvm_uptime_secs": int(time.monotonic() - self._started),
            "framework_registered": int(scheduler is not None),
        }
        if scheduler is not None:
            values |= {
                "schedule_queue_size": len(scheduler.queue),
                "schedule_rounds": scheduler.rounds,
                "schedule_rounds_secs": round(scheduler.round_seconds, 6),
                "scheduler_illegal_task_state_transitions": scheduler.manager.ignored_transitions,
                "task_store_size": len(scheduler.store),
            }
            values |= {f"task_store_{s.name}": 0 for s in Status if s is not Status.DELETED}
            for task in scheduler.store.all():
                values[f"task_store_{task.status.name}"] += 1
        for method, count in self._api.counts.items():
            values[f"scheduler_thrift_{method}_events"] = count
        return dict(sorted(values.items()))

    async def _vars(self, _request: web.BaseRequest) -> web.StreamResponse:
        return text_response("".join(f"{name} {value}\n" for name, value in self._values().items()))

    async def _vars_json(self, request: web.BaseRequest) -> web.StreamResponse:
        indent = 2 if "pretty" in query_of(request) else None
        body = json.dumps(self._values(), indent=indent).encode()
        return data_response(request, body, "application/json")

    def _pending_tasks(self, scheduler: Scheduler, _request: web.BaseRequest) -> Any:
        groups: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
        for task in scheduler.store.active():
            if task.status == Status.PENDING:
                groups[str(task.key), scheduler.queue.reason(task)].append(task.task_id)
        return [
            {"name": name, "taskIds": ids, "penaltyMs": 0, "reason": f"[{', '.join(reason)}]"}
            for (name, reason), ids in groups.items()
        ]

    def _quotas(self, scheduler: Scheduler, request: web.BaseRequest) -> Any:
        wanted = query_of(request).get("role")
        return {
            role: {"cpu_cores": amount.cores, "ram_mb": amount.ram, "disk_mb": amount.disk}
            for role, amount in scheduler.quotas.all().items()
            if wanted in (None, role)
        }

    def _cron(self, scheduler: Scheduler, _request: web.BaseRequest) -> Any:
        entries = scheduler.cron.entries.items()
        return {"scheduled": {str(key): job.cronSchedule for key, job in entries}}

    def _maintenance(self, scheduler: Scheduler, _request: web.BaseRequest) -> Any:
        modes = scheduler.maintenance.all()
        by_mode = {mode: [host for host, now in modes.items() if now is mode] for mode in Mode}
        draining = {
            host: [task.task_id for task in scheduler.maintenance.tasks_on(host)]
            for host in by_mode[Mode.DRAINING]
        }
        return {
            "SCHEDULED": by_mode[Mode.SCHEDULED], "DRAINING": draining, "DRAINED": by_mode[Mode.DRAINED],
        }  # fmt: skip

    def _tiers(self, _scheduler: Scheduler, _request: web.BaseRequest) -> Any:
        return {"default": DEFAULT_TIER, "tiers": {name: tier._asdict() for name, tier in TIERS.items()}}
