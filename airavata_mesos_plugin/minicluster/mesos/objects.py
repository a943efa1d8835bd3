"""JSON objects of the v0 endpoints (Mesos 1.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from airavata_mesos_plugin.minicluster.mesos.agent import Agent, Executor
from airavata_mesos_plugin.minicluster.mesos.master import Master
from airavata_mesos_plugin.minicluster.mesos.task import MesosTask
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
    launches = [task.launch for task in tasks]
    ports = [port for launch in launches for port in launch.ports.values()]
    return _resources(
        round(sum(launch.cpus for launch in launches), 3),
        sum(launch.memory_mb for launch in launches),
        sum(launch.disk_mb for launch in launches),
        sum(launch.gpus for launch in launches),
        port_ranges(ports) if ports else None,
    )


def task_object(task: MesosTask) -> dict[str, Any]:
    """No message, reason or source: Mesos has none here."""
    launch = task.launch
    return {
        "id": launch.task_id,
        "name": launch.name,
        "framework_id": task.framework_id,
        "executor_id": launch.executor_id,
        "slave_id": task.agent_id,
        "state": task.state,
        "resources": _task_resources(task),
        "role": "*",
        "statuses": [{"state": state, "timestamp": when} for state, when in task.statuses],
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
    # A task gives its resources back when it ends, a moment before its executor leaves.
    used = _sum(executor.task for executor in agent.executors.values() if not executor.task.ended)
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
        "offered_resources": _resources(0, 0, 0, 0),
        "unreserved_resources": _total(agent),
        "reserved_resources": {},
        "registered_time": start_time,
    }


def agent_object(agent: Agent, start_time: float) -> dict[str, Any]:
    """An agent as the master shows it."""
    return {**_agent_common(agent, start_time), "active": True, "deactivated": False}


def framework_object(master: Master) -> dict[str, Any]:
    tasks = list(master.active.values())
    return {
        **_framework_head(master.framework_id, master.start_time),
        "pid": "",
        "webui_url": master.scheduler_url,
        "active": True,
        "connected": True,
        "recovered": False,
        "capabilities": [],
        "resources": _sum(tasks),
        "used_resources": _sum(tasks),
        "offered_resources": _resources(0, 0, 0, 0),
        "offers": [],
        "tasks": [task_object(task) for task in tasks],
        "unreachable_tasks": [task_object(task) for task in master.unreachable.values()],
        "completed_tasks": [task_object(task) for task in master.completed],
        "executors": [
            {"executor_id": t.launch.executor_id, "framework_id": t.framework_id, "slave_id": t.agent_id,
             "name": t.launch.executor_id, "source": t.launch.source, "type": "CUSTOM", "role": "*"}
            for t in tasks
        ],
    }  # fmt: skip


def _framework_head(framework_id: str, start_time: float) -> dict[str, Any]:
    return {
        "id": framework_id,
        "name": _FRAMEWORK_NAME,
        "user": "",
        "role": "*",
        "hostname": LISTEN_HOST,
        "failover_timeout": 0.0,
        "checkpoint": False,
        "registered_time": start_time,
        "unregistered_time": 0.0,
    }


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
        "recovered_slaves": [],
        "frameworks": [framework_object(master)],
        "completed_frameworks": [],
        "orphan_tasks": [],
        "unregistered_frameworks": [],
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
            "framework_ids": [master.framework_id],
        }
        for agent in master.agents.values()
    ]
    framework = framework_object(master)
    for detail in ("tasks", "completed_tasks", "unreachable_tasks", "executors", "offers"):
        del framework[detail]
    framework |= {**_counters(tasks), "slave_ids": list(master.agents)}
    return {
        "hostname": LISTEN_HOST,
        "cluster": master.cluster_name,
        "slaves": agents,
        "frameworks": [framework],
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
    return {
        "id": launch.executor_id,
        "name": launch.executor_id,
        "source": launch.source,
        "container": executor.container_id,
        "directory": str(executor.directory),
        "resources": _task_resources(executor.task),
        "role": "*",
        "type": "CUSTOM",
        "tasks": [] if ended else shown,
        "queued_tasks": [],
        "completed_tasks": shown if ended else [],
    }


def agent_state(agent: Agent, start_time: float) -> dict[str, Any]:
    """A framework without a living executor counts as completed on the agent, as in Mesos."""
    framework = {
        **_framework_head(agent.info.framework_id, start_time),
        "executors": [_executor_object(executor) for executor in agent.executors.values()],
        "completed_executors": [_executor_object(executor) for executor in agent.completed.values()],
    }
    return {
        **version_object(start_time),
        **_agent_common(agent, start_time),
        "start_time": start_time,
        "flags": {},
        "frameworks": [framework] if agent.executors else [],
        "completed_frameworks": [framework] if agent.completed and not agent.executors else [],
    }
