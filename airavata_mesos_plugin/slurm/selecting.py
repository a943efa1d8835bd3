"""Which jobs a command means: lists of ids with tasks of arrays, of users and of states."""

from __future__ import annotations

import pwd
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.jobs import JobPhase, JobRecord, array_indexes
from airavata_mesos_plugin.slurm import values, view
from airavata_mesos_plugin.slurm.session import JobProvider
from airavata_mesos_plugin.store import JobSelection

LARGEST_ID = 2**31 - 1
"""SLURM's ids are below this; larger ones are unknown without asking."""

_JOB = re.compile(
    r"([0-9]+)(?:_([0-9]{1,9}|\[[0-9,:\-]{1,4096}(?:%[0-9]{1,9})?\]|\*))?(?:\.([0-9a-z]+))?", re.ASCII
)
_LIST = re.compile(r"(?:[^,\[]|\[[^\]]*\]?)+")


@dataclass(frozen=True)
class JobName:
    """A job as somebody typed it. ``indexes`` is None for the whole of an array."""

    id: int
    indexes: frozenset[int] | None = None
    step: str = ""
    text: str = ""

    def means(self, job: JobRecord) -> bool:
        """True when the job is meant: by its own id, or as a task of the array."""
        if self.indexes is None:
            return self.id in (job.id, job.array_id)
        return job.array_id == self.id and job.array_index in self.indexes


def job_name(text: str) -> JobName | None:
    """What ``12``, ``12_3``, ``12_[1-3,5]``, ``12_*`` or ``12_3.batch`` means; None for all else."""
    match = _JOB.fullmatch(text)
    if match is None or not 0 < len(digits := match[1].lstrip("0")) <= 18:
        return None
    indexes: frozenset[int] | None = None
    if match[2] and match[2] != "*":
        try:
            indexes = frozenset(array_indexes(match[2].strip("[]").partition("%")[0]))
        except ValueError:
            return None
    return JobName(int(digits), indexes, match[3] or "", text)


def split(text: str) -> list[str]:
    """The entries of a list of jobs: commas inside of brackets do not part them."""
    return [entry for entry in (part.strip() for part in _LIST.findall(text)) if entry]


def family(provider: JobProvider, ids: Iterable[int], others: JobSelection | None = None) -> list[JobRecord]:
    """The jobs with these ids and all tasks of the arrays with these ids, newest first, if they fit."""
    asked = frozenset(number for number in ids if number <= LARGEST_ID)
    return provider.jobs(replace(others or JobSelection(), families=asked)) if asked else []


def find(
    provider: JobProvider, names: Sequence[JobName], others: JobSelection | None = None
) -> list[JobRecord]:
    """The jobs that these names mean, newest first, as far as they fit the other conditions."""
    jobs = family(provider, {name.id for name in names}, others)
    if all(name.indexes is None for name in names):
        return jobs
    by_id: dict[int, list[JobName]] = {}
    for name in names:
        by_id.setdefault(name.id, []).append(name)
    return [
        job
        for job in jobs
        if any(name.means(job) for name in (*by_id.get(job.id, ()), *by_id.get(job.array_id or 0, ())))
    ]


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


def on_nodes(text: str) -> Callable[[JobRecord], bool]:
    """Whether a job has one of the nodes of a list such as ``node[1-3],other``.

    A node goes by its name in full, which sinfo shows, and by its name without the domain, which nodes of
    parallel jobs have.
    """
    wanted = frozenset(hostlist.expand(text))
    bare = frozenset(hostlist.without_domain(name) for name in wanted)

    def has(job: JobRecord) -> bool:
        return any(
            name in wanted or name in bare or hostlist.without_domain(name) in wanted
            for name in job.node_names
        )

    return has


def states(text: str) -> frozenset[JobPhase]:
    """The phases of a list of states; ``all`` is every one. Raises `view.UnknownState`."""
    found: set[JobPhase] = set()
    for entry in values.parse_list(text):
        found.update(frozenset(JobPhase) if entry.upper() == "ALL" else view.phases_of(entry))
    return frozenset(found)
