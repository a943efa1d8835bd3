"""squeue's default table from lines that were shown before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.slurm import known_lines, squeue, squeue_fields, table
from airavata_mesos_plugin.slurm.entries import Entry
from airavata_mesos_plugin.slurm.known_lines import KnownLines

AddJob = Callable[..., JobRecord]
COLUMNS, _ = table.parse_format(squeue.DEFAULT_FORMAT, squeue_fields.LETTERS)
NOW = 1_795_364_400.0


def shown(lines: KnownLines, job: JobRecord, now: float, *indexes: int) -> str:
    entry = Entry(job, now, None, True, indexes)
    text = lines.render([entry], header=False)
    assert text == table.render(COLUMNS, [entry], header=False)
    return text


@pytest.mark.parametrize("phase", JobPhase)
def test_each_phase_as_without_memory(add_job: AddJob, phase: JobPhase) -> None:
    job = add_job(phase)
    lines = KnownLines(COLUMNS)
    for record in (job, job, replace(job, started_at=NOW), replace(job, started_at=NOW, ended_at=NOW + 5)):
        for now in (NOW + 7, NOW + 70):
            shown(lines, record, now)
    assert lines.render([], header=True) == table.render(COLUMNS, [], header=True)


def test_a_line_is_made_once_until_the_record_is_another(
    add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def line(columns: object, row: Entry) -> str:  # noqa: ARG001
        made.append(row.job.id)
        return f"{row.job.phase.value}\n"

    monkeypatch.setattr(table, "line", line)
    lines = KnownLines(COLUMNS)
    job = add_job(JobPhase.QUEUED)
    other = replace(job, phase=JobPhase.CANCELLED)
    texts = [lines.render([Entry(record, NOW, None)], header=False) for record in (job, job, other)]
    assert texts == ["queued\n", "queued\n", "cancelled\n"]
    assert made == [job.id, job.id]


def test_tasks_of_an_array_in_one_row(add_job: AddJob) -> None:
    job = replace(add_job(JobPhase.QUEUED), array_id=1, array_index=0)
    lines = KnownLines(COLUMNS)
    alone = shown(lines, job, NOW)
    assert shown(lines, job, NOW, 0, 1, 2) != alone
    assert shown(lines, job, NOW) == alone


def test_more_than_is_kept(add_job: AddJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_lines, "MOST_LINES", 2)
    lines = KnownLines(COLUMNS)
    jobs = [add_job(JobPhase.QUEUED) for _ in range(5)]
    entries = [Entry(job, NOW, None, True) for job in jobs]
    for _ in range(2):
        assert lines.render(entries, header=True) == table.render(COLUMNS, entries, header=True)
