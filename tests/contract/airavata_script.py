"""A job script as Airavata renders it."""

from __future__ import annotations

from airavata_mesos_plugin.testing.airavata_script import TASK_ID, JobScript, job_name

__all__ = ["TASK_ID", "JobScript", "job_name"]
