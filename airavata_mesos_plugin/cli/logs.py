"""The command logs: what a job writes, byte by byte."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

import click

from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.cli.options import job_id
from airavata_mesos_plugin.cli.view import visible
from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, ServiceUnavailable
from airavata_mesos_plugin.service.client import DaemonClient, Followed

POLL_SECONDS = 0.5
"""Between two looks at a file that is followed."""

PATIENCE_SECONDS = 600.0
"""How long the provider may be away while a file is followed."""


@click.command()
@job_id
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is over.")
@click.option("--stderr", "errors", is_flag=True, help="Standard error instead of standard output.")
@click.option("--file", "name", metavar="NAME", help="Any file of the working directory instead.")
@click.option("--process", metavar="NAME", help="What a process of the task wrote, such as stage_in.")
@click.option("--run", type=click.IntRange(min=0), help="Which run of the process; the last by default.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Only the last lines.")
@click.option("-c", "--bytes", "size", type=click.IntRange(min=0), help="Only the last bytes.")
@click.pass_obj
def logs(
    context: Context,
    job_id: int,
    follow: bool,
    errors: bool,
    name: str | None,
    process: str | None,
    run: int | None,
    lines: int | None,
    size: int | None,
) -> None:
    """Print what a job writes: from its sandbox while it runs, from its working directory afterwards.

    Every byte comes once, also when the log is rotated. What else is to be known is said on stderr.
    """
    if (name is not None) + (process is not None) > 1 or (lines is not None) + (size is not None) > 1:
        raise click.UsageError("Give one of --file and --process, and one of -n and -c.")
    if run is not None and process is None:
        raise click.UsageError("--run goes with --process.")
    job = context.daemon.ask("show", str(job_id))
    follower = Follower(context.daemon, job_id, stay=follow)
    start = {} if lines is None else {"lines": lines}
    start.update({} if size is None else {"last_bytes": size})
    try:
        if process is None:
            wanted = name or job["stderr_file" if errors else "stdout_file"]
            follower.copy(wanted, json.dumps(start) if start else "")
        else:
            _process_logs(follower, process, "stderr" if errors else "stdout", run, start)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Follower:
    """Copies files of one job to stdout."""

    def __init__(self, daemon: DaemonClient, job_id: int, *, stay: bool) -> None:
        """``stay``: wait for more until the job is over."""
        self._daemon = daemon
        self._job_id = job_id
        self.stay = stay
        self._trouble = ""

    def copy(self, name: str, cursor: str) -> None:
        """All of a file, from ``cursor`` on."""
        for _ in self.looks(name, cursor):
            if not self.stay:
                return
            time.sleep(POLL_SECONDS)

    def looks(self, name: str, cursor: str) -> Iterator[None]:
        """The same; gives a turn whenever there is nothing new for now."""
        while True:
            found = self._await_daemon(name, cursor)
            for note in found.notes:
                say(note)
            sys.stdout.buffer.write(found.data)
            sys.stdout.buffer.flush()
            cursor = found.cursor
            if found.trouble and not self.stay:
                raise AiravataMesosError(found.trouble)
            if found.trouble and found.trouble != self._trouble:
                say(f"{found.trouble}; trying again")
            self._trouble = found.trouble
            if found.over:
                return
            if not found.data and not found.notes:
                yield

    def runs(self, process: str) -> list[int]:
        """Which runs of a process have written logs so far."""
        try:
            listing = self._daemon.ask("list", str(self._job_id), f".logs/{process}")
        except (NotFound, ServiceUnavailable):
            return []
        names = [entry["name"] for entry in listing["entries"] if entry["kind"] == "d"]
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    def _await_daemon(self, name: str, cursor: str) -> Followed:
        begun = time.monotonic()
        told = False
        while True:
            try:
                found = self._daemon.follow(self._job_id, name, cursor)
            except ServiceUnavailable as error:
                if not self.stay or time.monotonic() - begun > PATIENCE_SECONDS:
                    raise
                if not told:
                    say(f"{error.message}; waiting for it")
                told = True
                time.sleep(POLL_SECONDS)
            else:
                return found


def _process_logs(
    follower: Follower, process: str, stream: str, run: int | None, start: dict[str, int]
) -> None:
    """What the last run of a process writes, and then its next runs."""
    current = max(follower.runs(process), default=0) if run is None else run
    cursor = json.dumps(start) if start else ""
    while True:
        begun = False
        for _ in follower.looks(f".logs/{process}/{current}/{stream}", cursor):
            if begun or not follower.stay:
                break
            # One more look: the run before may have written something since the last.
            begun = run is None and current + 1 in follower.runs(process)
            if not begun:
                time.sleep(POLL_SECONDS)
        else:
            begun = run is None and current + 1 in follower.runs(process)
        if not begun:
            return
        current, cursor = current + 1, ""
        say(f"the process {process} was started again; what follows is of its run {current}")


def say(text: str) -> None:
    """Something to know, beside the bytes."""
    click.echo(f"airavata-mesos: {visible(text)}", err=True)
