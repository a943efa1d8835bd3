"""airavata-mesos aurora: what operators do with an Aurora cluster, beside the provider and its ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from airavata_mesos_plugin.cli import aurora_admin, aurora_cron, aurora_template, aurora_update, view
from airavata_mesos_plugin.cli.aurora_clusters import client_of
from airavata_mesos_plugin.cli.aurora_common import (
    FILE,
    JOB,
    JOB_WITH_INSTANCES,
    ROLE,
    ROLE_OR_ALL,
    AuroraGroup,
    ClusterJob,
    configuration,
    plain,
    read_job,
)
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.schedulers.aurora.client import Selection
from airavata_mesos_plugin.schedulers.aurora.views import Task


@click.group(cls=AuroraGroup)
def aurora() -> None:
    """Operate an Aurora cluster.

    Clusters are those of the settings and of Aurora's clusters.json. Jobs are named
    cluster/role/environment/name. Exit codes: 0 done, 3 wrong configuration, 4 failed, 5 wrong command,
    6 wrong parameter, 7 network, 9 time is up, 10 refused by the scheduler, 20 unknown, 30 authentication.
    """


@aurora.command()
@click.argument("where", metavar="CLUSTER[/ROLE]", type=ROLE_OR_ALL)
@click.pass_obj
def jobs(context: Context, where: tuple[str, str | None]) -> None:
    """List jobs with the numbers of their tasks."""
    with client_of(context, where[0]) as client:
        found = client.job_summary(where[1])
    rows = []
    for one in found:
        counts = (one.pending, one.active, one.finished, one.failed)
        kind = "service" if one.job.config.service else "job"
        kind = "cron" if one.job.cron_schedule is not None else kind
        rows.append([f"{where[0]}/{one.job.key}", kind, *map(str, counts), view.moment(one.next_cron_run)])
    view.print_table(["JOB", "KIND", "PENDING", "ACTIVE", "FINISHED", "FAILED", "NEXT CRON RUN"], rows)


@aurora.command()
@click.argument("job", type=JOB)
@click.option("--write-json", is_flag=True, help="Print the tasks as Aurora's own client does.")
@click.pass_obj
def status(context: Context, job: ClusterJob, write_json: bool) -> None:
    """Show the tasks of a job, active ones first."""
    with client_of(context, job.cluster) as client:
        if write_json:
            _write_status(job, client.tasks_status([job.key]))
            return
        tasks = client.tasks(Selection(keys=[job.key]))
    if not tasks:
        raise NotFound(f"the scheduler knows no task of {job}")
    rows = [
        [
            str(task.instance),
            task.state,
            task.host or "-",
            str(task.failures),
            view.moment(task.events[-1].time if task.events else None),
            view.visible(task.events[-1].message if task.events else "") or "-",
            task.task_id,
        ]
        for task in sorted(tasks, key=_newest_first)
    ]
    view.print_table(["INSTANCE", "STATE", "HOST", "FAILURES", "SINCE", "MESSAGE", "TASK"], rows)


@aurora.command()
@click.argument("job", type=JOB)
@click.option("--read-json", "path", metavar="FILE", type=FILE, help="Look into a job file instead.")
@click.option("--write-json", is_flag=True, help="Print the job's own JSON, which --read-json takes again.")
@click.pass_obj
def inspect(context: Context, job: ClusterJob, path: Path | None, write_json: bool) -> None:
    """Show a job's configuration."""
    if path is not None:
        form = read_job(path, job)
        document: Any = form.model_dump(mode="json", exclude_none=True, exclude_defaults=not write_json)
        instances = form.instances
    else:
        with client_of(context, job.cluster) as client:
            tasks = [task for task in client.tasks(Selection(keys=[job.key]), configs=True) if task.active]
        if not tasks:
            raise NotFound(f"the scheduler knows no active task of {job}")
        document = json.loads(tasks[0].config.data or "{}")
        instances = len({task.instance for task in tasks})
    if write_json:
        view.print_json({**document, "instances": instances})
        return
    click.echo(f"Job:        {job}")
    click.echo(f"Instances:  {instances}")
    for process in document.get("task", {}).get("processes", []):
        click.echo(f"Process:    {view.visible(process['name'])}")
        for line in str(process["cmdline"]).splitlines():
            click.echo(f"            {view.visible(line)}")


