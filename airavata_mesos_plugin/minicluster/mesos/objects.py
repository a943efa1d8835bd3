"""JSON objects of the v0 endpoints (Mesos 1.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from airavata_mesos_plugin.minicluster.mesos.agent import Agent, Executor
from airavata_mesos_plugin.minicluster.mesos.master import FrameworkRecord, Master
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask
from airavata_mesos_plugin.minicluster.room import OFFERED
from airavata_mesos_plugin.minicluster.scheduler.resources import Amount
from airavata_mesos_plugin.minicluster.settings import LISTEN_HOST

VERSION = "1.6.1"
_STATE_NAMES = (
    "STAGING",
    "STARTING",
    "RUNNING",
    "KILLING",
    "FINISHED",
    "KILLED",
    "FAILED",
    "LOST",
    "ERROR",
    "UNREACHABLE",
)
_STATES = tuple(f"TASK_{name}" for name in _STATE_NAMES)
_FRAMEWORK_NAME = "Aurora"


def version_object(start_time: float) -> dict[str, Any]:
    return {"version": VERSION, "build_date": "", "build_time": start_time, "build_user": "minicluster"}


def port_ranges(ports: Iterable[int]) -> str:
    text = ", ".join(f"{port}-{port}" for port in sorted(ports))
    return f"[{text}]"


def _resources(cpus: float, mem: float, disk: float, gpus: float, ports: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"cpus": cpus, "gpus": gpus, "mem": mem, "disk": disk}
    if ports:
        found["ports"] = ports
    return found


def _task_resources(task: MesosTask) -> dict[str, Any]:
    launch = task.launch
    ports = port_ranges(launch.ports.values()) if launch.ports else None
    return _resources(launch.cpus, launch.memory_mb, launch.disk_mb, launch.gpus, ports)


def _sum(tasks: Iterable[MesosTask]) -> dict[str, Any]:
    # A task gives its resources back when it ends, a moment before its executor leaves.
    launches = [task.launch for task in tasks if not task.ended]
    ports = [port for launch in launches for port in launch.ports.values()]
    return _resources(
        round(sum(launch.cpus for launch in launches), 3),
        sum(launch.memory_mb for launch in launches),
        sum(launch.disk_mb for launch in launches),
        sum(launch.gpus for launch in launches),
        port_ranges(ports) if ports else None,
    )


def _amount(amount: Amount) -> dict[str, Any]:
    return _resources(amount.cores, amount.ram, amount.disk, amount.gpus)


def task_object(task: MesosTask) -> dict[str, Any]:
    """No message, reason or source: Mesos has none here."""
    launch = task.launch
    return {
        "id": launch.task_id,
        "name": launch.name,
        "framework_id": task.framework_id,
        # Mesos runs a command itself, and shows no executor then.
        "executor_id": "" if launch.command is not None else launch.executor_id,
        "slave_id": task.agent_id,
        "state": task.state,
        "resources": _task_resources(task),
        "role": launch.role if launch.command is not None else "*",
        "statuses": [{"state": status.state, "timestamp": status.when} for status in task.statuses],
        "labels": [{"key": key, "value": value} for key, value in launch.labels],
    }


def _attribute(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else "{" + ", ".join(values) + "}"


def _total(agent: Agent) -> dict[str, Any]:
    info = agent.info
    return _resources(
        info.cpus, info.memory_mb, info.disk_mb, info.gpus, f"[{info.ports[0]}-{info.ports[1]}]"
    )


def _agent_common(agent: Agent, start_time: float) -> dict[str, Any]:
    info = agent.info
    used = _sum(executor.task for executor in agent.executors.values())
    return {
        "id": info.agent_id,
        "hostname": info.host,
        "port": info.port,
        "pid": f"slave(1)@{LISTEN_HOST}:{info.port}",
        "attributes": {name: _attribute(values) for name, values in info.attributes.items()},
        "version": VERSION,
        "capabilities": [],
        "resources": _total(agent),
        "used_resources": used,
        "offered_resources": _amount(agent.room.held(OFFERED)),
        "unreserved_resources": _total(agent),
        "reserved_resources": {},
        "registered_time": start_time,
    }


def agent_object(agent: Agent, start_time: float) -> dict[str, Any]:
    """An agent as the master shows it."""
    return {**_agent_common(agent, start_time), "active": True, "deactivated": False}


def _aurora(master: Master) -> FrameworkRecord:
    return FrameworkRecord(
        framework_id=master.framework_id,
        name=_FRAMEWORK_NAME,
        hostname=LISTEN_HOST,
        webui_url=master.scheduler_url,
        registered_time=master.start_time,
    )


def _frameworks(master: Master) -> list[FrameworkRecord]:
    return [_aurora(master), *master.frameworks.values()]


def _roles(record: FrameworkRecord) -> dict[str, Any]:
    return {"roles": list(record.roles)} if record.multi_role else {"role": record.roles[0]}


def framework_object(master: Master, record: FrameworkRecord) -> dict[str, Any]:
    tasks = [task for task in master.active.values() if task.framework_id == record.framework_id]
    ended = [task for task in master.completed if task.framework_id == record.framework_id]
    away = [task for task in master.unreachable.values() if task.framework_id == record.framework_id]
    return {
        **_framework_head(record),
        "webui_url": record.webui_url,
        "active": record.active,
        "connected": record.connected,
        "recovered": record.recovered,
        "capabilities": list(record.capabilities),
        "resources": _sum(tasks),
        "used_resources": _sum(tasks),
        "offered_resources": _resources(0, 0, 0, 0),
        "offers": [],
        "tasks": [task_object(task) for task in tasks],
        "unreachable_tasks": [task_object(task) for task in away],
        "completed_tasks": [task_object(task) for task in ended],
        "executors": [
            {"executor_id": t.launch.executor_id, "framework_id": t.framework_id, "slave_id": t.agent_id,
             "name": t.launch.executor_id, "source": t.launch.source, "type": "CUSTOM", "role": "*"}
            for t in tasks if t.launch.command is None
        ],
    }  # fmt: skip


def framework_objects(master: Master, wanted: str | None = None) -> dict[str, Any]:
    """What `/frameworks` shows, of one framework if it is `wanted`."""

    def shown(records: Iterable[FrameworkRecord]) -> list[dict[str, Any]]:
        chosen = (record for record in records if wanted in (None, record.framework_id))
        return [framework_object(master, record) for record in chosen]

    return {
        "frameworks": shown(_frameworks(master)),
        "completed_frameworks": shown(master.completed_frameworks),
        "unregistered_frameworks": [],
    }


def _framework_head(record: FrameworkRecord) -> dict[str, Any]:
    head = {
        "id": record.framework_id,
        "name": record.name,
        "user": record.user,
        **_roles(record),
        "hostname": record.hostname,
        "failover_timeout": record.failover_timeout,
        "checkpoint": record.checkpoint,
        "registered_time": record.registered_time,
        "unregistered_time": record.unregistered_time,
    }
    if record.principal:
        head["principal"] = record.principal
    if record.reregistered_time is not None:
        head["reregistered_time"] = record.reregistered_time
    return head


def master_state(master: Master) -> dict[str, Any]:
    pid = f"master@{LISTEN_HOST}:{master.port}"
    return {
        **version_object(master.start_time),
        "start_time": master.start_time,
        "elected_time": master.start_time,
        "id": master.master_id,
        "pid": pid,
        "hostname": LISTEN_HOST,
        "cluster": master.cluster_name,
        "leader": pid,
        "leader_info": {"id": master.master_id, "pid": pid, "port": master.port, "hostname": LISTEN_HOST},
        "capabilities": [],
        "activated_slaves": float(len(master.agents)),
        "deactivated_slaves": 0.0,
        "unreachable_slaves": float(len(master.unreachable_agents)),
        "flags": {},
        "slaves": [agent_object(agent, master.start_time) for agent in master.agents.values()],
        "recovered_slaves": [agent_object(a, master.start_time) for a in master.recovered_agents.values()],
        "orphan_tasks": [],
        **framework_objects(master),
    }


def _counters(tasks: Iterable[MesosTask]) -> dict[str, int]:
    counts = Counter(task.state for task in tasks)
    return {state: counts[state] for state in _STATES}


def state_summary(master: Master) -> dict[str, Any]:
    tasks = [*master.active.values(), *master.unreachable.values(), *master.completed]
    agents = [
        {
            **agent_object(agent, master.start_time),
            **_counters(task for task in tasks if task.agent_id == agent.info.agent_id),
            "framework_ids": [record.framework_id for record in _frameworks(master)],
        }
        for agent in master.agents.values()
    ]
    frameworks = []
    for record in _frameworks(master):
        framework = framework_object(master, record)
        for detail in ("tasks", "completed_tasks", "unreachable_tasks", "executors", "offers"):
            del framework[detail]
        own = [task for task in tasks if task.framework_id == record.framework_id]
        frameworks.append({**framework, **_counters(own), "slave_ids": list(master.agents)})
    return {
        "hostname": LISTEN_HOST,
        "cluster": master.cluster_name,
        "slaves": agents,
        "frameworks": frameworks,
    }


def metrics(master: Master) -> dict[str, float]:
    agents = [agent.info for agent in master.agents.values()]
    states = Counter(task.state for task in master.active.values())
    used = _sum(master.active.values())
    return {
        "master/elected": 1.0,
        "master/slaves_active": float(len(agents)),
        "master/cpus_total": float(sum(info.cpus for info in agents)),
        "master/cpus_used": float(used["cpus"]),
        "master/mem_total": float(sum(info.memory_mb for info in agents)),
        "master/mem_used": float(used["mem"]),
        "master/tasks_running": float(states["TASK_RUNNING"]),
        "master/tasks_staging": float(states["TASK_STAGING"] + states["TASK_STARTING"]),
    }


def _executor_object(executor: Executor) -> dict[str, Any]:
    launch = executor.task.launch
    shown = [task_object(executor.task)]
    ended = executor.task.ended
    what: dict[str, Any] = {"name": launch.executor_id, "source": launch.source, "type": "CUSTOM"}
    if launch.command is not None:
        what = {"name": f"Command Executor (Task: {launch.task_id})", "source": launch.task_id}
    return {
        "id": launch.executor_id,
        **what,
        "container": executor.container_id,
        "directory": str(executor.directory),
        "resources": _task_resources(executor.task),
        "role": "*",
        "tasks": [] if ended else shown,
        "queued_tasks": [],
        "completed_tasks": shown if ended else [],
    }


def agent_state(agent: Agent, master: Master) -> dict[str, Any]:
    """A framework without a living executor counts as completed on the agent, as in Mesos."""
    start_time = master.start_time
    known = {r.framework_id: r for r in (*_frameworks(master), *master.completed_frameworks)}
    found: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    here = (*agent.executors.values(), *agent.completed.values())
    for framework_id in dict.fromkeys(executor.task.framework_id for executor in here):
        record = known.get(framework_id) or FrameworkRecord(framework_id, "")
        own = [_executor_object(e) for k, e in agent.executors.items() if k[0] == framework_id]
        left = [_executor_object(e) for k, e in agent.completed.items() if k[0] == framework_id]
        head = _framework_head(record)
        found[bool(own)].append({**head, "executors": own, "completed_executors": left})
    return {
        **version_object(start_time),
        **_agent_common(agent, start_time),
        "start_time": start_time,
        "flags": {},
        "frameworks": found[True],
        "completed_frameworks": found[False],
    }
