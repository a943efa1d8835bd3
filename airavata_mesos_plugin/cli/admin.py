"""Commands for administrators: install-commands and doctor."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from airavata_mesos_plugin.cli import diagnosis, view
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.slurm.install import install


@click.command("install-commands")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--interpreter",
    metavar="PYTHON",
    type=click.Path(path_type=Path),
    help="Interpreter of the commands. [default: this one's]",
)
@click.pass_obj
def install_commands(context: Context, directory: Path, interpreter: Path | None) -> None:
    """Write sbatch, squeue, scancel, sacct and sinfo into DIRECTORY.

    They talk to the daemon of the home directory in force. Register DIRECTORY at Airavata as the job
    manager's bin path.
    """
    for path in install(directory, context.home.socket, interpreter):
        click.echo(str(path))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option(
    "--resource",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What Airavata is told. [default: compute-resource.yaml beside the settings, if it is there]",
)
@click.pass_obj
def doctor(context: Context, as_json: bool, resource: Path | None) -> None:
    """Check configuration, daemon, schedulers and agents, and say what to do. Changes nothing.

    Exit code 1 when something is wrong.
    """
    checks = diagnosis.examine(context, resource)
    if as_json:
        view.print_json([{"subject": c.subject, "ok": c.ok, "detail": c.detail} for c in checks])
    else:
        rows = [["ok" if c.ok else "WRONG", c.subject, view.visible(c.detail)] for c in checks]
        view.print_table(["", "WHAT", "FOUND"], rows)
    sys.exit(0 if all(check.ok for check in checks) else 1)
