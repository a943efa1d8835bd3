"""Looks at everything that a framework needs, and says what to do where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import AiravataMesosError, NotReady
from airavata_mesos_plugin.schedulers.base import Check, Leader
from airavata_mesos_plugin.schedulers.mesos.checks import agents_check, guarded, master_line
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster
from airavata_mesos_plugin.schedulers.mesos.pymesos_loader import VERSION, load_driver
from airavata_mesos_plugin.schedulers.retry import Deadline


class Diagnosis:
    """The checks of one cluster. Nothing is subscribed for them."""

    def __init__(
        self,
        settings: ClusterSettings,
        clock: Clock,
        master: MesosMaster,
        leader: Leader,
        away: Callable[[], tuple[float, str] | None],
    ) -> None:
        """``away`` tells for how long there has been no subscription, and why; None where none is wanted."""
        self._settings = settings
        self._clock = clock
        self._master = master
        self._leader = leader
        self._away = away

    def run(self) -> list[Check]:
        """One line per address and per thing that the cluster as a whole must have. Raises nothing."""
        checks = [guarded("pymesos", self._driver)]
        try:
            addresses = self._leader.addresses(self._settings.call_timeout_seconds)
        except AiravataMesosError as error:
            return [*checks, Check("Mesos masters", False, str(error))]
        if not addresses:
            checks.append(
                Check("Mesos masters", False, "none is announced in ZooKeeper; check hosts and path")
            )
        for address in addresses:
            checks.append(guarded(f"Mesos master {address}", partial(self._mesos, address)))
        checks.append(agents_check(self._master))
        subject = f"framework {self._settings.mesos.framework_name}"
        away = self._away()
        if away is None:
            checks.append(guarded(subject, self._registered))
        else:
            seconds, trouble = away
            detail = f"not subscribed for {seconds:.0f} s: {trouble}" if seconds else "subscribed"
            checks.append(Check(subject, not seconds, detail))
        return checks

    def _registered(self) -> str:
        """Where the daemon is another process, the master knows best."""
        try:
            return f"registered as {self._master.framework_id(self._settings.mesos.framework_name)}"
        except NotReady:
            return "not registered yet: the daemon subscribes with its first job"

    @staticmethod
    def _driver() -> str:
        load_driver()
        return f"{VERSION} is installed"

    def _mesos(self, address: str) -> str:
        return master_line(
            self._master, address, self._clock, Deadline(self._clock, self._settings.call_timeout_seconds)
        )
