"""``scontrol update``: what of a waiting job can still be changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from airavata_mesos_plugin.errors import InvalidRequest, NotFound, Refused
from airavata_mesos_plugin.jobs import JobPhase, JobRecord, JobRequest
from airavata_mesos_plugin.slurm import times, values
from airavata_mesos_plugin.slurm.session import CommandFailed, JobProvider

_KNOWN = {
    "account": "account",
    "comment": "comment",
    "eligibletime": "begin",
    "starttime": "begin",
    "jobname": "name",
    "mailuser": "mail_user",
    "name": "name",
    "partition": "queue",
    "partitionname": "queue",
    "priority": "priority",
    "qos": "qos",
    "requeue": "requeue",
    "timelimit": "time",
}


def read(words: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The job and the changes of a command line. Raises CommandFailed."""
    job = ""
    changes: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        lower = name.lower()
        if equals and lower in ("job", "jobid") and not job:
            job = value
        elif equals and lower in _KNOWN:
            changes[_KNOWN[lower]] = value
        else:
            raise CommandFailed(f"Update of this parameter is not supported: {word}", "Request aborted")
    if not job or not changes:
        raise CommandFailed("scontrol: error: give JobId=JOB and what to change, such as TimeLimit=10")
    return job, changes


def apply(
    provider: JobProvider, uid: int, job: JobRecord, changes: dict[str, str], now: float, zone: tzinfo | None
) -> None:
    """Change one job. Raises CommandFailed with SLURM's words, without the job."""
    if uid not in (0, job.request.uid):
        raise CommandFailed("Invalid user id")
    if job.phase.final:
        raise CommandFailed("Job has already finished")
    if "priority" in changes:
        if changes["priority"] == "0":
            provider.control.hold(job.id, uid)
        elif job.held is not None:
            raise CommandFailed("Job is in held state, pending scheduler release")
        else:
            raise CommandFailed("Access/permission denied")
    request = _changed(provider, job, changes)
    if request != job.request:
        # Once a scheduler has the job, only what the ledger alone knows could be changed.
        if job.phase is not JobPhase.ACCEPTED:
            raise CommandFailed("Job is no longer pending execution")
        try:
            text = ", ".join(sorted(changes))
            provider.control.amend(job.id, uid, request, f"changed: {text}")
        except (InvalidRequest, Refused) as error:
            raise CommandFailed(str(error)) from error
    if "begin" in changes:
        try:
            moment = times.parse(changes["begin"], now, zone)
            provider.control.put_off(job.id, uid, moment)
        except (times.BadTime, InvalidRequest) as error:
            raise CommandFailed(str(error)) from error


def _changed(provider: JobProvider, job: JobRecord, changes: dict[str, str]) -> JobRequest:
    update: dict[str, object] = {
        name: value
        for name, value in changes.items()
        if name in ("account", "comment", "name", "mail_user", "qos")
    }
    for name in ("account", "qos"):
        if name in update:
            update[name] = str(update[name]).lower()
    if not update.get("name", "x"):
        raise CommandFailed("Requested operation is presently disabled")
    if "requeue" in changes:
        if changes["requeue"] not in ("0", "1"):
            raise CommandFailed(f"Invalid requeue value: {changes['requeue']}")
        update["requeue"] = None if changes["requeue"] == "1" else False
    queue_name = changes.get("queue", job.request.queue)
    try:
        queue = provider.settings.queue(queue_name)
    except NotFound as error:
        raise CommandFailed("Invalid partition name specified") from error
    update["queue"] = queue.name
    if "time" in changes:
        try:
            minutes = values.parse_time(changes["time"].lstrip("+"))
        except ValueError as error:
            raise CommandFailed("Invalid TimeLimit specification") from error
        if minutes <= queue.max_wall_time_minutes:
            update["wall_time_seconds"] = int(minutes) * 60
    seconds = update.get("wall_time_seconds", job.request.wall_time_seconds)
    too_long = "time" in changes and "wall_time_seconds" not in update
    if too_long or (isinstance(seconds, int) and seconds > queue.max_wall_time_minutes * 60):
        raise CommandFailed("Requested time limit is invalid (missing or exceeds some limit)")
    resources = job.request.resources
    if resources.cpus > (queue.max_cpus or values.LARGEST) or resources.memory_mb > (
        queue.max_memory_mb or values.LARGEST
    ):
        raise CommandFailed("Requested node configuration is not available")
    return job.request.model_copy(update=update)
