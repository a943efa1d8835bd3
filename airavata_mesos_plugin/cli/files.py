"""Commands about the files of jobs: outputs."""

from __future__ import annotations

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.cli.options import as_json, job_id
from airavata_mesos_plugin.errors import NotFound


@click.command()
@job_id
@as_json
@click.pass_obj
def outputs(context: Context, job_id: int, as_json: bool) -> None:
    """List the files of a job's working directory that came from the job."""
    job = context.daemon.ask("show", str(job_id))
    if not job["final"]:
        raise NotFound(f"job {job_id} is {job['phase']}; its outputs come when it is over")
    files = context.daemon.ask("outputs", str(job_id))
    if as_json:
        view.print_json(files)
    else:
        view.print_table(["BYTES", "FILE"], [[str(f["bytes"]), view.visible(f["name"])] for f in files])
