"""The command group, and how errors end it."""

from __future__ import annotations

import importlib
import sys

import click

from airavata_mesos_plugin import __version__
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.errors import AiravataMesosError

_COMMANDS = {
    "serve": "run.serve",
    "minicluster": "run.minicluster",
    "install-commands": "admin.install_commands",
    "doctor": "admin.doctor",
    "register": "registration.register",
    "unregister": "registration.unregister",
    "submit": "jobs.submit",
    "jobs": "jobs.list_jobs",
    "show": "jobs.show",
    "cancel": "jobs.cancel",
    "logs": "logs.logs",
    "outputs": "files.outputs",
    "browse": "files.browse",
    "get": "files.get",
    "put": "putting.put",
    "render": "jobs.render",
    "aurora": "aurora.aurora",
    "rebuild-ledger": "rebuild.rebuild_ledger",
    "demo": "demo.demo",
}


class _Commands(click.Group):
    """Loads a command when it is asked for: most need few of the libraries, and loading all takes longest."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(".")
        found: click.Command = getattr(importlib.import_module(f"airavata_mesos_plugin.cli.{module}"), name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="Settings of the provider. [env: AIRAVATA_MESOS_CONFIG]")
@click.option("--home", metavar="DIR", help="Ledger, sockets and secrets. [env: AIRAVATA_MESOS_HOME]")
@click.version_option(__version__, prog_name="airavata-mesos")
@click.pass_context
def command(context: click.Context, config: str | None, home: str | None) -> None:
    """Apache Mesos as a compute resource of Apache Airavata."""
    context.obj = Context(config, home)


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
