"""Commands about jobs: submit, jobs, show, cancel, render."""

from __future__ import annotations

import sys

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.cli.options import as_json, job_id


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SBATCH OPTIONS] SCRIPT")
@click.pass_obj
def submit(context: Context, arguments: tuple[str, ...]) -> None:
    """Submit a job script, with the options and answers of sbatch."""
    answer = context.daemon.call("sbatch", list(arguments))
    sys.stderr.write(answer.stderr.decode(errors="replace"))
    click.echo(answer.stdout, nl=False)
    sys.exit(answer.exit_code)


@click.command("jobs")
@click.option("--all", "everything", is_flag=True, help="Finished jobs too (the newest 1000).")
@click.option("--watch", is_flag=True, help="Draw the list again every two seconds, until Ctrl-C.")
@as_json
@click.pass_obj
def list_jobs(context: Context, everything: bool, watch: bool, as_json: bool) -> None:
    """List jobs, newest first, with the progress of outputs that are on their way."""
    if watch and as_json:
        raise click.UsageError("--watch draws, --json is for programs.")

    def look() -> list[view.Document]:
        jobs: list[view.Document] = context.daemon.ask("jobs", *(["--all"] if everything else []))
        return jobs

    if as_json:
        view.print_json(look())
    elif watch:
        view.watch_table(lambda: view.job_table(look()))
    else:
        view.print_table(*view.job_table(look()))


@click.command()
@job_id
@as_json
@click.pass_obj
def show(context: Context, job_id: int, as_json: bool) -> None:
    """Show all that is known of a job, with its history."""
    job = context.daemon.ask("show", str(job_id))
    if as_json:
        view.print_json(job)
        return
    for label, value in (
        ("Job", job["id"]),
        ("Name", job["name"]),
        ("State", f"{job['state']} ({job['phase']}; scheduler: {job['native_state'] or '-'})"),
        ("Reason", job["reason"] or "-"),
        ("Exit code", "-" if job["exit_code"] is None else job["exit_code"]),
        ("Cluster", job["cluster"]),
        ("Job key", job["job_key"]),
        ("Task", job["task_id"] or "-"),
        ("Nodes" if len(job["nodes"]) > 1 else "Host", " ".join(job["nodes"]) or "-"),
        ("Queue", job["queue"]),
        ("User", job["user"]),
        ("Directory", job["working_directory"]),
        ("Accepted", view.moment(job["accepted_at"])),
        ("Started", view.moment(job["started_at"])),
        ("Ended", view.moment(job["ended_at"])),
    ):
        click.echo(f"{label + ':':<11}{view.visible(value)}")
    if "cluster_age_seconds" in job:
        heard = job["cluster_age_seconds"]
        known = "nothing heard yet" if heard is None else f"heard {view.duration(heard)} ago"
        trouble = f"; {job['cluster_trouble']}" if job["cluster_trouble"] else ""
        click.echo(f"{'Scheduler:':<11}{view.visible(known + trouble)}")
    fetch = view.fetch_line(job["fetch"])
    if fetch:
        click.echo(f"{'Outputs:':<11}{view.visible(fetch)}")
    click.echo()
    rows = [
        [view.moment(e["time"]), e["phase"], e["source"], e["native_state"] or "-", view.visible(e["reason"])]
        for e in job["events"]
    ]
    view.print_table(["TIME", "PHASE", "SOURCE", "SCHEDULER", "REASON"], rows)
    if job["announced"]:
        click.echo()
        view.print_table(*view.announced_table(job["announced"]))


@click.command()
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True, type=click.IntRange(min=1))
@click.pass_obj
def cancel(context: Context, job_ids: tuple[int, ...]) -> None:
    """End jobs. Jobs that are over stay as they are."""
    for job in job_ids:
        answer = context.daemon.ask("cancel", str(job))
        click.echo(f"job {job}: {'is being cancelled' if answer['asked'] else 'is over or being cancelled'}")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[SBATCH OPTIONS] SCRIPT")
@click.pass_obj
def render(context: Context, arguments: tuple[str, ...]) -> None:
    """Print the job configuration that a script would become; nothing is submitted."""
    from airavata_mesos_plugin.cli.rendering import rendered  # needs what the daemon needs; the others do not

    settings, _ = context.settings()
    view.print_json(rendered(settings, arguments))
