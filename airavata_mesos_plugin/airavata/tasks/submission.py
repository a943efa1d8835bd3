"""Sending the job of a process."""

from __future__ import annotations

from airavata_mesos_plugin.airavata.tasks import jobs
from airavata_mesos_plugin.airavata.tasks.context import ProcessContext, TaskContext
from airavata_mesos_plugin.airavata.tasks.model import (
    DataType,
    JobModel,
    JobStatus,
    JobSubmission,
)
from airavata_mesos_plugin.airavata.tasks.spi import JobSubmissionTask, check_not_cancelled
from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider.intake import Wish, check_script, complete
from airavata_mesos_plugin.sandbox.accounts.own_files import OwnPaths


class DefaultJobSubmissionTask(JobSubmissionTask):
    """Submits the script of the process with the amounts that the user chose.

    A task has one job. The ledger keeps the task's id with it, in the step that makes it durable, so both
    a second `execute` and `recover` find the job of the first try and send nothing. When the ledger has no
    job for the task, nothing was ever sent, and `recover` does it now.
    """

    def cancel(self, context: TaskContext) -> JobStatus | None:
        process = context.process
        process.cancelled.set()
        record = _known(context)
        if record is None:
            return None
        before = jobs.job_status(record)
        process.provider.request_cancel(record.id, process.user, process.uid)
        return before

    def _run(self, context: TaskContext) -> str:
        process = context.process
        record = _known(context)
        if record is not None:
            _keep(process, record)
            return f"job {record.id} was submitted before"
        check_not_cancelled(process)
        provider = process.provider
        request = complete(_wish(context), provider.settings, provider.nodes, OwnPaths())
        check_script(process.script, process.provider.settings.max_script_bytes)
        record = process.provider.submit(request, process.script, source="task")
        _keep(process, record)
        return f"submitted as job {record.id}"


def _known(context: TaskContext) -> JobRecord | None:
    process = context.process
    return process.provider.with_submission_key(process.uid, jobs.submission_key(context.task_id))


def _keep(process: ProcessContext, record: JobRecord) -> None:
    model = JobModel(
        job_id=str(record.id),
        task_id=jobs.task_of(record),
        process_id=process.process_id,
        job_description=process.script,
        creation_time=round(record.accepted_at * 1000),
        job_name=record.request.name,
        working_dir=record.request.working_directory,
        exit_code=record.exit_code,
    )
    process.registry.add_job(model, process.process_id)
    jobs.tell(process, record)


def _wish(context: TaskContext) -> Wish:
    process = context.process
    wanted = process.scheduling
    model = context.sub_task_model
    if not isinstance(model, JobSubmission | None):
        raise InvalidRequest(f"task {context.task_id} has the model of another kind of task")
    minutes = model.wall_time if model is not None and model.wall_time > 0 else wanted.wall_time_limit
    paths = {output.type: process.output_path(output) for output in process.outputs}
    return Wish(
        name=process.job_name or process.process_id,
        user=process.user,
        uid=process.uid,
        working_directory=process.working_directory,
        queue=wanted.queue_name or None,
        nodes=wanted.node_count or None,
        tasks=wanted.total_cpu_count or None,
        memory_mb=wanted.total_physical_memory or None,
        wall_time_seconds=minutes * 60 or None,
        stdout=paths.get(DataType.STDOUT, "slurm-%j.out"),
        stderr=paths.get(DataType.STDERR),
        account=wanted.allocation_project_number,
        submission_key=jobs.submission_key(context.task_id),
        labels=(
            (jobs.PROCESS_LABEL, process.process_id),
            (jobs.TASK_LABEL, context.task_id),
            (jobs.EXPERIMENT_LABEL, process.experiment_id),
            (jobs.GATEWAY_LABEL, process.gateway_id),
        ),
    )
