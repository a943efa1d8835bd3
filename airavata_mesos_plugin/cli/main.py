"""The command group, and how errors end it."""

from __future__ import annotations

import sys

import click

from airavata_mesos_plugin import __version__
from airavata_mesos_plugin.cli import (
    admin,
    aurora,
    demo,
    files,
    jobs,
    logs,
    putting,
    rebuild,
    registration,
    run,
)
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.errors import AiravataMesosError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="Settings of the provider. [env: AIRAVATA_MESOS_CONFIG]")
@click.option("--home", metavar="DIR", help="Ledger, sockets and secrets. [env: AIRAVATA_MESOS_HOME]")
@click.version_option(__version__, prog_name="airavata-mesos")
@click.pass_context
def command(context: click.Context, config: str | None, home: str | None) -> None:
    """Apache Mesos as a compute resource of Apache Airavata."""
    context.obj = Context(config, home)


for _part in (
    run.serve,
    run.minicluster,
    admin.install_commands,
    admin.doctor,
    registration.register,
    registration.unregister,
    jobs.submit,
    jobs.list_jobs,
    jobs.show,
    jobs.cancel,
    logs.logs,
    files.outputs,
    files.browse,
    files.get,
    putting.put,
    jobs.render,
    aurora.aurora,
    rebuild.rebuild_ledger,
    demo.demo,
):
    command.add_command(_part)


def main() -> None:
    """Entry point: errors of ours are one line on stderr and exit code 1, never a traceback."""
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except AiravataMesosError as error:
        click.echo(f"airavata-mesos: {error}", err=True)
        sys.exit(1)
