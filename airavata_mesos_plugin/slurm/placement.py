"""Which nodes a job may have: ``-C``, ``-w`` and ``-x`` of sbatch, as constraints on attributes of agents.

A node has the feature ``name=value`` when its agent has that attribute, and the feature ``word`` when its
attribute ``feature`` has that value: ``--attributes=feature:highmem;rack:r1`` of a Mesos agent. Constraints
have the form of Aurora's command line; the attribute ``host`` is the name of the agent's host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm.request import FAILED, NO_SUCH_NODE
from airavata_mesos_plugin.slurm.session import CommandFailed

FEATURE, HOST = "feature", "host"

MOST_NODES = 1000
"""In one list of nodes."""

_WORD = re.compile(r"(?:([A-Za-z0-9_.\-]+)=)?([A-Za-z0-9_.:/\-]+)", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_.:\-]+", re.ASCII)

Constraints = tuple[tuple[str, str], ...]


def constraints(
    texts: Mapping[str, str], of_queue: Mapping[str, str], nodes: Sequence[Node], count: int
) -> Constraints:
    """The constraints that the options make beside those of the queue, for a job on ``count`` nodes.

    Raises CommandFailed for what cannot be kept, and for a node that is not there when any is known.
    """
    found = _features(texts["constraint"]) if texts.get("constraint") else {}
    wanted = _hosts(texts["nodelist"]) if texts.get("nodelist") else []
    unwanted = _hosts(texts["exclude"]) if texts.get("exclude") else []
    names = {node.name for node in nodes}
    for name in (*wanted, *unwanted):
        if names and name not in names:
            raise _no_node(f"no node is called {name}; sinfo -N lists them")
    if len(wanted) > count:
        raise _no_node(f"{len(wanted)} nodes were named for a job on {count}; ask for them with -N")
    if set(wanted) & set(unwanted):
        raise _no_node("a node stands in -w and in -x")
    if wanted and len(wanted) < count:
        raise _no_node(f"all {count} nodes of a job have to be named, or none")
    if wanted or unwanted:
        found[HOST] = ",".join(wanted) if wanted else f"!{','.join(unwanted)}"
    if names and names <= set(unwanted):
        raise CommandFailed(NO_SUCH_NODE, "sbatch: error: -x leaves no node; exclude fewer")
    # Of an attribute that an agent has more than once its master shows one value only, so values say nothing.
    for name in found:
        if name != HOST and nodes and not any(name in node.attributes for node in nodes):
            raise _no_feature(f"no node has the attribute {name}")
    for name in found:
        if name in of_queue:
            raise _no_feature(f"the partition decides on {name}={of_queue[name]} by itself; leave it out")
    return tuple(sorted(found.items()))


def shown_features(places: Constraints) -> str:
    """The features that a job wants, in the form of ``-C``; empty when it wants none."""
    words = []
    for name, text in places:
        if name != HOST:
            prefix = "" if name == FEATURE else f"{name}="
            words.append("|".join(prefix + value for value in text.split(",")))
    return "&".join(words)


def shown_hosts(places: Constraints, *, excluded: bool = False) -> str:
    """The nodes that a job has to have, or those that it must not have; empty when it does not say."""
    for name, text in places:
        if name == HOST and text.startswith("!") == excluded:
            return hostlist.short(text.removeprefix("!").split(","))
    return ""


def _features(text: str) -> dict[str, str]:
    """``a&b`` all of them, ``a|b`` one of them; what is joined by ``|`` has to be of one attribute."""
    found: dict[str, str] = {}
    for part in text.split("&"):
        matches = [_WORD.fullmatch(word.strip()) for word in part.split("|")]
        pairs = [(match[1] or FEATURE, match[2]) for match in matches if match is not None]
        attributes = {name for name, _ in pairs}
        if len(pairs) < len(matches) or len(attributes) != 1:
            raise _no_feature("give features as WORD or NAME=VALUE, joined by & for all or | for one of them")
        (name,) = attributes
        if name in found:
            raise _no_feature(f"only one condition on {name} can be kept; join its values by |")
        found[name] = ",".join(value for _, value in pairs)
    return found


def _hosts(text: str) -> list[str]:
    """The names of a list such as ``a,node[1-3,07]``, each once."""
    names = list(dict.fromkeys(hostlist.expand(text)))
    if not names or not all(_HOST.fullmatch(name) for name in names):
        raise _no_node(f"{text!r} is not a list of nodes such as a,node[1-3]")
    if len(names) > MOST_NODES:
        raise _no_node(f"{text!r} names more than {MOST_NODES} nodes")
    return names


def _no_node(advice: str) -> CommandFailed:
    return CommandFailed(f"{FAILED}Invalid node name specified", f"sbatch: error: {advice}")


def _no_feature(advice: str) -> CommandFailed:
    return CommandFailed(f"{FAILED}Invalid feature specification", f"sbatch: error: {advice}")
