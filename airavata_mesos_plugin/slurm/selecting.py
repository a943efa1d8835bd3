"""Filters that squeue, scancel and sacct share: lists of ids, users and states."""

from __future__ import annotations

import pwd
import re

from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.slurm import values, view
from airavata_mesos_plugin.slurm.session import JobProvider
from airavata_mesos_plugin.store import JobSelection

LARGEST_ID = 2**31 - 1
"""SLURM's ids are below this; larger ones are unknown without asking."""

_JOB = re.compile(r"([0-9]+)(_(?:[0-9]+|\[[0-9,\-:%]*\]|\*))?(\.[0-9a-z]+)?", re.ASCII)


def job_id(text: str) -> tuple[int, str] | None:
    """The id at the head of ``12``, ``12_3``, ``12.0`` and what follows it; None for anything else."""
    match = _JOB.fullmatch(text)
    if match is None or len(match[1].lstrip("0")) > 18 or int(match[1]) == 0:
        return None
    return int(match[1]), (match[2] or "") + (match[3] or "")


def known(provider: JobProvider, ids: frozenset[int], others: JobSelection | None = None) -> list[JobRecord]:
    """The jobs with these ids, newest first, that also fit the other conditions."""
    asked = frozenset(number for number in ids if number <= LARGEST_ID)
    if not asked:
        return []
    base = others or JobSelection()
    return provider.jobs(
        JobSelection(
            ids=asked,
            names=base.names,
            users=base.users,
            queues=base.queues,
            phases=base.phases,
            limit=base.limit,
        )
    )


def users(provider: JobProvider, text: str, caller: str) -> tuple[frozenset[str], list[str]]:
    """The user names of a list of names and user ids, and those entries that are nobody's.

    A name is good when the machine knows it, or when a job in the ledger has it.
    """
    names: set[str] = set()
    unknown: list[str] = []
    for entry in values.parse_list(text):
        name = _user(entry)
        if name is None and (
            entry == caller or provider.jobs(JobSelection(users=frozenset({entry}), limit=1))
        ):
            name = entry
        if name is None:
            unknown.append(entry)
        else:
            names.add(name)
    return frozenset(names), unknown


def _user(entry: str) -> str | None:
    try:
        if entry.isascii() and entry.isdigit():
            return pwd.getpwuid(int(entry)).pw_name
        return pwd.getpwnam(entry).pw_name
    except (KeyError, OverflowError, ValueError):
        return None


def states(text: str) -> frozenset[JobPhase]:
    """The phases of a list of states; ``all`` is every one. Raises `view.UnknownState`."""
    found: set[JobPhase] = set()
    for entry in values.parse_list(text):
        found.update(frozenset(JobPhase) if entry.upper() == "ALL" else view.phases_of(entry))
    return frozenset(found)
