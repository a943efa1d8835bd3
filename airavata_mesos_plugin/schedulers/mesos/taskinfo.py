"""From a job's form to Mesos' TaskInfo and FrameworkInfo in v1 JSON (Mesos 1.5 to 1.11)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from airavata_mesos_plugin.schedulers.mesos.amounts import Need, ports_in, thousandths
from airavata_mesos_plugin.schedulers.mesos.jobform import ContainerForm, MesosJob, TaskForm
from airavata_mesos_plugin.schedulers.mesos.matching import Assignment, Offered, Wanted
from airavata_mesos_plugin.schedulers.mesos.tracking import TrackedJob

KEY_LABEL = "airavata-mesos.key"
"""Label of every task: the key of its job, as role/environment/name."""

CAPABILITIES = (
    "PARTITION_AWARE",
    "TASK_KILLING_STATE",
    "MULTI_ROLE",
    "GPU_RESOURCES",
    "RESERVATION_REFINEMENT",
)


def framework_info(
    *,
    name: str,
    user: str,
    roles: Sequence[str],
    failover_seconds: float,
    principal: str | None,
    framework_id: str | None,
) -> dict[str, Any]:
    """What we tell the master of ourselves. ``user`` and ``principal`` cannot change later."""
    info: dict[str, Any] = {
        "user": user,
        "name": name,
        "roles": list(roles),
        "failover_timeout": failover_seconds,
        "checkpoint": True,
        "capabilities": [{"type": capability} for capability in CAPABILITIES],
    }
    if principal:
        info["principal"] = principal
    if framework_id:
        info["id"] = {"value": framework_id}
    return info


def need_of(task: TaskForm) -> Need:
    """What a task takes from an agent."""
    amounts = task.resources
    scalars = {"cpus": amounts.cpus, "mem": amounts.mem, "disk": amounts.disk, "gpus": amounts.gpus}
    scalars.update(amounts.named)
    return Need({name: thousandths(amount) for name, amount in scalars.items()}, amounts.ports)


def wanted_of(job: TrackedJob) -> Wanted:
    """The job as `matching` sees it."""
    form = job.form
    return Wanted(
        key=job.key,
        needs=tuple(need_of(task) for task in form.tasks),
        role=form.offer_role,
        constraints=form.constraints,
        nodes=frozenset(form.nodes),
        exclude_nodes=frozenset(form.exclude_nodes),
        spread=form.spread,
        image=form.image,
        since=job.queued_at,
    )


def offered_of(offer: Mapping[str, Any]) -> Offered:
    """An offer as `matching` sees it. Raises KeyError for one that lacks what every offer has."""
    return Offered(
        id=offer["id"]["value"],
        agent_id=offer["agent_id"]["value"],
        host=str(offer.get("hostname", "")),
        role=str((offer.get("allocation_info") or {}).get("role", "*")),
        resources=tuple(offer.get("resources", ())),
        attributes=attributes_of(offer.get("attributes", ())),
    )


def attributes_of(attributes: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Attributes of an agent as texts; numbers as they are written by people."""
    found: dict[str, tuple[str, ...]] = {}
    for attribute in attributes:
        values: list[str] = []
        if "text" in attribute:
            values = [str(attribute["text"].get("value", ""))]
        elif "scalar" in attribute:
            values = [f"{attribute['scalar'].get('value', 0):g}"]
        elif "set" in attribute:
            values = [str(item) for item in attribute["set"].get("item", ())]
        elif "ranges" in attribute:
            values = [f"{r['begin']}-{r['end']}" for r in attribute["ranges"].get("range", ())]
        name = str(attribute.get("name", ""))
        found[name] = (*found.get(name, ()), *values)
    return found


def task_info(job: MesosJob, index: int, task_id: str, place: Assignment) -> dict[str, Any]:
    """The TaskInfo of one task with the place that it has been given.

    Its environment tells it its id, the number of its node (AIRAVATA_MESOS_NODE, from 0), the name of its
    agent's host (AIRAVATA_MESOS_HOST) and its ports (PORT0, PORT1, ...).
    """
    task = job.tasks[index]
    ports = ports_in(place.resources)
    variables = [{"name": one.name, "value": one.value} for one in task.environment]
    told = (
        ("MESOS_TASK_ID", task_id),
        ("AIRAVATA_MESOS_NODE", str(index)),
        ("AIRAVATA_MESOS_HOST", place.host),
    )
    variables += [{"name": name, "value": value} for name, value in told]
    variables += [{"name": f"PORT{number}", "value": str(port)} for number, port in enumerate(ports)]
    command: dict[str, Any] = {
        **_command_line(task),
        "environment": {"variables": variables},
        "user": task.user or job.role,
    }
    if task.uris:
        command["uris"] = [uri.model_dump(exclude_none=True) for uri in task.uris]
    info: dict[str, Any] = {
        "name": job.name,
        "task_id": {"value": task_id},
        "agent_id": {"value": place.agent_id},
        "resources": [dict(resource) for resource in place.resources],
        "command": command,
        "kill_policy": {"grace_period": {"nanoseconds": int(task.kill_grace_seconds * 1e9)}},
        "labels": {
            "labels": [{"key": note.key, "value": note.value} for note in job.metadata]
            + [{"key": KEY_LABEL, "value": f"{job.role}/{job.environment}/{job.name}"}]
        },
    }
    if task.max_completion_seconds is not None:
        info["max_completion_time"] = {"nanoseconds": int(task.max_completion_seconds * 1e9)}
    if task.container is not None:
        info["container"] = _container(task.container)
    return info


def _command_line(task: TaskForm) -> dict[str, Any]:
    """What runs, whatever entry point an image has.

    Docker replaces the entry point only for a shell's command, and wants the program not among the arguments,
    where all others want it again (Mesos 1.11).
    """
    if task.container is not None and task.container.type == "DOCKER":
        return {"shell": True, "value": f"exec {shlex.join(task.arguments)}"}
    return {"shell": False, "value": task.arguments[0], "arguments": list(task.arguments)}


def _container(form: ContainerForm) -> dict[str, Any]:
    made: dict[str, Any] = form.model_dump(exclude_none=True)
    for name in ("volumes",):
        made[name] = list(made.get(name, ()))
    return made
