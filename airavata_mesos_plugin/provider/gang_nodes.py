"""The nodes of a job over several: what they say of themselves, what they are called, what they are told."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox.tickets import Purpose
from airavata_mesos_plugin.schedulers.base import NodeTask
from airavata_mesos_plugin.store.gangs import GangNode

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?")
_RUN = re.compile(r"[0-9a-f]{1,64}")


def gang_description(parts: Parts, record: JobRecord) -> str:
    """The control file ``gang`` of an attempt, always the same: what a node must know of its job.

    The secret of the job's nodes is in it.
    """
    request = record.request
    ticket = parts.tickets.issue(record.id, record.attempt, parts.expiry(record), Purpose.GANG)
    document = {
        "job_id": record.id,
        "attempt": record.attempt,
        "nodes": request.nodes,
        "secret": parts.tickets.gang_secret(record.id, record.attempt).hex(),
        "meeting": f"{parts.staging_url()}/gangs/{ticket}",
        "tasks": request.tasks_on_nodes,
        "cpus": max(1, int(request.resources.cpus)),
        "silence_seconds": parts.settings.queue(request.queue).silence_seconds,
    }
    return json.dumps(document)


def node_of(number: int, said: Mapping[str, object]) -> GangNode:
    """A node as it describes itself. Raises InvalidRequest for words that no node says."""
    name, address, port, run = (said.get(word) for word in ("name", "address", "port", "run"))
    if not (isinstance(name, str) and isinstance(address, str) and isinstance(run, str)):
        raise InvalidRequest("a node registers with its name, address, port and run")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise InvalidRequest("the address of a node is a number") from None
    if not isinstance(port, int) or not 0 < port < 65536 or not _RUN.fullmatch(run):
        raise InvalidRequest("a node registers with its name, address, port and run")
    if not _NAME.fullmatch(name):
        raise InvalidRequest("the name of a node is that of a host")
    return GangNode(number, name, address, port, run)


def with_tasks(nodes: tuple[GangNode, ...], tasks: Sequence[NodeTask]) -> tuple[GangNode, ...]:
    """The nodes with the first tasks that were seen of them: a scheduler may replace those of lost nodes."""
    return tuple(
        replace(node, task_id=tasks[node.number].task_id, agent_id=tasks[node.number].agent_id)
        if not node.task_id and node.number < len(tasks)
        else node
        for node in nodes
    )


def same_start(known: GangNode, node: GangNode) -> bool:
    """Whether these are one start of a node's program."""
    # Of a job that was restored it is only known where its nodes listen.
    return known.run == node.run if known.run else (known.address, known.port) == (node.address, node.port)


def named(nodes: list[GangNode]) -> tuple[GangNode, ...]:
    """The nodes with short names, unless those are the same for two hosts; two on one host get a number."""
    short = [replace(node, name=hostlist.without_domain(node.name)) for node in nodes]
    names = Counter(node.name for node in short)
    longer = [node if names[node.name] == 1 else before for node, before in zip(short, nodes, strict=True)]
    names = Counter(node.name for node in longer)
    return tuple(
        node if names[node.name] == 1 else replace(node, name=f"{_bare(node.name)}-{node.number}")
        for node in longer
    )


def _bare(name: str) -> str:
    """Without full stops: launchers cut names at the first one."""
    return name.replace(".", "-").replace(":", "-")


def node_list(nodes: tuple[GangNode, ...]) -> str:
    """Their names in SLURM's short form, in their order."""
    return hostlist.in_order([node.name for node in nodes])


def answer(nodes: tuple[GangNode, ...]) -> dict[str, object]:
    """What each node is told when all are there."""
    listed = [
        {"number": node.number, "name": node.name, "address": node.address, "port": node.port}
        for node in nodes
    ]
    names = node_list(nodes)
    variables = {"SLURM_JOB_NODELIST": names, "SLURM_NODELIST": names}
    return {"nodes": listed, "variables": variables}
