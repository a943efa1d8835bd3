"""Commands about the files of jobs: outputs, browse, get."""

from __future__ import annotations

import os
import stat
import sys

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.cli.logs import say
from airavata_mesos_plugin.cli.options import as_json, job_id
from airavata_mesos_plugin.cli.taking import Document, Taker, chosen, progress_bars
from airavata_mesos_plugin.errors import InvalidRequest, NotFound
from airavata_mesos_plugin.sandbox.accounts.rights import become
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.service.accounts import identity

_KINDS = {
    "-": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
}

to_directory = click.option(
    "--to", metavar="DIR", type=click.Path(file_okay=False), help="Where to write; made if it is not there."
)


@click.command()
@job_id
@click.argument("patterns", nargs=-1, metavar="[PATTERN...]")
@click.option("--live", is_flag=True, help="Bring outputs of a running job now, as they are now.")
@to_directory
@as_json
@click.pass_obj
def outputs(
    context: Context, job_id: int, patterns: tuple[str, ...], live: bool, to: str | None, as_json: bool
) -> None:
    """List the files of a job's working directory that came from the job.

    With --live the outputs that a running job has written so far, or those that the patterns name, are
    brought into its working directory, each whole. It may be repeated; when the job is over all its
    outputs come in any case.
    """
    job = context.daemon.ask("show", str(job_id))
    if live:
        _live(context, job, patterns, to, as_json)
        return
    if patterns or to:
        raise click.UsageError("Patterns and --to go with --live.")
    if not job["final"]:
        raise NotFound(
            f"job {job_id} is {job['phase']}; its outputs come when it is over",
            advice=f"airavata-mesos outputs --live {job_id} brings them as they are now",
        )
    files = context.daemon.ask("outputs", str(job_id))
    if as_json:
        view.print_json(files)
    else:
        view.print_table(["BYTES", "FILE"], [[str(f["bytes"]), view.visible(f["name"])] for f in files])
        view.print_left_out(job["fetch"])


@click.command()
@job_id
@click.argument("directory", default="", metavar="[DIR]")
@as_json
@click.pass_obj
def browse(context: Context, job_id: int, directory: str, as_json: bool) -> None:
    """List a directory of a job, as ls -l does: in its sandbox, or else in its working directory."""
    found = context.daemon.ask("list", str(job_id), directory.rstrip("/").removeprefix("./"))
    if as_json:
        view.print_json(found)
        return
    entries = found["entries"]
    widths = [max((len(str(entry[key])) for entry in entries), default=0) for key in ("nlink", "size")]
    for entry in entries:
        mode = stat.filemode(_KINDS.get(entry["kind"], 0) | entry["mode"])
        target = f" -> {escape(entry['target'])}" if entry["target"] is not None else ""
        click.echo(
            f"{mode} {entry['nlink']:>{widths[0]}} {entry['size']:>{widths[1]}}"
            f" {view.moment(entry['mtime'])} {escape(entry['name'])}{target}"
        )


@click.command()
@job_id
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@to_directory
@as_json
@click.pass_obj
def get(context: Context, job_id: int, patterns: tuple[str, ...], to: str | None, as_json: bool) -> None:
    """Take files of a job, whole and with the directories that they are in.

    A pattern is the name of a file, or one as in a .gitignore file: *.dat, results/, /log.*. Files come
    from the sandbox while there is one, else from the working directory.
    """
    found = chosen(context.daemon, job_id, "all", patterns)
    taker = Taker(context.daemon, job_id, "." if to is None else to, lambda: True)
    _take(taker, found, as_json)


def _live(context: Context, job: Document, patterns: tuple[str, ...], to: str | None, as_json: bool) -> None:
    daemon, job_id = context.daemon, job["id"]

    def runs() -> bool:
        return bool(daemon.ask("show", str(job_id))["phase"] == "running")

    if job["phase"] != "running":
        where = f"; its outputs are in {job['working_directory']}" if job["final"] else ""
        raise InvalidRequest(f"job {job_id} is {job['phase']}, it does not run{where}")
    found = chosen(daemon, job_id, "new", patterns)
    if found["place"] != "sandbox":
        raise InvalidRequest(f"job {job_id} has no sandbox of its own to bring files from")
    if to is None:
        work_as(job["request"]["uid"])
        # Once the job is over its last files come, and an earlier state must not take their place.
        taker = Taker(daemon, job_id, job["working_directory"], runs)
    else:
        taker = Taker(daemon, job_id, to, lambda: True)
    taken = _take(taker, found, as_json)
    if to is None and taken and not runs():
        # It ended right now. Its sandbox does not change any more, so what is there is what the job left.
        last = chosen(daemon, job_id, "new", [file["name"] for file in taken])
        if last["place"] == "sandbox":
            with progress_bars() as bars:
                Taker(daemon, job_id, job["working_directory"], lambda: True).take(
                    last["place"], last["files"], bars
                )


def _take(taker: Taker, found: Document, as_json: bool) -> list[Document]:
    with progress_bars() as bars:
        taken, trouble = taker.take(found["place"], found["files"], bars)
    for file in taken:
        if file["bytes"] != file.pop("listed"):
            say(f"{escape(file['name'])} is being written; its first {file['bytes']} bytes were taken")
    if as_json:
        view.print_json(taken)
    else:
        view.print_table(["BYTES", "FILE"], [[str(f["bytes"]), escape(f["name"])] for f in taken])
    for name, why in found["left_out"]:
        say(f"{escape(name)} is left out: {why}")
    for line in trouble:
        say(line)
    if trouble:
        sys.exit(1)
    return taken


def work_as(uid: int) -> None:
    """Give up root's rights for those of the account whose directory is to be written."""
    if os.geteuid() == 0 and uid != 0:
        become(identity(uid)[1])
