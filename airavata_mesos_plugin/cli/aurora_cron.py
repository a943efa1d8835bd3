"""airavata-mesos aurora cron: entries that Aurora starts by the clock."""

from __future__ import annotations

from pathlib import Path

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.aurora_clusters import client_of
from airavata_mesos_plugin.cli.aurora_common import (
    FILE,
    JOB,
    ROLE_OR_ALL,
    AuroraGroup,
    ClusterJob,
    configuration,
    read_job,
)
from airavata_mesos_plugin.cli.context import Context


@click.group(cls=AuroraGroup)
def cron() -> None:
    """Cron entries: jobs that start by the clock."""


@cron.command("list")
@click.argument("where", metavar="CLUSTER[/ROLE]", type=ROLE_OR_ALL)
@click.pass_obj
def list_entries(context: Context, where: tuple[str, str | None]) -> None:
    """List entries with their schedules; times are those of the scheduler's zone, GMT by default."""
    with client_of(context, where[0]) as client:
        found = [one for one in client.job_summary(where[1]) if one.job.cron_schedule is not None]
    rows = [
        [
            f"{where[0]}/{one.job.key}",
            view.visible(one.job.cron_schedule),
            one.job.cron_collision_policy,
            view.moment(one.next_cron_run),
        ]
        for one in found
    ]
    view.print_table(["JOB", "SCHEDULE", "COLLISION POLICY", "NEXT RUN"], rows)


@cron.command()
@click.argument("job", type=JOB)
@click.option("--read-json", "path", metavar="FILE", type=FILE, required=True, help="The job file.")
@click.pass_obj
def schedule(context: Context, job: ClusterJob, path: Path) -> None:
    """Make or replace an entry from a job file that has a cron_schedule."""
    wanted = configuration(read_job(path, job, cron=True), job)
    with client_of(context, job.cluster) as client:
        client.schedule_cron(wanted)
    click.echo(f"scheduled {job}: {wanted.cronSchedule}")


@cron.command()
@click.argument("job", type=JOB)
@click.pass_obj
def start(context: Context, job: ClusterJob) -> None:
    """Start a run now, under the entry's collision policy."""
    with client_of(context, job.cluster) as client:
        client.start_cron(job.key)
    click.echo(f"starting {job}")


@cron.command()
@click.argument("job", type=JOB)
@click.option("--message", "-m", default="", help="Stands in the history of the tasks.")
@click.pass_obj
def kill(context: Context, job: ClusterJob, message: str) -> None:
    """End the present run; the entry stays."""
    with client_of(context, job.cluster) as client:
        client.kill_tasks(job.key, message)
    click.echo(f"asked to end {job}")


@cron.command()
@click.argument("job", type=JOB)
@click.pass_obj
def deschedule(context: Context, job: ClusterJob) -> None:
    """Remove an entry; what runs goes on."""
    with client_of(context, job.cluster) as client:
        client.deschedule_cron(job.key)
    click.echo(f"descheduled {job}")
