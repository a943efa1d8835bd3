"""Commands that stay: serve and minicluster."""

from __future__ import annotations

import os
import sys

import click

from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.config import embedded_settings


@click.command()
@click.option("--exit-with-parent", is_flag=True, help="End when the process that started this one ends.")
@click.option("--embedded", is_flag=True, help="On an embedded minicluster, whatever is configured.")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, not only what goes wrong.")
@click.pass_obj
def serve(context: Context, exit_with_parent: bool, embedded: bool, verbose: bool) -> None:
    """Run the provider daemon in the foreground, until SIGTERM or Ctrl-C.

    Without any configuration it runs on an embedded minicluster on this machine. One line of JSON on
    stdout says when it is ready.
    """
    from airavata_mesos_plugin.service.daemon import Daemon, log_to_stderr

    log_to_stderr(verbose)
    settings, path = (embedded_settings(), None) if embedded else context.settings()
    sys.exit(Daemon(settings, path, context.home, exit_with_parent=exit_with_parent).run())


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def minicluster(arguments: tuple[str, ...]) -> None:
    """Run a minicluster alone: an Aurora scheduler, Mesos masters and agents in one process."""
    sys.stdout.flush()
    module = "airavata_mesos_plugin.minicluster"
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
