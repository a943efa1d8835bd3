"""The demonstration: three jobs go the whole road on an embedded minicluster, called as Airavata calls."""

from __future__ import annotations

import getpass
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.airavata_caller import FINAL_LETTERS, LETTERS, Caller, job_script
from airavata_mesos_plugin.cli.status_proxy import status_proxy
from airavata_mesos_plugin.errors import AiravataMesosError, ServiceUnavailable
from airavata_mesos_plugin.service.client import DaemonClient
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.slurm.install import install

_Handler = Callable[[int, FrameType | None], object] | signal.Handlers

LONGEST_JOB_SECONDS = 60.0
LONGEST_TELLING_SECONDS = 30.0
POLL_SECONDS = 0.2

APPLICATION = """#!/bin/bash
# Usage: wordcount.sh INPUT SECONDS EXIT_CODE
echo "counting the words of $1 on $(hostname)"
echo "this line goes to stderr" >&2
wc -w < "$1" > words.txt
sleep "$2"
echo "done"
exit "$3"
"""
INPUT = "Researchers pick an application and a compute resource.\n"


@dataclass(frozen=True)
class Scenario:
    """One job of the demonstration, and how it must end."""

    title: str
    seconds: float
    exit_code: int
    cancel: bool
    letters: str
    files: frozenset[str]
    told: str  # the last thing that Airavata must have been told


OUTPUTS = frozenset({"WordCount.stdout", "WordCount.stderr", "words.txt"})

SCENARIOS = (
    Scenario("a job that succeeds", 2, 0, False, "CD", OUTPUTS, "COMPLETED"),
    Scenario("a job that fails with exit code 3", 1, 3, False, "F", OUTPUTS, "FAILED"),
    Scenario("a job that is cancelled while it runs", 300, 0, True, "CA", OUTPUTS, "CANCELED"),
)


@click.command()
@click.option("--keep", is_flag=True, help="Keep the directory of the demonstration.")
def demo(keep: bool) -> None:
    """Run three jobs on an embedded minicluster, as Airavata would run them."""
    _on_ending_signals(signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="airavata-mesos-demo-"))
    try:
        good = _demonstrate(directory)
    finally:
        _on_ending_signals(signal.SIG_IGN)  # a second Ctrl-C must not leave half of it
        if keep:
            click.echo(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    sys.exit(0 if good else 1)


def _demonstrate(directory: Path) -> bool:
    home = Home(directory / "home")
    application = directory / "wordcount.sh"
    application.write_text(APPLICATION)
    application.chmod(0o755)
    with status_proxy() as heard, _daemon(home):
        commands = directory / "bin"
        install(commands, home.socket)
        caller = Caller(commands, getpass.getuser())
        client = DaemonClient(home.socket)
        jobs = []
        problems = []
        for scenario in SCENARIOS:
            work = directory / "scratch" / f"PROCESS_{uuid.uuid4()}"
            job = _run(scenario, work, application, caller, client, heard.endpoint)
            jobs.append(job)
            problems += _judge(scenario, job)
        click.echo("== Airavata is told")
        ends = {str(job["name"]): scenario.told for job, scenario in zip(jobs, SCENARIOS, strict=True)}
        if not heard.wait_for(ends, LONGEST_TELLING_SECONDS):
            problems.append("Airavata was not told how all jobs ended")
        for job in jobs:
            click.echo(f"job {job['id']}: {', '.join(heard.of(str(job['name'])))}")
    click.echo()
    view.print_table(*view.job_table(jobs, with_phases=True))
    click.echo()
    rows = [
        [str(job["id"]), view.visible(path.name), str(path.stat().st_size)]
        for job in jobs
        for path in sorted(Path(job["working_directory"]).iterdir())
    ]
    view.print_table(["JOB", "FILE", "BYTES"], rows)
    for problem in problems:
        click.echo(f"WRONG: {problem}", err=True)
    return not problems


def _run(
    scenario: Scenario, work: Path, application: Path, caller: Caller, client: DaemonClient, endpoint: str
) -> view.Document:
    click.echo(f"== {scenario.title}")
    work.mkdir(parents=True)
    (work / "input.txt").write_text(INPUT)
    chance = random.SystemRandom()
    job_name = f"A{chance.randint(10**8, 10**10 - 1)}"
    script = work / f"job_{chance.randint(0, 2**31 - 1)}.slurm"
    command = f"{application} input.txt {scenario.seconds} {scenario.exit_code} "
    script.write_text(job_script(work, job_name, "WordCount", command, endpoint))
    job_id = caller.submit(work, script, job_name)
    if not job_id:
        raise ServiceUnavailable("sbatch gave no job id; its message is above")
    click.echo(f"Submitted batch job {job_id} ({job_name})")
    begin = time.monotonic()
    cancelled = False
    with _progress() as show:
        while True:
            letters = caller.state_letters(job_id)
            job: view.Document = client.ask("show", job_id)
            elapsed = time.monotonic() - begin
            show(f"job {job_id}  {job['phase']:<10}  Airavata: {LETTERS.get(letters, '?'):<9}", elapsed)
            if letters in FINAL_LETTERS:
                return job
            if elapsed > LONGEST_JOB_SECONDS:
                raise AiravataMesosError(f"job {job_id} is still {job['phase']} after {elapsed:.0f} s")
            if scenario.cancel and letters == "R" and not cancelled and elapsed > 1:
                caller.cancel(job_id)
                cancelled = True
            time.sleep(POLL_SECONDS)


def _judge(scenario: Scenario, job: view.Document) -> list[str]:
    """What is not as it must be, in words."""
    state = {"CD": "COMPLETED", "F": "FAILED", "CA": "CANCELLED"}[scenario.letters]
    there = {path.name for path in Path(job["working_directory"]).iterdir()}
    problems = []
    if job["state"] != state:
        problems.append(f"job {job['id']} is {job['state']} and not {state}: {job['reason']}")
    if not scenario.cancel and job["exit_code"] != scenario.exit_code:
        problems.append(f"job {job['id']} has exit code {job['exit_code']} and not {scenario.exit_code}")
    if missing := scenario.files - there:
        problems.append(f"job {job['id']}: no {', '.join(sorted(missing))} in the working directory")
    return problems


def _on_ending_signals(handler: _Handler) -> None:
    """What Ctrl-C, a polite kill and a closed terminal do from now on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


@contextmanager
def _daemon(home: Home) -> Iterator[None]:
    """A provider daemon with an embedded minicluster, until the end of the block."""
    command = [sys.executable, "-m", "airavata_mesos_plugin.cli", "--home", str(home.directory)]
    process = subprocess.Popen(
        [*command, "serve", "--embedded", "--exit-with-parent"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the demonstration, which ends the daemon in order
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise ServiceUnavailable("the provider daemon did not start; its message is above")
        ready = json.loads(line)
        click.echo(f"daemon and minicluster are up (pid {ready['pid']})")
        yield
    finally:
        _on_ending_signals(signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()
        _on_ending_signals(signal.default_int_handler)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A live line on a terminal; elsewhere a line for each change."""
    if sys.stdout.isatty():
        with Live(console=Console(), refresh_per_second=8) as live:
            yield lambda text, seconds: live.update(Text(f"{text}  {seconds:5.1f} s"))
        return
    last = ""

    def lines(text: str, seconds: float) -> None:
        nonlocal last
        if text != last:
            click.echo(f"{text}  {seconds:5.1f} s")
            last = text

    yield lines
