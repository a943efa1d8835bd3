"""Inputs that are added or replaced after the submission: the job's snapshot changes by their names only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from airavata_mesos_plugin.errors import StagingError
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.paths import escape


def with_files(before: Snapshot, now: Snapshot, names: Collection[str]) -> Snapshot:
    """``before`` with the files ``names``, and the directories that they are in, as they are in ``now``.

    Raises StagingError for a name that ``now`` does not have.
    """
    wanted = set(names)
    fresh = {file.name: file for file in now.files if file.name in wanted}
    missing = sorted(wanted - fresh.keys())
    if missing:
        raise StagingError(f"{escape(missing[0])} is no file of the working directory")
    above = {name[:position] for name in wanted for position, letter in enumerate(name) if letter == "/"}
    known = {directory.name for directory in before.directories}
    return replace(
        before,
        taken_at=now.taken_at,
        files=(*(file for file in before.files if file.name not in wanted), *fresh.values()),
        directories=(
            *before.directories,
            *(item for item in now.directories if item.name in above and item.name not in known),
        ),
        links=tuple(link for link in before.links if link.name not in wanted),
        left_out=tuple(pair for pair in before.left_out if pair[0] not in wanted),
    )
