"""Commands for administrators: install-commands and doctor."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.slurm import place
from airavata_mesos_plugin.slurm.install import install


@click.command("install-commands")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--interpreter",
    metavar="PYTHON",
    type=click.Path(path_type=Path),
    help="Interpreter of the commands. [default: this one's]",
)
@click.option(
    "--path-directory",
    metavar="DIR",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Link sacct and sinfo into DIR, which must be on the PATH of SSH sessions: /usr/local/bin.",
)
@click.pass_obj
def install_commands(
    context: Context, directory: Path, interpreter: Path | None, path_directory: Path | None
) -> None:
    """Write sbatch, squeue, scancel, sacct, sinfo, scontrol and srun into DIRECTORY.

    They talk to the daemon of the home directory in force. Register DIRECTORY at Airavata as the job
    manager's bin path.
    """
    for path in install(directory, context.serving_home.socket, interpreter):
        click.echo(str(path))
    if path_directory is None:
        click.echo(place.advice(directory, pwd.getpwuid(os.getuid()).pw_shell), err=True)
        return
    for path in place.link(directory, path_directory):
        click.echo(str(path))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option(
    "--resource",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What Airavata is told. [default: compute-resource.yaml beside the settings, if it is there]",
)
@click.option(
    "--ssh", metavar="USER@HOST[:PORT]", help="Look from outside, as Airavata does, and only there."
)
@click.option(
    "--identity",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key for --ssh. [default: those of the agent and of this account]",
)
@click.option(
    "--bin-path", metavar="DIR", help="For --ssh: the job manager bin path. [default: where sbatch is found]"
)
@click.pass_obj
def doctor(
    context: Context,
    as_json: bool,
    resource: Path | None,
    ssh: str | None,
    identity: Path | None,
    bin_path: str | None,
) -> None:
    """Check configuration, daemon, schedulers and agents, and say what to do. Changes nothing.

    With --ssh every command line of Airavata is tried over SSH instead; no job is submitted. Exit code 1
    when something is wrong.
    """
    if ssh is None:
        from airavata_mesos_plugin.cli import diagnosis  # needs what the daemon needs

        checks = diagnosis.examine(context, resource)
    else:
        from airavata_mesos_plugin.cli import ssh_diagnosis  # its library takes longer to load than the rest
        from airavata_mesos_plugin.cli.ssh_session import target

        checks = ssh_diagnosis.examine(target(ssh), identity, bin_path)
    if as_json:
        view.print_json([{"subject": c.subject, "ok": c.ok, "detail": c.detail} for c in checks])
    else:
        rows = [["ok" if c.ok else "WRONG", c.subject, view.visible(c.detail)] for c in checks]
        view.print_table(["", "WHAT", "FOUND"], rows)
    sys.exit(0 if all(check.ok for check in checks) else 1)
