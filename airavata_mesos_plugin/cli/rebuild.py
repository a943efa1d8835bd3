"""airavata-mesos rebuild-ledger."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.errors import ConfigurationError

if TYPE_CHECKING:
    from airavata_mesos_plugin.provider.rebuilding import Restored

NOT_THERE = """\
Not to be restored: jobs that no scheduler had yet (held, or waiting for a time, for other jobs or for their
array's limit; on clusters of the kind mesos all that were not launched), jobs that are over and have their
outputs, the environment of submitters, and cancels that were under way."""


@click.command("rebuild-ledger")
@click.option("--merge", is_flag=True, help="Add what is missing to a ledger that has jobs.")
@click.option("--ledger", "word", metavar="WORD", help="Only jobs of this ledger: airavata-mesos.ledger.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.pass_obj
def rebuild_ledger(context: Context, merge: bool, word: str | None, dry_run: bool) -> None:
    """Make a lost ledger again from the active jobs that the schedulers have.

    The daemon must not run. Whoever may create jobs under a queue's role can write what is read here: look
    at --dry-run first. Exit code 1 when a job could not be restored.
    """
    from airavata_mesos_plugin.airavata.publishers import make_channels, wanting
    from airavata_mesos_plugin.provider.rebuilding import rebuild
    from airavata_mesos_plugin.service.parts import close_parts, make_parts

    settings, _ = context.settings()
    if any(cluster.embedded for cluster in settings.clusters):
        raise ConfigurationError("an embedded cluster ends with its daemon: there is nothing to restore")
    home = context.home
    home.prepare()
    with home.held():
        parts = make_parts(settings, home, SystemClock(), lambda: "")
        try:
            channels = make_channels(settings.airavata, parts.ledger.instance)
            found = rebuild(
                parts, merge=merge, only_ledger=word, dry_run=dry_run, channels=partial(wanting, channels)
            )
            for channel in channels:
                channel.close()
        finally:
            close_parts(parts)
    done = "would be restored" if dry_run else "restored"
    rows = [
        [
            str(one.job_id),
            one.cluster,
            str(one.key),
            one.user,
            one.directory,
            _result(one, done),
        ]
        for one in found
    ]
    shown = [[view.visible(cell) for cell in row] for row in rows]
    view.print_table(["ID", "CLUSTER", "JOB KEY", "USER", "DIRECTORY", "RESULT"], shown)
    if found:
        click.echo(NOT_THERE, err=True)
    sys.exit(1 if any(one.problem for one in found) else 0)


def _result(one: Restored, done: str) -> str:
    return one.problem or (f"{done}, without {one.lost}" if one.lost else done)
