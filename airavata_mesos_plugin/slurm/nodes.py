"""How nodes look to SLURM's commands. A node is what a Mesos agent is; partitions of a cluster share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from airavata_mesos_plugin.schedulers.base import Node

LONG_STATES = {"idle": "idle", "mix": "mixed", "alloc": "allocated", "down*": "down*", "n/a": "n/a"}
"""sinfo's short words for states of nodes and the long ones, in its order."""

NAMES_OF_STATES: dict[str, tuple[str, ...]] = {
    "unknown": (),
    "down": ("down*",),
    "idle": ("idle",),
    "alloc": ("alloc",),
    "allocated": ("alloc",),
    "mix": ("mix",),
    "mixed": ("mix",),
    "no_respond": ("down*",),
    "all": ("idle", "mix", "alloc", "down*"),
}
for _word in (
    *("blocked", "cloud", "comp", "completing", "drain", "drained", "draining", "drng", "fail", "failing"),
    *("future", "inval", "maint", "perfctrs", "planned", "power_down", "powered_down", "powering_down"),
    *("powering_up", "reboot", "reboot^", "reserved", "resv"),
):
    NAMES_OF_STATES[_word] = ()  # nodes are never like this here
"""What ``sinfo -t`` takes, and which states of nodes that means here."""


def state(node: Node) -> str:
    """sinfo's short word."""
    if not node.active:
        return "down*"
    if node.used.cpus <= 0:
        return "idle"
    return "alloc" if node.used.cpus >= node.total.cpus else "mix"


def counts(nodes: Sequence[Node]) -> tuple[int, int, int, int]:
    """Nodes with jobs, idle ones, others, all."""
    states = [state(node) for node in nodes]
    busy = sum(word in ("alloc", "mix") for word in states)
    return busy, states.count("idle"), states.count("down*"), len(states)


def cpus(nodes: Sequence[Node]) -> str:
    """CPUs that are taken, free, out of reach, and all."""
    up = [node for node in nodes if node.active]
    allocated = sum(min(node.used.cpus, node.total.cpus) for node in up)
    total = sum(node.total.cpus for node in nodes)
    idle = sum(node.total.cpus for node in up) - allocated
    return "/".join(f"{amount:g}" for amount in (allocated, idle, total - allocated - idle, total))


def least(nodes: Sequence[Node], amount: Callable[[Node], float]) -> str:
    """The smallest amount, with a plus sign when others have more."""
    amounts = sorted({amount(node) for node in nodes})
    if not amounts:
        return "0"
    return f"{int(amounts[0])}{'+' if len(amounts) > 1 else ''}"


def gres(nodes: Sequence[Node]) -> str:
    """The GPUs of the nodes."""
    number = min((node.total.gpus for node in nodes), default=0)
    return f"gpu:{number}" if number else "(null)"
