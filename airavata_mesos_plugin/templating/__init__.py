"""Renders what a job becomes: the job configuration for the scheduler and the wrapper for the sandbox."""

from airavata_mesos_plugin.templating.job import InputUri, JobContext, StageIn, job_context
from airavata_mesos_plugin.templating.library import TemplateLibrary, merged
from airavata_mesos_plugin.templating.wrapper import WrapperContext, wrapper_context

__all__ = [
    "InputUri",
    "JobContext",
    "StageIn",
    "TemplateLibrary",
    "WrapperContext",
    "job_context",
    "merged",
    "wrapper_context",
]
