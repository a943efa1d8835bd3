"""airavata-mesos aurora update: rolling updates of services."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.aurora_clusters import client_of
from airavata_mesos_plugin.cli.aurora_common import (
    COMMAND_FAILED,
    FILE,
    JOB,
    JOB_WITH_INSTANCES,
    ROLE_OR_ALL,
    TIMED_OUT,
    AuroraGroup,
    ClusterJob,
    configuration,
    read_job,
)
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.clock import Clock, SystemClock
from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.schedulers.aurora.client import AuroraClient
from airavata_mesos_plugin.schedulers.aurora.updates import (
    Strategy,
    UpdateCalls,
    UpdateKey,
    UpdateQuery,
    UpdateSettings,
    UpdateSummary,
    as_spans,
)


@click.group(cls=AuroraGroup)
def update() -> None:
    """Rolling updates of services."""


@update.command()
@click.argument("job", metavar="JOB[/INSTANCES]", type=JOB_WITH_INSTANCES)
@click.option("--read-json", "path", metavar="FILE", type=FILE, required=True, help="The job file.")
@click.option("--message", "-m", default="", help="Stands in the history of the update.")
@click.option("--watch", "and_watch", is_flag=True, help="Follow it to its end.")
@click.pass_obj
def start(context: Context, job: ClusterJob, path: Path, message: str, and_watch: bool) -> None:
    """Move a service to the configuration of a job file, whose update_config says how."""
    form = read_job(path, job)
    settings = settings_of(form.update_config or {}, job.instances)
    with client_of(context, job.cluster) as client:
        started = client.updates.start(configuration(form, job), settings, message)
        if started is None:
            click.echo(f"{job} is unchanged by the update")
            return
        click.echo(f"started {job.cluster}/{started.key}")
        if and_watch:
            sys.exit(follow(client, started.key, SystemClock()))


Steer = Callable[[UpdateCalls, UpdateKey, str], None]


def _steering(name: str, words: str, steer: Steer) -> click.Command:
    @click.command(name, help=words)
    @click.argument("job", type=JOB)
    @click.argument("update_id", metavar="[ID]", required=False)
    @click.option("--message", "-m", default="", help="Stands in the history of the update.")
    @click.pass_obj
    def command(context: Context, job: ClusterJob, update_id: str | None, message: str) -> None:
        with client_of(context, job.cluster) as client:
            key = chosen(client, job, update_id)
            steer(client.updates, key, message)
        click.echo(f"{name}: {job.cluster}/{key}")

    return command


for _name, _words, _steer in (
    ("pause", "Stop an update before its next instance.", UpdateCalls.pause),
    ("resume", "Let a paused update go on.", UpdateCalls.resume),
    ("abort", "End an update where it is.", UpdateCalls.abort),
    ("rollback", "Turn an update back.", UpdateCalls.rollback),
):
    update.add_command(_steering(_name, _words, _steer))


@update.command()
@click.argument("job", type=JOB)
@click.argument("update_id", metavar="[ID]", required=False)
@click.pass_obj
def pulse(context: Context, job: ClusterJob, update_id: str | None) -> None:
    """Tell an update that waits for pulses that all is well."""
    with client_of(context, job.cluster) as client:
        key = chosen(client, job, update_id)
        going_on = client.updates.pulse(key)
    click.echo(f"{job.cluster}/{key} {'goes on' if going_on else 'is over'}")


@update.command()
@click.argument("job", type=JOB)
@click.argument("update_id", metavar="[ID]", required=False)
@click.pass_obj
def info(context: Context, job: ClusterJob, update_id: str | None) -> None:
    """Show an update with its history; without ID the newest."""
    with client_of(context, job.cluster) as client:
        details = client.updates.details(chosen(client, job, update_id, active=False))
    summary = details.summary
    done, total = details.done()
    for label, value in (
        ("Update", f"{job.cluster}/{summary.key}"),
        ("Status", summary.status),
        ("User", summary.user),
        ("Started", view.moment(summary.created)),
        ("Changed", view.moment(summary.modified)),
        ("Instances", f"{done} of {total} done"),
    ):
        click.echo(f"{label + ':':<11}{view.visible(value)}")
    click.echo()
    rows = [
        [
            view.moment(event.time),
            "-" if event.instance is None else str(event.instance),
            event.what,
            event.user or "-",
            view.visible(event.message) or "-",
        ]
        for event in details.events
    ]
    view.print_table(["TIME", "INSTANCE", "WHAT", "USER", "MESSAGE"], rows)


@update.command("list")
@click.argument("where", metavar="CLUSTER[/ROLE]", type=ROLE_OR_ALL)
@click.option("--status", "statuses", multiple=True, help="Only this status; may be given several times.")
@click.option("--user", help="Only those that this user started.")
@click.option("--write-json", is_flag=True, help="Print JSON as Aurora's own client does.")
@click.pass_obj
def list_updates(
    context: Context,
    where: tuple[str, str | None],
    statuses: tuple[str, ...],
    user: str | None,
    write_json: bool,
) -> None:
    """List updates, the newest first."""
    with client_of(context, where[0]) as client:
        found = client.updates.summaries(UpdateQuery(role=where[1], user=user, statuses=statuses))
    if write_json:
        view.print_json([_listed(where[0], one) for one in found])
        return
    rows = [
        [
            f"{where[0]}/{one.key.job}",
            one.key.id,
            one.status,
            view.visible(one.user),
            view.moment(one.created),
            view.moment(one.modified),
        ]
        for one in found
    ]
    view.print_table(["JOB", "ID", "STATUS", "USER", "STARTED", "CHANGED"], rows)


@update.command()
@click.argument("job", type=JOB)
@click.argument("update_id", metavar="[ID]", required=False)
@click.option("--interval", default=2.0, type=click.FloatRange(min=0.05), help="Seconds between two looks.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds until this command gives up.")
@click.pass_obj
def watch(
    context: Context, job: ClusterJob, update_id: str | None, interval: float, timeout: float | None
) -> None:
    """Follow an update to its end. Exit code 4 when it did not succeed."""
    with client_of(context, job.cluster) as client:
        key = chosen(client, job, update_id, active=False)
        sys.exit(follow(client, key, SystemClock(), interval, timeout))


def chosen(client: AuroraClient, job: ClusterJob, update_id: str | None, *, active: bool = True) -> UpdateKey:
    """The update that is meant: the one named, else the active one, else the newest. Raises NotFound."""
    if update_id is not None:
        return UpdateKey(job.key, update_id)
    found = client.updates.summaries(UpdateQuery(job=job.key))
    going_on = [one for one in found if one.active]
    if going_on or (found and not active):
        return (going_on or list(found))[0].key
    raise NotFound(f"{job} has no {'active ' if active else ''}update")


def follow(
    client: AuroraClient, key: UpdateKey, clock: Clock, interval: float = 2.0, timeout: float | None = None
) -> int:
    """Print a line for each step of an update until it is over; the exit code."""
    end = None if timeout is None else clock.monotonic() + timeout
    said = ""
    while True:
        details = client.updates.details(key)
        done, total = details.done()
        line = f"{details.summary.status}: {done} of {total} instances"
        if line != said:
            click.echo(line)
            said = line
        if not details.summary.active:
            return 0 if details.summary.status == "ROLLED_FORWARD" else COMMAND_FAILED
        if end is not None and clock.monotonic() >= end:
            click.echo("the time is up; the update goes on", err=True)
            return TIMED_OUT
        clock.wait(threading.Event(), interval)


def settings_of(form: Mapping[str, Any], instances: tuple[int, ...] | None) -> UpdateSettings:
    """What an ``update_config`` says. Raises BadParameter for members that it cannot have."""
    known = {
        *("batch_size", "watch_secs", "max_per_shard_failures", "max_total_failures", "rollback_on_failure"),
        *("wait_for_batch_completion", "pulse_interval_secs", "sla_aware", "update_strategy"),
    }
    unknown = sorted(set(form) - known)
    if unknown:
        raise click.BadParameter(f"update_config has no member {unknown[0]!r}")
    try:
        return UpdateSettings(
            strategy=_strategy(form),
            max_per_instance_failures=int(form.get("max_per_shard_failures", 0)),
            max_failed_instances=int(form.get("max_total_failures", 0)),
            watch_seconds=float(form.get("watch_secs", 45)),
            rollback_on_failure=bool(form.get("rollback_on_failure", True)),
            instances=() if instances is None else as_spans(instances),
            pulse_seconds=float(form.get("pulse_interval_secs") or 0),
            sla_aware=bool(form.get("sla_aware", False)),
        )
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"update_config: {error}") from error


def _strategy(form: Mapping[str, Any]) -> Strategy:
    chosen_one = form.get("update_strategy")
    if chosen_one is None:
        kind = "batch" if form.get("wait_for_batch_completion") else "queue"
        return Strategy("batch" if kind == "batch" else "queue", (int(form.get("batch_size", 1)),))
    autopause = bool(chosen_one.get("autopause_after_batch", False))
    if "batch_sizes" in chosen_one:
        return Strategy("batch", tuple(int(size) for size in chosen_one["batch_sizes"]), autopause)
    # As in Aurora's form: a batch strategy is told from a queue by its member for pauses.
    batch = "autopause_after_batch" in chosen_one
    return Strategy("batch" if batch else "queue", (int(chosen_one.get("batch_size", 1)),), autopause)


def _listed(cluster: str, one: UpdateSummary) -> dict[str, object]:
    return {
        "job": f"{cluster}/{one.key.job}",
        "id": one.key.id,
        "user": one.user,
        "started": None if one.created is None else round(one.created * 1000),
        "last_modified": None if one.modified is None else round(one.modified * 1000),
        "status": one.status,
    }