@aurora.command()
@click.argument("job", type=JOB)
@click.option("--read-json", "path", metavar="FILE", type=FILE, required=True, help="The job file.")
@click.pass_obj
def create(context: Context, job: ClusterJob, path: Path) -> None:
    """Create a job from a job file, as it is."""
    wanted = configuration(read_job(path, job), job)
    with client_of(context, job.cluster) as client:
        client.create_job(wanted)
    click.echo(f"created {job}")


@aurora.command()
@click.argument("job", metavar="JOB[/INSTANCES]", type=JOB_WITH_INSTANCES)
@click.option("--message", "-m", default="", help="Stands in the history of the tasks.")
@click.pass_obj
def kill(context: Context, job: ClusterJob, message: str) -> None:
    """End a job, or instances of it such as /0-3,7."""
    with client_of(context, job.cluster) as client:
        client.kill_tasks(job.key, message, job.instances)
    click.echo(f"asked to end {job}")


@aurora.command()
@click.argument("job", metavar="JOB[/INSTANCES]", type=JOB_WITH_INSTANCES)
@click.pass_obj
def restart(context: Context, job: ClusterJob) -> None:
    """Restart a job's active instances, or some of them, all at once."""
    with client_of(context, job.cluster) as client:
        wanted = job.instances
        if wanted is None:
            active = [task.instance for task in client.tasks(Selection(keys=[job.key])) if task.active]
            wanted = tuple(sorted(set(active)))
        if not wanted:
            raise NotFound(f"the scheduler knows no active task of {job}")
        client.restart(job.key, wanted)
    click.echo(f"restarting {len(wanted)} instances of {job}")


@aurora.command()
@click.argument("job", metavar="JOB/INSTANCE", type=JOB_WITH_INSTANCES)
@click.argument("count", type=click.IntRange(min=1))
@click.pass_obj
def add(context: Context, job: ClusterJob, count: int) -> None:
    """Add COUNT instances like an active one."""
    if job.instances is None or len(job.instances) != 1:
        raise click.BadParameter("name the one instance that the new ones shall be like: JOB/0")
    with client_of(context, job.cluster) as client:
        client.add_instances(job.key, job.instances[0], count)
    click.echo(f"added {count} instances to {job}")


@aurora.command()
@click.argument("where", metavar="CLUSTER/ROLE[/ENVIRONMENT/NAME]")
@click.pass_obj
def pending(context: Context, where: str) -> None:
    """Say why waiting tasks wait."""
    if where.count("/") == 1:
        cluster, role = ROLE.convert(where, None, None)
        selection = Selection(role=role)
    else:
        job = JOB.convert(where, None, None)
        cluster, selection = job.cluster, Selection(keys=[job.key])
    with client_of(context, cluster) as client:
        reasons = client.why_pending(selection)
    rows = [[task, view.visible(reason) or "not known yet"] for task, reason in sorted(reasons.items())]
    view.print_table(["TASK", "REASON"], rows)


def _newest_first(task: Task) -> tuple[bool, int, float]:
    return not task.active, task.instance, -(task.events[0].time if task.events else 0.0)


def _write_status(job: ClusterJob, tasks: Any) -> None:
    if not tasks:
        view.print_json({"jobspec": str(job), "error": "No matching jobs found"})
        return
    sorted_out: dict[str, list[Any]] = {"active": [], "inactive": []}
    for task in tasks:
        document = plain(task)
        over = document.get("status") in ("FINISHED", "FAILED", "KILLED", "LOST")
        sorted_out["inactive" if over else "active"].append(document)
    view.print_json([{"job": str(job), **sorted_out}])


for _part in (
    aurora_cron.cron,
    aurora_update.update,
    aurora_template.template,
    aurora_admin.quota,
    aurora_admin.maintenance,
    aurora_admin.tiers,
    aurora_admin.force_state,
    aurora_admin.reconcile,
    aurora_admin.backups,
):
    aurora.add_command(_part)
