"""The agents of a cluster as its master sees them: registered, cut off, or gone."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace

from airavata_mesos_plugin.minicluster.clock import Clock
from airavata_mesos_plugin.minicluster.http.agent import AgentHttp
from airavata_mesos_plugin.minicluster.http.server import Route, Server
from airavata_mesos_plugin.minicluster.launch import Launch
from airavata_mesos_plugin.minicluster.mesos.agent import Agent, AgentInfo
from airavata_mesos_plugin.minicluster.mesos.link import Link
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.mesos.task import MASTER, MesosTask, Status
from airavata_mesos_plugin.minicluster.scheduler.hosts import Host
from airavata_mesos_plugin.minicluster.settings import AgentSettings, ClusterSettings
from airavata_mesos_plugin.minicluster.slots import Framework, Others, Slot, State

_LOG = logging.getLogger(__name__)
_MIB = 1024 * 1024
_REMOVED = "Agent removed: health check timed out"
_UNREACHABLE = "Agent unreachable: health check timed out"
_GONE = "Agent has been marked gone"
_FORGOTTEN = "Reconciliation: Task is unknown to the agent"


def _host_memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB


class Agents:
    """All methods are for the event loop's thread. Statuses that come while no framework is connected are
    not lost: the next one asks for them by `reconcile`."""

    def __init__(self, settings: ClusterSettings, clock: Clock, master: Master) -> None:
        self._settings = settings
        self._clock = clock
        self._master = master
        self._framework: Framework | None = None
        self.others: Others | None = None
        self.slots: list[Slot] = []

    async def start(self, asked: AgentSettings) -> None:
        """Start one more agent.  Raises OSError when its port is taken."""
        routes: dict[str, Route] = {}  # filled once the port is known, which the agent's objects tell
        server = Server(routes)
        slot = Slot(asked, server, routes, Link(self._clock, self._deliver))
        await server.start(asked.port)
        slot.port = server.port
        self.slots.append(slot)
        self._register(slot)

    async def end_all(self) -> None:
        """End all tasks; the agents stay."""
        for slot in self.slots:
            await slot.agent.stop()

    async def stop(self) -> None:
        """End all tasks and close all sockets; nothing runs afterwards."""
        self._framework = None
        for slot in self.slots:
            await slot.agent.stop()
            await slot.server.stop()

    def _register(self, slot: Slot) -> None:
        asked = slot.settings
        free_disk = shutil.disk_usage(self._settings.work_dir).free // _MIB
        info = AgentInfo(
            agent_id=self._master.next_agent_id(),
            host=asked.host,
            port=slot.port,
            cpus=float(len(os.sched_getaffinity(0))) if asked.cpus is None else asked.cpus,
            memory_mb=_host_memory_mb() if asked.memory_mb is None else asked.memory_mb,
            disk_mb=free_disk if asked.disk_mb is None else asked.disk_mb,
            gpus=asked.gpus,
            ports=asked.ports,
            attributes={"host": (asked.host,), **asked.attributes},
        )
        agent = Agent(info, self._settings, self._clock, slot.link.report)
        agent.room.on_freed = self._freed
        slot.link.attach(agent)
        slot.routes.clear()
        slot.routes.update(AgentHttp(agent, self._master).routes())
        self._master.agents[info.agent_id] = agent

    # The scheduler's side

    def connect(self, framework: Framework) -> None:
        """Statuses go to `framework` from now on, and it is told of every agent that takes tasks."""
        self._framework = framework
        for slot in self.slots:
            if slot.state is State.REGISTERED:
                framework.add_host(self._host(slot))

    def disconnect(self, framework: Framework) -> None:
        """Harmless when another one is connected by now."""
        if self._framework is framework:
            self._framework = None

    def _host(self, slot: Slot) -> Host:
        info, room = slot.agent.info, slot.agent.room
        return Host(info.agent_id, info.host, info.attributes, room.total, room.port_range, room)

    def _freed(self) -> None:
        if self._framework is not None:
            self._framework.resources_freed()

    def launch(self, agent_id: str, launch: Launch) -> None:
        """A task of Aurora.  Raises OSError when the executor cannot be started."""
        self.send(MesosTask(launch, self._master.framework_id, agent_id))

    def send(self, task: MesosTask) -> None:
        """A task of any framework to its agent.  Raises OSError when the executor cannot be started."""
        slot = self._slot_of(task.agent_id)
        if slot is None or slot.state is State.LOST:
            raise OSError(f"agent {task.agent_id} is gone")
        self._master.add(task)
        try:
            slot.link.launch(task)
        except OSError:
            self._master.forget(task)
            raise

    def kill(
        self, agent_id: str, task_id: str, framework_id: str | None = None, grace: float | None = None
    ) -> None:
        """As `Link.kill`; for Aurora unless a framework is named."""
        slot = self._slot_of(agent_id)
        if slot is not None and slot.state is not State.LOST:
            slot.link.kill((framework_id or self._master.framework_id, task_id), grace)

    def shutdown(self, framework_id: str) -> None:
        """End all executors of a framework that is gone."""
        for slot in self.slots:
            slot.link.shutdown(framework_id)

    def reconcile(self, tasks: Iterable[tuple[str, str]]) -> None:
        """Report the present state of Aurora's tasks, given as pairs of agent id and task id."""
        for agent_id, task_id in list(tasks):
            slot, key = self._slot_of(agent_id), (self._master.framework_id, task_id)
            if slot is None or slot.state is State.LOST:
                self._tell(task_id, "TASK_LOST", _REMOVED)
            elif slot.state is State.PARTITIONED:
                self._tell(task_id, self._unreachable_state, _UNREACHABLE)
            else:
                known = slot.agent.task(key)
                if known is not None:
                    slot.link.report(known)
                elif key not in self._master.active:  # else the order is still on its way
                    self._tell(task_id, "TASK_LOST", _FORGOTTEN)

    def end_others(self, known: Callable[[str], bool]) -> None:
        """Kill the tasks of Aurora that it does not know (``known`` says of an id whether it does)."""
        for task in list(self._master.active.values()):
            if self._is_auroras(task) and not known(task.launch.task_id):
                self.kill(task.agent_id, task.launch.task_id)

    def _slot_of(self, agent_id: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.agent.info.agent_id == agent_id), None)

    def _is_auroras(self, task: MesosTask) -> bool:
        return task.framework_id == self._master.framework_id

    def _tell(self, task_id: str, state: str, message: str | None) -> None:
        if self._framework is not None:
            self._framework.status_update(task_id, state, message)

    def _deliver(self, task: MesosTask, status: Status) -> None:
        self._master.updated(task)
        if self._is_auroras(task):
            self._tell(task.launch.task_id, status.state, status.message)
        elif self.others is not None:
            self.others.status(task, status)

    # Faults

    @property
    def _unreachable_state(self) -> str:
        return "TASK_UNREACHABLE" if self._settings.partition_aware else "TASK_LOST"

    def slot(self, name: str) -> Slot:
        """The agent with this host name, agent id or number in the settings (from 0). Raises LookupError."""
        for number, slot in enumerate(self.slots):
            if name in (str(number), slot.settings.host, slot.agent.info.agent_id):
                return slot
        known = ", ".join(slot.settings.host for slot in self.slots)
        raise LookupError(f"there is no agent {name}; there are {known}")

    def listed(self) -> list[dict[str, object]]:
        return [
            {
                "id": slot.agent.info.agent_id,
                "host": slot.settings.host,
                "state": slot.state.value,
                "seconds": slot.link.delay,
                "url": slot.server.url,
            }
            for slot in self.slots
        ]

    async def lose(self, name: str, *, gone: bool = False) -> None:
        """The machine is gone with everything on it: tasks, sandboxes' server, agent id. With `gone` an
        operator says so to the master, else it takes the agent for unreachable. Harmless when repeated.
        Raises LookupError."""
        slot = self.slot(name)
        if slot.state is State.LOST:
            return
        slot.state = State.LOST
        slot.link.cut = True
        slot.agent.power_off()
        self._take_away(slot, gone=gone)
        for task in self._tasks_of(slot):
            if self._is_auroras(task):
                self._deliver(task.mark(self._by_master("TASK_LOST", _REMOVED)), task.latest)
            elif gone:
                status = self._by_master("TASK_GONE_BY_OPERATOR", _GONE, "REASON_AGENT_REMOVED_BY_OPERATOR")
                self._deliver(task.mark(status), status)
            else:
                self._out_of_reach(task)
        await slot.agent.stop()
        await slot.server.stop()

    def partition(self, name: str) -> None:
        """Master and scheduler cannot reach the agent any more; its tasks go on, and its HTTP answers to
        clients. Harmless when repeated. Raises LookupError."""
        slot = self.slot(name)
        if slot.state is not State.REGISTERED:
            return
        slot.state = State.PARTITIONED
        slot.link.cut = True
        self._take_away(slot)
        for task in self._tasks_of(slot):
            self._out_of_reach(task)

    def _out_of_reach(self, task: MesosTask) -> None:
        # A copy: the agent goes on with its own view.
        seen = replace(task, statuses=list(task.statuses))
        seen.mark(self._by_master("TASK_UNREACHABLE", _UNREACHABLE))
        self._master.active.pop(task.key, None)
        self._master.unreachable[task.key] = seen
        if self._is_auroras(task):
            self._tell(task.launch.task_id, self._unreachable_state, _UNREACHABLE)
        else:
            self._deliver(seen, seen.latest)

    def _by_master(self, state: str, message: str, reason: str = "REASON_AGENT_REMOVED") -> Status:
        return Status(state, self._clock.now_ms() / 1000, message, reason, MASTER)

    async def give_back(self, name: str) -> None:
        """A lost agent starts anew, empty, under a new id and the old port; a partitioned one reports the
        present states of its tasks. Harmless for one that is there. Raises LookupError, and OSError when
        its port was taken meanwhile."""
        slot = self.slot(name)
        was, slot.state = slot.state, State.REGISTERED
        slot.link.cut = False
        if was is State.LOST:
            try:
                await slot.server.start(slot.port)
            except OSError:
                slot.state = State.LOST
                raise
            self._register(slot)
        if was is State.REGISTERED:
            return
        agent_id = slot.agent.info.agent_id
        self._master.agents[agent_id] = slot.agent
        self._master.unreachable_agents.discard(agent_id)
        self._master.out_of_reach.discard(agent_id)
        if self._framework is not None:
            self._framework.add_host(self._host(slot))
        for task in self._tasks_of(slot):
            self._back(slot, task)
        self._end_unknown(slot)
        for executor in slot.agent.executors.values():
            if not executor.task.ended and executor.task.key not in self._master.active:
                self._found(slot, executor.task)
        if self.others is not None:
            self.others.agent_added(agent_id)

    def _found(self, slot: Slot, task: MesosTask) -> None:
        """A task that a master does not know which was elected meanwhile."""
        self._master.active[task.key] = task
        if self._is_auroras(task):
            slot.link.report(task)
        elif self.others is not None:
            self.others.task_found(task)

    def _back(self, slot: Slot, task: MesosTask) -> None:
        own = slot.agent.task(task.key)
        if own is None:
            state = "TASK_LOST" if self._is_auroras(task) else "TASK_DROPPED"
            self._deliver(task.mark(self._by_master(state, _FORGOTTEN, "REASON_RECONCILIATION")), task.latest)
            return
        self._master.unreachable.pop(task.key, None)
        self._master.active[task.key] = own
        if self._is_auroras(task):
            slot.link.report(own)
        elif self.others is not None:
            # Since then the master has noted one status of its own: that the agent is out of reach.
            news = own.statuses[len(task.statuses) - 1 :]
            self.others.task_back(own, news)

    def _end_unknown(self, slot: Slot) -> None:
        """End what frameworks have left there that are gone."""
        for framework_id in {key[0] for key in slot.agent.executors} - {self._master.framework_id}:
            if self.others is None or not self.others.knows(framework_id):
                slot.link.shutdown(framework_id)

    def slow(self, name: str, seconds: float) -> None:
        """Orders to the agent and its statuses take this long; 0 ends it. Raises LookupError."""
        self.slot(name).link.delay = seconds

    def _take_away(self, slot: Slot, *, gone: bool = False) -> None:
        agent_id = slot.agent.info.agent_id
        for known in (self._master.agents, self._master.recovered_agents):
            known.pop(agent_id, None)
        self._master.unreachable_agents.discard(agent_id)
        if slot.state is State.PARTITIONED:
            self._master.unreachable_agents.add(agent_id)
        (self._master.gone_agents if gone else self._master.out_of_reach).add(agent_id)
        if self._framework is not None:
            self._framework.remove_host(agent_id)
        if self.others is not None:
            self.others.agent_removed(agent_id, returns=slot.state is State.PARTITIONED)

    def _tasks_of(self, slot: Slot) -> list[MesosTask]:
        """Those that the master knows, reachable or not."""
        agent_id = slot.agent.info.agent_id
        known = (*self._master.active.values(), *self._master.unreachable.values())
        return [task for task in known if task.agent_id == agent_id]
