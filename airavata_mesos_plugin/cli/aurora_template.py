"""airavata-mesos aurora template: job files made from the templates."""

from __future__ import annotations

import click

from airavata_mesos_plugin.cli import view
from airavata_mesos_plugin.cli.aurora_common import JOB, ClusterJob
from airavata_mesos_plugin.cli.context import Context
from airavata_mesos_plugin.schedulers.aurora.jobform import parse
from airavata_mesos_plugin.templating import JobContext, TemplateLibrary

MIB = 1024 * 1024
NO_INPUTS = "http://inputs.invalid/none"
"""For templates that fetch inputs, which only jobs of the provider have."""


@click.command()
@click.argument("name")
@click.argument("job", type=JOB)
@click.option("--set", "pairs", metavar="NAME=VALUE", multiple=True, help="A value that the template needs.")
@click.option("--tier", default="preemptible", show_default=True)
@click.option("--cpus", default=1.0, show_default=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--ram-mb", default=512, show_default=True, type=click.IntRange(min=1))
@click.option("--disk-mb", default=512, show_default=True, type=click.IntRange(min=1))
@click.option("--gpus", default=0, type=click.IntRange(min=0))
@click.pass_obj
def template(
    context: Context,
    name: str,
    job: ClusterJob,
    pairs: tuple[str, ...],
    tier: str,
    cpus: float,
    ram_mb: int,
    disk_mb: int,
    gpus: int,
) -> None:
    """Print the job file that the template NAME makes for JOB, for --read-json of other commands.

    Example: aurora template cron dev/www/prod/nightly --set command=./clean --set 'schedule=0 3 * * *'
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r} is not of the form NAME=VALUE")
    settings, _ = context.settings()
    values = dict(pair.split("=", 1) for pair in pairs)
    made = TemplateLibrary(settings.template_directories).render_job(
        "aurora",
        name,
        JobContext(
            cluster=job.cluster,
            role=job.key.role,
            environment=job.key.environment,
            name=job.key.name,
            tier=tier,
            priority=0,
            max_task_failures=1,
            constraints={},
            metadata={},
            cpus=cpus,
            ram_bytes=ram_mb * MIB,
            disk_bytes=disk_mb * MIB,
            gpus=gpus,
            finalization_wait=30,
            inputs_url=NO_INPUTS,
            values={key: int(value) if value.isdecimal() else value for key, value in values.items()},
        ),
    )
    parse(made, cron="cron_schedule" in made)
    view.print_json(made)
