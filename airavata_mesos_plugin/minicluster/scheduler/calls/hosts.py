"""Maintenance of hosts (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.calls.base import Answer, Calls, Method
from airavata_mesos_plugin.minicluster.scheduler.envelope import failed_precondition


class HostCalls(Calls):
    def methods(self) -> dict[str, Method]:
        keep = self.scheduler.maintenance
        started, drained = api.StartMaintenanceResult, api.DrainHostsResult
        ended, told = api.EndMaintenanceResult, api.MaintenanceStatusResult
        return {
            "startMaintenance": lambda a, _: self._on(a, keep.schedule, "startMaintenanceResult", started),
            "drainHosts": lambda a, _: self._on(a, keep.drain, "drainHostsResult", drained),
            "slaDrainHosts": lambda a, _: self._on(a, self._gently(a), "drainHostsResult", drained),
            "endMaintenance": lambda a, _: self._on(a, keep.end, "endMaintenanceResult", ended),
            "maintenanceStatus": lambda a, _: self._on(a, lambda _: None, "maintenanceStatusResult", told),
        }

    def _gently(self, arguments: Any) -> Callable[[Any], None]:
        keep = self.scheduler.maintenance
        policy, timeout = arguments.defaultSlaPolicy, arguments.timeoutSecs or 0
        return lambda names: keep.drain_gently(names, policy, timeout)

    def _on(self, arguments: Any, act: Callable[[Any], None], member: str, result: Any) -> Answer:
        if arguments.hosts is None:
            raise failed_precondition()
        names = sorted(arguments.hosts.hostNames or ())
        act(names)
        found = self.scheduler.maintenance.known(names)
        statuses = frozenset(api.HostStatus(host=host, mode=int(mode)) for host, mode in found)
        return api.Result(**{member: result(statuses=statuses)}), ()
