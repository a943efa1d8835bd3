"""Checks of masters and agents that every diagnosis of a Mesos cluster has."""

from __future__ import annotations

from collections.abc import Callable

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.schedulers.base import Check
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster
from airavata_mesos_plugin.schedulers.retry import Deadline


def guarded(subject: str, look: Callable[[], str]) -> Check:
    """What ``look`` tells, or why it could not."""
    try:
        return Check(subject, True, look())
    except AiravataMesosError as error:
        return Check(subject, False, str(error))


def master_line(master: MesosMaster, address: str, clock: Clock, deadline: Deadline) -> str:
    """Whether the master at an address leads, its version, and how long it took to say so.

    Raises as `MesosMaster.get_one`.
    """
    before = clock.monotonic()
    _, version = master.get_one(address, "/version", deadline)
    took = (clock.monotonic() - before) * 1000
    url, _ = master.get_one(address, "/slaves", deadline)
    role = "leads" if url.startswith(f"{address}/") else f"stands by, {url.removesuffix('/slaves')} leads"
    return f"{role}, version {version.get('version', 'unknown')}, {took:.0f} ms"


def agents_check(master: MesosMaster) -> Check:
    """How many agents there are, and what they have in all. Raises nothing."""
    try:
        nodes = [node for node in master.nodes() if node.active]
    except AiravataMesosError as error:
        return Check("Mesos agents", False, str(error))
    if not nodes:
        return Check("Mesos agents", False, "no active agent has registered; start agents")
    cpus = sum(node.total.cpus for node in nodes)
    memory = sum(node.total.memory_mb for node in nodes)
    return Check("Mesos agents", True, f"{len(nodes)} active, {cpus:g} CPUs, {memory} MiB in all")
