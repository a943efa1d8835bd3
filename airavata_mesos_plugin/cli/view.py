"""How jobs look to people: tables where a terminal is there, plain lines otherwise."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table

from airavata_mesos_plugin.errors import InvalidRequest

Document = dict[str, Any]

WATCH_SECONDS = 2.0
"""Between two looks at what is watched."""

PHASES = ("accepted", "submitting", "queued", "running", "fetching")

STYLES = {
    "completed": "green",
    "failed": "red",
    "timeout": "red",
    "lost": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "fetching": "cyan",
}


def visible(text: object) -> str:
    """Text with control characters shown as escapes, so that a file name cannot drive the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def duration(seconds: float | None) -> str:
    """Seconds as people read them: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``5 h 2 min``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(seconds: float | None) -> str:
    """A time of day with its date, local."""
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def fetch_line(fetch: Document | None) -> str:
    """How far the outputs of a job have come, or how they came; empty when there is nothing to say."""
    if fetch is None:
        return ""
    progress = fetch.get("progress")
    if progress is not None:
        files = f"{progress['files']} of {progress['files_total']} files"
        return f"{files}, {decimal(progress['bytes'])} of {decimal(progress['bytes_total'])} have come"
    if fetch["trouble"]:
        return str(fetch["trouble"])
    parts = [f"{fetch['files']} files, {decimal(fetch['bytes'])} in {fetch['seconds']:.1f} s"]
    if fetch["left_out_count"]:
        parts.append(f"{fetch['left_out_count']} left out")
    if fetch["excluded"]:
        parts.append(f"{fetch['excluded']} excluded by patterns")
    return ", ".join(parts)


def print_left_out(fetch: Document | None) -> None:
    """The outputs that did not come with the others, and why."""
    if fetch is None:
        return
    left_out = fetch.get("left_out", [])
    if left_out:
        click.echo()
        print_table(["LEFT OUT", "WHY"], [[visible(name), visible(why)] for name, why in left_out])
    more = fetch.get("left_out_count", 0) - len(left_out)
    if more > 0:
        click.echo(f"and {more} more files were left out")
    if fetch.get("excluded"):
        click.echo(f"{fetch['excluded']} files are excluded by patterns")


def job_table(jobs: Sequence[Document], *, with_phases: bool = False) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of jobs."""
    head = ["ID", "NAME", "CLUSTER", "JOB KEY", "STATE", "EXIT"]
    head += [phase.upper() for phase in PHASES] if with_phases else ["USER", "ELAPSED", "REASON"]
    rows = []
    for job in jobs:
        row = [job["id"], job["name"], job["cluster"], job["job_key"], job["state"]]
        row.append("-" if job["exit_code"] is None else job["exit_code"])
        seconds = job["phase_seconds"]
        if with_phases:
            row += [duration(seconds.get(phase)) for phase in PHASES]
        else:
            row += [
                job["user"],
                duration(sum(seconds.values())),
                job["reason"] or fetch_line(job.get("fetch")),
            ]
        rows.append([visible(cell) for cell in row])
    return head, rows


def announced_table(announced: Sequence[Document]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of what Airavata was told of a job."""
    rows = [
        [
            channel["channel"],
            ", ".join(channel["told"]) or "-",
            moment(channel["told_at"]),
            ", ".join(channel["waiting"]) or "-",
            moment(channel["next_try_at"]),
            visible(channel["trouble"]) or "-",
        ]
        for channel in announced
    ]
    return ["CHANNEL", "AIRAVATA WAS TOLD", "LAST", "WAITING", "NEXT TRY", "TROUBLE"], rows


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout: drawn on a terminal, tab-separated lines elsewhere."""
    if not sys.stdout.isatty():
        for line in (head, *rows):
            click.echo("\t".join(line))
        return
    Console().print(_drawn(head, rows, title))


def _drawn(head: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> Table:
    table = Table(title=title or None, title_justify="left")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        style = next((STYLES[cell.lower()] for cell in row if cell.lower() in STYLES), None)
        table.add_row(*(cell.replace("[", r"\[") for cell in row), style=style)
    return table


def watch_table(look: Callable[[], tuple[list[str], list[list[str]]]]) -> None:
    """Draw a table again and again, in the same place, until Ctrl-C. Raises InvalidRequest on a pipe."""
    if not sys.stdout.isatty():
        raise InvalidRequest("there is no terminal to draw on", advice="without --watch it is printed once")
    with contextlib.suppress(KeyboardInterrupt), Live(_drawn(*look()), auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            live.update(_drawn(*look()), refresh=True)


def print_json(document: object) -> None:
    """A document for programs."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text):
        text = json.dumps(document, indent=2)  # names that are no UTF-8 can be written as escapes only
    click.echo(text)
