"""Looks at everything that the Aurora adapter needs, and says what to do where something is missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.schedulers.aurora.codec import METHODS, spoken
from airavata_mesos_plugin.schedulers.aurora.responses import error_for_status, unwrap
from airavata_mesos_plugin.schedulers.aurora.transport import ThriftTransport
from airavata_mesos_plugin.schedulers.base import Check, Leader
from airavata_mesos_plugin.schedulers.http import redirect_target
from airavata_mesos_plugin.schedulers.mesos.checks import agents_check, guarded, master_line
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster
from airavata_mesos_plugin.schedulers.retry import Deadline


class Diagnosis:
    """The checks of one cluster. Each address is asked by itself, once."""

    def __init__(
        self,
        settings: ClusterSettings,
        clock: Clock,
        transport: ThriftTransport,
        master: MesosMaster,
        leaders: tuple[Leader, Leader],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._master = master
        self._leaders = leaders

    def run(self) -> list[Check]:
        """One line per address and per thing that the cluster as a whole must have. Raises nothing."""
        checks: list[Check] = []
        leading = False
        schedulers = self._found("Aurora schedulers", self._leaders[0], checks)
        for address in schedulers:
            check, leads = self._scheduler(address)
            checks.append(check)
            leading = leading or leads
        if not leading:
            detail = "none of the addresses leads; list all schedulers, and check that they reach ZooKeeper"
            checks.append(Check("leading scheduler", False, detail))
        for address in self._found("Mesos masters", self._leaders[1], checks):
            checks.append(guarded(f"Mesos master {address}", partial(self._mesos, address)))
        checks.append(guarded(f"framework {self._settings.framework_name}", self._framework))
        checks.append(agents_check(self._master))
        return checks

    def _found(self, subject: str, leader: Leader, checks: list[Check]) -> Sequence[str]:
        try:
            found = leader.addresses(self._settings.call_timeout_seconds)
        except AiravataMesosError as error:
            checks.append(Check(subject, False, str(error)))
            return ()
        keeper = self._settings.zookeeper
        if not found and keeper is not None:
            detail = f"none is announced in ZooKeeper {','.join(keeper.hosts)}; check hosts and path"
            checks.append(Check(subject, False, detail))
        return found

    def _scheduler(self, address: str) -> tuple[Check, bool]:
        subject, method = f"Aurora scheduler {address}", METHODS["getTierConfigs"]
        before = self._clock.monotonic()
        try:
            answer, response = self._transport.call_one(address, method, self._deadline())
            took = (self._clock.monotonic() - before) * 1000
            target = redirect_target(answer)
            if target is not None:
                # Following it is what calls do; here it tells who leads.
                known = target.removesuffix("/api") in self._settings.schedulers
                hint = (
                    "" if known or self._settings.zookeeper else "; add it to the schedulers of the cluster"
                )
                return Check(subject, True, f"stands by, {target} leads{hint}; {took:.0f} ms"), True
            if answer.status != 200:
                raise error_for_status(answer)
            result = unwrap(response, method, "the cluster")
        except AiravataMesosError as error:
            return Check(subject, False, str(error)), False
        tiers = ", ".join(sorted(str(tier.name) for tier in result.tiers or ()))
        protocol = spoken(answer.body)
        spoke = f"{protocol.name if protocol else 'unknown'} protocol"
        cluster = response.serverInfo.clusterName if response.serverInfo else None
        detail = (
            f"leads cluster {cluster or '(unnamed)'}, tiers {tiers or '(none)'}"
            f" (default {result.defaultTierName}), {spoke}, {took:.0f} ms"
        )
        return Check(subject, True, detail), True

    def _mesos(self, address: str) -> str:
        return master_line(self._master, address, self._clock, self._deadline())

    def _framework(self) -> str:
        return f"registered as {self._master.framework_id(self._settings.framework_name)}"

    def _deadline(self) -> Deadline:
        return Deadline(self._clock, self._settings.call_timeout_seconds)
