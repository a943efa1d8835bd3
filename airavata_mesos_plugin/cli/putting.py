"""The command put: inputs for a job that waits, or that will be started again."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click

from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.cli.files import work_as
from airavata_mesos_plugin.cli.logs import say
from airavata_mesos_plugin.cli.options import job_id
from airavata_mesos_plugin.cli.taking import opened_root, placed
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.sandbox.paths import components, escape


@click.command()
@job_id
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(dir_okay=False))
@click.pass_obj
def put(context: Context, job_id: int, paths: tuple[str, ...]) -> None:
    """Add inputs to a job, or replace them: for a job that waits, or one that is over and is started again.

    Files named by relative paths keep their directories, others get their names only. They go into the
    job's working directory.
    """
    daemon = context.daemon
    job = daemon.ask("show", str(job_id))
    with ExitStack() as opened:
        files = {_name(path): opened.enter_context(_open(path)) for path in paths}
        begun = daemon.ask("put-begin", str(job_id))
        release = "release" if begun["held"] else "keep"
        try:
            work_as(job["request"]["uid"])
            with opened_root(job["working_directory"], make=False) as root:
                for name, source in files.items():
                    mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode) & 0o777
                    with placed(root, name, mode) as target:
                        shutil.copyfileobj(source, target)
        except BaseException:
            if not begun["over"]:
                say(f"job {job_id} stays held; put the files again, and then: scontrol release {job_id}")
            raise
        daemon.ask("put-end", str(job_id), release, *files)
    for name in files:
        click.echo(f"job {job_id}: {escape(name)} {'is there' if begun['over'] else 'is among its inputs'}")
    if begun["over"]:
        say(f"job {job_id} is over; scontrol requeue {job_id} starts it again, with what is there then")


def _name(path: str) -> str:
    """The name below the working directory."""
    parts = Path(path).parts
    name = parts[-1] if Path(path).is_absolute() or ".." in parts else "/".join(parts)
    components(name)
    return name


def _open(path: str) -> BinaryIO:
    try:
        source = open(path, "rb")  # noqa: PTH123, SIM115 - the caller's exit stack closes it
    except OSError as error:
        raise InvalidRequest(f"cannot read {escape(path)}: {error.strerror}") from error
    return source
