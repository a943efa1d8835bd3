"""From a TaskInfo to the order for an agent (Mesos 1.11)."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from airavata_mesos_plugin.minicluster.frameworks import amounts
from airavata_mesos_plugin.minicluster.frameworks.framework import Framework
from airavata_mesos_plugin.minicluster.frameworks.offers import Offer
from airavata_mesos_plugin.minicluster.frameworks.values import (
    Json,
    identity,
    objects,
    part,
    seconds,
    text,
    texts,
)
from airavata_mesos_plugin.minicluster.launch import Command, Launch
from airavata_mesos_plugin.minicluster.mesos.agent import NoExecutor

_BAD_ID = re.compile(r"[/\\\x00-\x1f\x7f]")
_LONGEST_ID = 255
_DEFAULT_GRACE = 3.0
Pairs = tuple[tuple[str, str], ...]


class BadTask(Exception):
    """The text is what comes with TASK_ERROR."""


class NoContainer(Exception):
    """The text is what comes with TASK_FAILED."""


class Asked(NamedTuple):
    """A TaskInfo, read and not judged."""

    task_id: str
    agent_id: str
    name: str
    resources: tuple[amounts.Resource, ...]
    kinds: tuple[str, ...]
    """Which of command and executor there are."""
    shell: bool
    value: str
    arguments: tuple[str, ...]
    variables: Pairs
    user: str
    uris: tuple[tuple[str, str, bool, bool, bool], ...]
    labels: Pairs
    grace: float | None
    limit: float | None
    foreign: bool
    """Whether it wants a container that this minicluster cannot make."""


def read(info: Mapping[str, Any]) -> Asked:
    """Raises Refused for what is no TaskInfo."""
    command, container = part(info, "command"), part(info, "container")
    variables = objects(part(command, "environment"), "variables")
    labels = objects(part(info, "labels"), "labels")
    return Asked(
        task_id=identity(info, "task_id"),
        agent_id=identity(info, "agent_id"),
        name=text(info, "name"),
        resources=tuple(amounts.read(one) for one in objects(info, "resources")),
        kinds=tuple(kind for kind in ("command", "executor") if kind in info),
        shell=command.get("shell", True) is not False,
        value=text(command, "value"),
        arguments=tuple(texts(command, "arguments")),
        variables=tuple((text(one, "name"), text(one, "value")) for one in variables),
        user=text(command, "user"),
        uris=tuple(_uri(one) for one in objects(command, "uris")),
        labels=tuple((text(one, "key"), text(one, "value")) for one in labels),
        grace=seconds(info, "kill_policy", "grace_period"),
        limit=seconds(info, "max_completion_time"),
        foreign=container.get("type") == "DOCKER" or "image" in part(container, "mesos"),
    )


def _uri(uri: Json) -> tuple[str, str, bool, bool, bool]:
    executable = uri.get("executable") is True
    extract = uri.get("extract") is not False and not executable
    return text(uri, "value"), text(uri, "output_file"), extract, uri.get("cache") is True, executable


def checked(asked: Asked, framework: Framework, offer: Offer) -> amounts.Wanted:
    """What a task takes of an agent. Raises BadTask and BadResources."""
    task_id, agent_id = asked.task_id, offer.agent.info.agent_id
    if not task_id or task_id in (".", "..") or _BAD_ID.search(task_id):
        raise BadTask(f"'{task_id}' contains invalid characters")
    if len(task_id) > _LONGEST_ID:
        raise BadTask(f"ID must not be greater than {_LONGEST_ID} characters")
    if task_id in framework.tasks:
        raise BadTask(f"Task has duplicate ID: {task_id}")
    if asked.agent_id != agent_id:
        raise BadTask(f"Task uses invalid agent {asked.agent_id} while agent {agent_id} is expected")
    if len(asked.kinds) != 1:
        raise BadTask("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")
    if asked.kinds == ("executor",):
        raise BadTask("this minicluster runs commands only, no executors of frameworks")
    if not asked.value:
        raise BadTask(f"{'Shell command' if asked.shell else 'Command'} must set 'value'")
    wanted = amounts.wanted(asked.resources)
    if not any(wanted.amount):
        raise BadTask("Task uses no resources")
    return wanted


def launch_of(
    asked: Asked, framework: Framework, offer: Offer, wanted: amounts.Wanted, *, switch_user: bool
) -> Launch:
    """The order. ``switch_user``: the command runs as the account that it, or the framework, names."""
    user = asked.user or framework.record.user
    own = os.geteuid() != 0 or user == pwd.getpwuid(0).pw_name
    return Launch(
        task_id=asked.task_id,
        executor_id=asked.task_id,
        name=asked.name,
        source="",
        role=offer.role,
        environment="",
        instance=0,
        hostname=offer.agent.info.host,
        ports={str(port): port for port in wanted.ports},
        data=None,
        cpus=wanted.amount.cores,
        memory_mb=wanted.amount.ram,
        disk_mb=wanted.amount.disk,
        gpus=wanted.amount.gpus,
        labels=asked.labels,
        uris=asked.uris,
        command=Command(
            program="/bin/sh" if asked.shell else asked.value,
            arguments=("sh", "-c", asked.value) if asked.shell else asked.arguments,
            environment=(*_mesos_variables(asked, framework, offer), *asked.variables),
            user=user if switch_user and not own else "",
            grace=_DEFAULT_GRACE if asked.grace is None else asked.grace,
            max_seconds=asked.limit,
            killing_state=framework.can("TASK_KILLING_STATE"),
        ),
    )


def check_container(asked: Asked, launch: Launch) -> None:
    """Whether a container can be made for a task. Raises NoContainer when there is none of that kind, and
    NoExecutor when there is no such account.
    """
    if asked.foreign:
        raise NoContainer("Abnormal executor termination: unknown container")
    name = "" if launch.command is None else launch.command.user
    if name:
        try:
            pwd.getpwnam(name)
        except KeyError:
            raise NoExecutor(f"Failed to create executor directory: No such user '{name}'") from None


def _mesos_variables(asked: Asked, framework: Framework, offer: Offer) -> Pairs:
    info = offer.agent.info
    return (
        ("MESOS_FRAMEWORK_ID", framework.id),
        ("MESOS_EXECUTOR_ID", asked.task_id),
        ("MESOS_SLAVE_ID", info.agent_id),
        ("MESOS_AGENT_ENDPOINT", f"{info.host}:{info.port}"),
        ("MESOS_ALLOCATION_ROLE", offer.role),
        ("MESOS_CHECKPOINT", "1" if framework.record.checkpoint else "0"),
    )
