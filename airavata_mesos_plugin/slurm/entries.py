"""Rows of squeue: jobs, and the waiting tasks of an array as one row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo

from airavata_mesos_plugin.jobs import JobRecord, array_text
from airavata_mesos_plugin.slurm import view

_LONGEST_LIST = 64
"""Characters of the indexes of waiting tasks; SLURM 22.05 cuts there."""


@dataclass(frozen=True)
class Entry:
    """One row. With ``indexes`` it stands for several waiting tasks, of which ``job`` is the first."""

    job: JobRecord
    now: float
    zone: tzinfo | None
    one_word: bool = False  # a name must not look like several columns
    indexes: tuple[int, ...] = ()
    date_format: str = view.DATE_FORMAT

    @property
    def id(self) -> int:
        """The job's own id; that of the array for several tasks."""
        return self.job.array_id if self.indexes and self.job.array_id is not None else self.job.id

    def label(self) -> str:
        """The id as squeue shows it: ``12``, ``12_3``, ``12_[4-9%2]``."""
        if not self.indexes:
            return view.label(self.job)
        return f"{self.job.array_id}_[{self.tasks()}]"

    def tasks(self) -> str:
        """The index, or the indexes with the array's limit."""
        if not self.indexes:
            return "N/A" if self.job.array_index is None else str(self.job.array_index)
        text = array_text(self.indexes)
        if len(text) > _LONGEST_LIST:
            text = text[: text.rfind(",", 0, _LONGEST_LIST) + 1] + "..."
        limit = self.job.request.array_limit
        return f"{text}%{limit}" if limit else text

    def name(self) -> str:
        """The job's name."""
        name = self.job.request.name
        return ("_".join(name.split()) or "(null)") if self.one_word else name

    def date(self, seconds: float | None) -> str:
        """A date, or N/A."""
        return "N/A" if seconds is None else view.date(seconds, self.zone, self.date_format)


def merged(entries: Iterable[Entry], alone: frozenset[int] = frozenset()) -> list[Entry]:
    """The same with the waiting tasks of each array in one row, where the first of them stood.

    Tasks of the arrays ``alone``, of which only one was asked for, keep a row of their own.
    """
    groups: dict[int, list[Entry]] = {}
    order: list[Entry | int] = []
    for entry in entries:
        array = entry.job.array_id
        if array is None or array in alone or view.word(entry.job) != "PENDING":
            order.append(entry)
        elif array in groups:
            groups[array].append(entry)
        else:
            groups[array] = [entry]
            order.append(array)
    return [_one(groups[item]) if isinstance(item, int) else item for item in order]


def _one(tasks: list[Entry]) -> Entry:
    tasks = sorted(tasks, key=lambda entry: entry.job.array_index or 0)
    first = tasks[0]
    return Entry(
        first.job,
        first.now,
        first.zone,
        first.one_word,
        tuple(entry.job.array_index or 0 for entry in tasks),
        first.date_format,
    )
