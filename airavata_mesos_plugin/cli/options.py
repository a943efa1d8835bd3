"""Arguments and options that several commands have."""

from __future__ import annotations

import click

job_id = click.argument("job_id", metavar="JOB", type=click.IntRange(min=1))
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
