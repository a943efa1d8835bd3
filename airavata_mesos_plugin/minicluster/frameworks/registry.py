"""The frameworks of a master: how they come, stay away, fail over, and end."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from airavata_mesos_plugin.minicluster.agents import Agents
from airavata_mesos_plugin.minicluster.ballot import master_info
from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.faults import Faults
from airavata_mesos_plugin.minicluster.frameworks.framework import Framework, Rejected, record_of
from airavata_mesos_plugin.minicluster.frameworks.offers import OfferBook
from airavata_mesos_plugin.minicluster.frameworks.statuses import Statuses
from airavata_mesos_plugin.minicluster.frameworks.stream import Stream
from airavata_mesos_plugin.minicluster.frameworks.updates import Update, Updates
from airavata_mesos_plugin.minicluster.frameworks.values import invalid, member, optional_identity, texts
from airavata_mesos_plugin.minicluster.mesos.master import FrameworkRecord, Master
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask, Status
from airavata_mesos_plugin.minicluster.settings import ClusterSettings

_LOG = logging.getLogger(__name__)


class Registry:
    """All methods are for the event loop's thread."""

    def __init__(
        self, settings: ClusterSettings, clock: Clock, master: Master, agents: Agents, faults: Faults
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._master = master
        self._agents = agents
        self._faults = faults
        self.frameworks: dict[str, Framework] = {}
        self._infos: dict[str, FrameworkRecord] = {}
        self.offers = OfferBook(
            master, clock, settings.allocation_interval, lambda: tuple(self.frameworks.values())
        )
        pauses = (settings.status_retry_first, settings.status_retry_max)
        self.updates = Updates(clock, pauses, self._send_update, lambda agent: agent in master.agents)
        self.statuses = Statuses(clock, master, self.updates, self._send_update, self.offers.hurry)

    def stop(self) -> None:
        """End all subscriptions."""
        self.offers.stop()
        self.updates.stop()
        for framework in self.frameworks.values():
            self._quiet(framework)

    # Subscriptions

    def subscribe(self, call: Mapping[str, Any]) -> Stream:
        """Raises Refused for a call that cannot be understood; every other trouble is told in the stream."""
        asked = member(call, "subscribe")
        info = member(asked, "framework_info")
        framework_id, own = optional_identity(call, "framework_id"), optional_identity(info, "id")
        if framework_id != own:
            raise invalid("'framework_id' differs from 'subscribe.framework_info.id'")
        stream, suppressed = Stream(), set(texts(asked, "suppressed_roles"))
        try:
            framework = self._taken(info, framework_id, stream)
        except Rejected as error:
            stream.send("ERROR", error={"message": str(error)})
            stream.end()
            return stream
        framework.suppressed = suppressed
        framework.send(
            "SUBSCRIBED",
            subscribed={
                "framework_id": {"value": framework.id},
                "heartbeat_interval_seconds": self._settings.heartbeat_interval,
                "master_info": master_info(self._master.master_id, self._master.port),
            },
        )
        self._beat(framework)
        self.updates.again(framework_id=framework.id)
        self.offers.start()
        self.offers.hurry()
        return stream

    def _taken(self, info: Mapping[str, Any], framework_id: str | None, stream: Stream) -> Framework:
        now = self._clock.now_ms() / 1000
        if framework_id is not None and self._is_spent(framework_id):
            raise Rejected("Framework has been removed")
        record = record_of(info, framework_id or "", now)
        known = self.frameworks.get(framework_id or "")
        if known is None:
            record.framework_id = framework_id or self._master.next_framework_id()
            known = self.frameworks[record.framework_id] = Framework(record)
        else:
            if known.record.user and known.record.principal != record.principal:
                raise Rejected(f"Changing framework's principal is not allowed: '{known.record.principal}'")
            if known.stream is not None:
                known.send("ERROR", error={"message": "Framework failed over"})
            self._disconnected(known)
            self._renew(known, record, now)
        if known.removal is not None:
            known.removal.cancel()
            known.removal = None
        self._master.frameworks[known.id] = self._infos[known.id] = known.record
        known.stream = stream
        return known

    @staticmethod
    def _renew(known: Framework, record: FrameworkRecord, now: float) -> None:
        before = known.record
        if not before.recovered:  # these stay as they are for the life of the id
            record.user, record.checkpoint = before.user, before.checkpoint
        record.registered_time, record.reregistered_time = before.registered_time or now, now
        known.record = record

    def _is_spent(self, framework_id: str) -> bool:
        return any(record.framework_id == framework_id for record in self._master.completed_frameworks)

    def _beat(self, framework: Framework) -> None:
        if not self._faults.loses("HEARTBEAT"):
            framework.send("HEARTBEAT")
        pause = self._settings.heartbeat_interval
        framework.heartbeat = self._clock.call_later(pause, lambda: self._beat(framework))

    def left(self, stream: Stream) -> None:
        """The connection of a subscription is gone.  Harmless for one that was replaced."""
        for framework in list(self.frameworks.values()):
            if framework.stream is stream:
                self._disconnected(framework)
                self._expect(framework)

    def _quiet(self, framework: Framework, *, torn: bool = False) -> None:
        if framework.heartbeat is not None:
            framework.heartbeat.cancel()
        if framework.stream is not None:
            framework.stream.end(torn=torn)
            framework.stream = None

    def _disconnected(self, framework: Framework) -> None:
        self._quiet(framework)
        framework.record.active = framework.record.connected = False
        framework.filters.clear()
        self.offers.withdraw(framework=framework)

    def _expect(self, framework: Framework) -> None:
        timeout = max(0.0, framework.record.failover_timeout)
        framework.removal = self._clock.call_later(timeout, lambda: self._expire(framework))

    def _expire(self, framework: Framework) -> None:
        framework.removal = None
        _LOG.info("framework %s did not come back in time", framework.id)
        self.remove(framework)

    def remove(self, framework: Framework) -> None:
        """End it and all its tasks; its id is spent."""
        self._disconnected(framework)
        if framework.removal is not None:
            framework.removal.cancel()
            framework.removal = None
        self.updates.drop(framework_id=framework.id)
        del self.frameworks[framework.id]
        record = self._master.frameworks.pop(framework.id)
        record.connected, record.unregistered_time = True, self._clock.now_ms() / 1000
        self._master.completed_frameworks.append(record)
        for task in framework.tasks.values():
            self.statuses.framework_removed(task)
        self._agents.shutdown(framework.id)

    def _send_update(self, framework_id: str, update: Update) -> None:
        framework = self.frameworks.get(framework_id)
        if framework is not None and not self._faults.loses("UPDATE"):
            framework.send("UPDATE", update={"status": update})

    # Masters come and go (masters.Reign)

    def master_gone(self) -> None:
        """See `masters.Reign`."""
        for framework in self.frameworks.values():
            self._quiet(framework, torn=True)
            self._disconnected(framework)
            if framework.removal is not None:
                framework.removal.cancel()
                framework.removal = None

    def master_elected(self) -> None:
        """See `masters.Reign`."""
        self.frameworks.clear()
        for agent_id in list(self._master.recovered_agents):
            pause = self._settings.agent_reregistration
            self._clock.call_later(pause, partial(self._reregister, agent_id))

    def _reregister(self, agent_id: str) -> None:
        """An agent tells a new master of itself, and of what runs there for whom."""
        agent = self._master.recovered_agents.pop(agent_id, None)
        if agent is None:
            return  # lost meanwhile, or another master leads
        self._master.agents[agent_id] = agent
        for executor in agent.executors.values():
            if not executor.task.ended:
                self.task_found(executor.task)
        self.agent_added(agent_id)

    # What the agents tell (slots.Others)

    def agent_added(self, agent_id: str) -> None:
        """See `slots.Others`."""
        self.updates.again(agent_id=agent_id)
        self.offers.hurry()

    def agent_removed(self, agent_id: str, *, returns: bool) -> None:
        """See `slots.Others`."""
        self.offers.withdraw(agent_id=agent_id)
        if not returns:
            self.updates.drop(agent_id=agent_id)
        for framework in self.frameworks.values():
            framework.send("FAILURE", failure={"agent_id": {"value": agent_id}})

    def status(self, task: MesosTask, status: Status) -> None:
        """See `slots.Others`."""
        if self._is_spent(task.framework_id):
            self.statuses.over(task)
        else:
            self.statuses.reported(self.frameworks.get(task.framework_id), task, status)

    def task_found(self, task: MesosTask) -> None:
        """See `slots.Others`."""
        self._master.active[task.key] = task
        if task.framework_id == self._master.framework_id or self._is_spent(task.framework_id):
            return
        known = self.frameworks.get(task.framework_id)
        if known is None:
            # Agents keep what a framework has said of itself.
            record = self._infos[task.framework_id]
            record.recovered, record.active, record.connected = True, False, False
            known = self.frameworks[record.framework_id] = Framework(record)
            self._master.frameworks[known.id] = record
            self._expect(known)
        known.tasks[task.launch.task_id] = task

    def task_back(self, task: MesosTask, news: Sequence[Status]) -> None:
        """See `slots.Others`."""
        framework = self.frameworks.get(task.framework_id)
        if framework is not None:
            self.statuses.back(framework, task, news)

    def knows(self, framework_id: str) -> bool:
        """See `slots.Others`."""
        return framework_id in self._infos and not self._is_spent(framework_id)
