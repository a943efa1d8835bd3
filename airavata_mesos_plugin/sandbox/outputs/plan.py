"""What of a listing is to be fetched, in what order, and what is left out for which reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.outputs.changes import Changes
from airavata_mesos_plugin.sandbox.outputs.links import InnerLink, inner_links
from airavata_mesos_plugin.sandbox.outputs.listing import Listing
from airavata_mesos_plugin.sandbox.outputs.placing import RESUMABLE_BYTES, Place
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.sandbox.source import Entry, Source

SPARE_BYTES = 64 * 1024 * 1024
"""What a fetch leaves free in the working directory's file system, for everybody else."""


@dataclass
class Plan:
    """What a fetch is going to do."""

    files: list[Entry] = field(default_factory=list)  # the largest first
    offsets: dict[str, int] = field(default_factory=dict)  # of files that an earlier try has begun
    directories: list[Entry] = field(default_factory=list)
    links: list[InnerLink] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    excluded: int = 0  # files that the patterns exclude
    present: int = 0  # files that an earlier try has brought
    present_bytes: int = 0
    no_room: list[Entry] = field(default_factory=list)  # those that do not fit on the disk now
    size: int = 0  # bytes of all files that are wanted, also of those that are there
    has_nodes: bool = False  # something of it has the name that is for the outputs of other nodes

    @property
    def bytes(self) -> int:
        """How many bytes have to come."""
        return sum(entry.size for entry in self.files) - sum(self.offsets.values())


def make(listing: Listing, changes: Changes, rules: OutputRules, place: Place, source: Source) -> Plan:
    """The plan for what is new or changed. Raises TransferError when the disk cannot be looked at."""
    plan = Plan(left_out=list(listing.left_out))
    wanted = changes.wanted(listing.files, listing.directories)
    chosen = rules.choose(wanted.files, plan.left_out)
    plan.excluded = len(wanted.files) - len(chosen) - (len(plan.left_out) - len(listing.left_out))
    plan.directories = [entry for entry in wanted.directories if rules.takes_directory(entry.name)]
    kept, refused = inner_links(listing)
    plan.left_out += refused
    plan.links = [
        link for link in kept if rules.takes(link.entry.name) and not changes.is_same_link(link.entry)
    ]
    plan.size = sum(entry.size for entry in chosen)
    plan.has_nodes = any(
        entry.name.partition("/")[0] == layout.NODES
        for entries in (chosen, plan.directories, [link.entry for link in plan.links])
        for entry in entries
    )
    missing = []
    for entry in chosen:
        if place.has(entry):
            plan.present += 1
            plan.present_bytes += entry.size
        else:
            missing.append(entry)
    _resume(plan, missing, place, source)
    place.remove_parts(frozenset(plan.offsets))
    plan.files = _fitting(plan, missing, place.free_bytes(), rules.essential)
    return plan


def _resume(plan: Plan, missing: list[Entry], place: Place, source: Source) -> None:
    for entry in missing:
        if entry.size >= RESUMABLE_BYTES:
            offset = place.begun(entry)
            if offset and source.resumes(entry.size, offset):
                plan.offsets[entry.name] = offset


def _fitting(plan: Plan, missing: list[Entry], free: int, essential: Collection[str]) -> list[Entry]:
    """Those that the disk has room for, the largest first; the others are noted in the plan.

    Small ones have precedence, so that as many as possible come.
    """
    # A fetch ends sooner when its last file is not a large one on a single connection.
    by_size = sorted(missing, key=lambda entry: -entry.size)
    need = sum(entry.size - plan.offsets.get(entry.name, 0) for entry in by_size)
    room = max(0, free - SPARE_BYTES)
    if need <= room:
        return by_size
    fitting = []
    for entry in sorted(by_size, key=lambda entry: (entry.name not in essential, entry.size)):
        size = entry.size - plan.offsets.get(entry.name, 0)
        if size <= room:
            room -= size
            fitting.append(entry)
        else:
            plan.no_room.append(entry)
    return fitting[::-1]
