"""airavata-mesos aurora: quota, maintenance and what else an administrator does."""

from __future__ import annotations

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.aurora_clusters import client_of
from airavata_mesos_plugin.cli.aurora_common import ROLE, AuroraGroup, plain
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.schedulers.aurora.views import Amounts


@click.group(cls=AuroraGroup)
def quota() -> None:
    """Quota of a role."""


@quota.command("get")
@click.argument("where", metavar="CLUSTER/ROLE", type=ROLE)
@click.option("--write-json", is_flag=True, help="Print JSON by the names of Aurora's API.")
@click.pass_obj
def get_quota(context: Context, where: tuple[str, str], write_json: bool) -> None:
    """Show quota and use of a role."""
    with client_of(context, where[0]) as client:
        if write_json:
            view.print_json(plain(client.quota_struct(where[1])))
            return
        found = client.quota(where[1])
    rows = [
        [name, f"{amount.cpus:g}", str(amount.ram_mb), str(amount.disk_mb)]
        for name, amount in (
            ("quota", found.quota),
            ("production", found.prod_shared),
            ("not production", found.nonprod_shared),
            ("production, dedicated", found.prod_dedicated),
            ("not production, dedicated", found.nonprod_dedicated),
        )
    ]
    view.print_table(["WHAT", "CPUS", "RAM MB", "DISK MB"], rows)


@quota.command("set")
@click.argument("where", metavar="CLUSTER/ROLE", type=ROLE)
@click.argument("cpus", type=click.FloatRange(min=0))
@click.argument("ram_mb", type=click.IntRange(min=0))
@click.argument("disk_mb", type=click.IntRange(min=0))
@click.pass_obj
def set_quota(context: Context, where: tuple[str, str], cpus: float, ram_mb: int, disk_mb: int) -> None:
    """Replace the quota of a role."""
    with client_of(context, where[0]) as client:
        client.admin.set_quota(where[1], Amounts(cpus, ram_mb, disk_mb))
    click.echo(f"set the quota of {where[0]}/{where[1]}")


@click.command()
@click.argument("action", type=click.Choice(["start", "drain", "sla-drain", "status", "end"]))
@click.argument("cluster")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@click.option(
    "--timeout", default=7200, type=click.IntRange(min=0), help="sla-drain: seconds until by force."
)
@click.pass_obj
def maintenance(context: Context, action: str, cluster: str, hosts: tuple[str, ...], timeout: int) -> None:
    """Take hosts out of use and back, or show their modes."""
    with client_of(context, cluster) as client:
        admin = client.admin
        if action == "sla-drain":
            found = admin.sla_drain(hosts, timeout_seconds=timeout)
        else:
            found = {
                "start": admin.start_maintenance,
                "drain": admin.drain,
                "status": admin.maintenance,
                "end": admin.end_maintenance,
            }[action](hosts)
    modes = {one.host: one.mode for one in found}
    # Aurora leaves out hosts that never made an offer.
    rows = [[host, modes.get(host, "not known to the scheduler")] for host in hosts]
    view.print_table(["HOST", "MODE"], rows)


@click.command()
@click.argument("cluster")
@click.pass_obj
def tiers(context: Context, cluster: str) -> None:
    """List the tiers."""
    with client_of(context, cluster) as client:
        found = client.tiers()
    rows = [
        [
            name,
            "yes" if name == found.default else "-",
            ", ".join(f"{k}={v}" for k, v in sorted(values.items())),
        ]
        for name, values in sorted(found.tiers.items())
    ]
    view.print_table(["TIER", "DEFAULT", "SETTINGS"], rows)


@click.command("force-state")
@click.argument("cluster")
@click.argument("task_id", metavar="TASK")
@click.argument("state")
@click.pass_obj
def force_state(context: Context, cluster: str, task_id: str, state: str) -> None:
    """Move a task to a state. Aurora does not say whether that was possible: look at the status."""
    with client_of(context, cluster) as client:
        client.admin.force_state(task_id, state)
    click.echo(f"asked to move {task_id} to {state}")


@click.command()
@click.argument("cluster")
@click.option("--all", "implicit", is_flag=True, help="Whatever Mesos knows, also what Aurora does not.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Tasks asked for at once.")
@click.pass_obj
def reconcile(context: Context, cluster: str, implicit: bool, batch_size: int | None) -> None:
    """Let the scheduler ask Mesos for the states of its tasks."""
    with client_of(context, cluster) as client:
        if implicit:
            client.admin.reconcile_all()
        else:
            client.admin.reconcile(batch_size)
    click.echo("asked to reconcile")


@click.command()
@click.argument("cluster")
@click.option("--make", is_flag=True, help="Write one first.")
@click.pass_obj
def backups(context: Context, cluster: str, make: bool) -> None:
    """List the scheduler's backups."""
    with client_of(context, cluster) as client:
        if make:
            client.admin.back_up()
        found = client.admin.backups()
    for name in found:
        click.echo(name)
