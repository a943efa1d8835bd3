"""Makes a lost ledger again from what the schedulers know of our jobs.

`job_metadata` says what metadata carries: all of the request that counts for a job which a scheduler has. The
script is read again where sbatch found it. The submitter's environment is lost, and so is who asked for the
end of a job. Jobs that no scheduler had yet stood nowhere else.

A scheduler that is a part of this daemon has lost its records as well (`schedulers.base.TakesOver`). Jobs
that are over are restored from such a one too, as long as their outputs are still to be fetched.
"""

from __future__ import annotations

import posixpath
import pwd
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import AiravataMesosError, ConfigurationError, InvalidRequest, NotFound
from airavata_mesos_plugin.job_metadata import PREFIX, labels_in, rest_in, said_in, unescaped
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, array_indexes
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.provider.remains import nodes_of, to_be_fetched
from airavata_mesos_plugin.schedulers.base import KeepsMetadata, KnownJob, TakesOver, TaskObservation
from airavata_mesos_plugin.store import restoring

SCRIPT_LOST = """#!/bin/sh
echo 'The script of this job was lost together with the ledger of airavata-mesos. Submit it again.' >&2
exit 1
"""
"""What a job runs that had not fetched its inputs yet, and whose script is no longer where it was."""


@dataclass(frozen=True)
class Restored:
    """One job of the schedulers, and what became of it.

    ``problem`` is empty when it was restored; ``lost`` is what could not be restored of it.
    """

    job_id: int
    key: JobKey
    cluster: str
    user: str
    directory: str
    problem: str = ""
    lost: str = ""


@dataclass(frozen=True)
class _Candidate:
    cluster: str
    known: KnownJob
    said: Mapping[str, str]
    job_id: int
    attempt: int


Choose = Callable[[JobRequest, str], Collection[str]]


def rebuild(
    parts: Parts,
    *,
    merge: bool = False,
    only_ledger: str | None = None,
    dry_run: bool = False,
    channels: Choose = lambda _request, _script: (),
) -> list[Restored]:
    """Enter every active job of this provider that the schedulers have; what became of each.

    ``channels`` says on which channels Airavata is told of a job with this request and script.

    Repeatable with ``merge``: jobs that are there stay as they are. Raises InvalidRequest when the ledger has
    jobs and ``merge`` is not set, or when jobs of several ledgers are found and none of them is chosen;
    ConfigurationError for a scheduler that keeps no metadata, and what asking the schedulers raises.
    """
    if not merge and restoring.count(parts.ledger):
        raise InvalidRequest(
            "the ledger has jobs", advice="use --merge to add those that it lacks, or move it away"
        )
    candidates = [one for one in _ours(parts) if only_ledger in (None, one.said.get("ledger", ""))]
    active = [one for one in candidates if one.known.active]
    over = [one for one in candidates if not one.known.active and one.known.task is not None]
    ledgers = sorted({one.said.get("ledger", "") for one in active} - {parts.ledger.instance})
    if len(ledgers) > 1 and only_ledger is None:
        raise InvalidRequest(
            f"the schedulers have jobs of the ledgers {', '.join(word or '(unnamed)' for word in ledgers)}",
            advice="choose one with --ledger",
        )
    newest: dict[int, _Candidate] = {}
    for one in sorted([*over, *active], key=lambda one: (one.known.active, one.attempt)):
        newest[one.job_id] = one
    _check_takeovers(parts, candidates)
    # What is half restored would be ended as unknown.
    with parts.ledger.together():
        found = []
        for _, one in sorted(newest.items()):
            restored = _restored(parts, one, dry_run, channels)
            if restored is not None:
                found.append(restored)
        if candidates and not dry_run:
            _take_over(parts, candidates, {one.key for one in found if not one.problem})
            # Ids of jobs that are over are not used again: the schedulers still know some of their names.
            restoring.begin_after(parts.ledger, max(one.job_id for one in candidates))
    return found


def _check_takeovers(parts: Parts, candidates: Collection[_Candidate]) -> None:
    for cluster, scheduler in parts.schedulers.items():
        if isinstance(scheduler, TakesOver):
            scheduler.may_take_over([one.known.key for one in candidates if one.cluster == cluster])


def _take_over(parts: Parts, candidates: Collection[_Candidate], restored: Collection[JobKey]) -> None:
    for cluster, scheduler in parts.schedulers.items():
        if isinstance(scheduler, TakesOver):
            ours = [one.known for one in candidates if one.cluster == cluster]
            ended = [known.key for known in ours if not known.active and known.key in restored]
            scheduler.take_over([known.key for known in ours], ended)


def _ours(parts: Parts) -> Iterator[_Candidate]:
    for cluster, scheduler in parts.schedulers.items():
        if not isinstance(scheduler, KeepsMetadata):
            raise ConfigurationError(f"the scheduler of {cluster} does not keep what a ledger is made from")
        for role in sorted({queue.role for queue in parts.settings.queues if queue.cluster == cluster}):
            for known in scheduler.known_jobs(role):
                said = said_in(known.metadata)
                numbers = said.get("id", ""), said.get("attempt", "")
                if said.get("provider") != parts.settings.name or not all(_number(text) for text in numbers):
                    continue
                yield _Candidate(cluster, known, said, int(numbers[0]), int(numbers[1]))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:19]) < 2**53


def _restored(parts: Parts, one: _Candidate, dry_run: bool, channels: Choose) -> Restored | None:
    """What became of one job; None for one that is over and needs nothing, as far as can be seen."""
    said, wanted = one.said, one.known.active
    result = Restored(
        one.job_id, one.known.key, one.cluster, said.get("user", ""), unescaped(said.get("directory", ""))
    )
    try:
        request = _request(parts.settings, one)
        files = parts.files_of(request.uid)
        now = parts.clock.now()
        snapshot = files.take_snapshot(request.working_directory, now, {request.name})
        accepted = said.get("accepted", "")
        accepted_at = float(accepted) if _number(accepted) else now
        task = _task(parts, one, request)
        record = JobRecord(
            one.job_id,
            request,
            JobPhase.QUEUED,
            one.cluster,
            one.known.key,
            one.attempt,
            task.run if task is not None else 0,
            accepted_at=accepted_at,
            changed_at=now,
            host=task.host if task is not None else "",
        )
        wanted = one.known.active or (task is not None and to_be_fetched(parts, record, task, snapshot))
        if not wanted:
            return None
        nodes = None
        if request.nodes > 1 and task is not None and (task.phase is JobPhase.RUNNING or task.phase.final):
            nodes = nodes_of(parts, record, task)
        script = _script(parts, request)
        if script == SCRIPT_LOST:
            result = replace(result, lost="its script")
        if dry_run:
            return result
        entered = restoring.restore(
            parts.ledger,
            one.job_id,
            request,
            script,
            snapshot=snapshot,
            cluster=one.cluster,
            key=one.known.key,
            attempt=one.attempt,
            run=record.run,
            node_list=hostlist.in_order([node.name for node in nodes]) if nodes else "",
            array=_array(said),
            channels=channels(request, script),
            accepted_at=accepted_at,
            now=now,
            reason=f"restored from the metadata of {one.known.key}",
        )
        if entered and nodes:
            parts.ledger.gangs.keep(one.job_id, one.attempt, nodes)
    except AiravataMesosError as error:
        return replace(result, problem=str(error)) if wanted else None
    if entered:
        return result
    return replace(result, problem="the ledger has a job with this id") if one.known.active else None


def _task(parts: Parts, one: _Candidate, request: JobRequest) -> TaskObservation | None:
    """The job's newest task, where that matters: asked for if it was not told."""
    if one.known.task is not None or request.nodes == 1:
        return one.known.task
    scheduler, key = parts.schedulers[one.cluster], one.known.key
    return None if isinstance(scheduler, TakesOver) else scheduler.poll([key]).get(key)


def _array(said: Mapping[str, str]) -> tuple[int, int] | None:
    """Id of the array and index in it; None for a job that is no task of one."""
    number, index = said.get("array-id", ""), said.get("array-index", "")
    return (int(number), int(index)) if _number(number) and (_number(index) or index == "0") else None


def _request(settings: ProviderSettings, one: _Candidate) -> JobRequest:
    said, key = one.said, one.known.key
    missing = [name for name in ("uid", "user", "queue", "directory", "ledger") if not said.get(name)]
    if missing:
        raise InvalidRequest(f"its metadata lacks {PREFIX}{missing[0]}")
    if key.name != f"{settings.name}-{said['ledger']}-{one.job_id}-{one.attempt}":
        raise InvalidRequest("its name does not agree with its metadata")
    queue = settings.queue(said["queue"])
    if (queue.cluster, queue.role, queue.environment) != (one.cluster, key.role, key.environment):
        raise InvalidRequest(f"it is not a job of the queue {queue.name}")
    # Whoever may create jobs under the role can write any metadata: names and numbers must agree at least.
    try:
        account = pwd.getpwuid(int(said["uid"])).pw_name if _number(said["uid"]) or said["uid"] == "0" else ""
    except KeyError:
        account = ""
    if account != said["user"]:
        raise NotFound(f"this host has no account {said['user']} with the number {said['uid']}")
    directory = unescaped(said["directory"])
    if not posixpath.isabs(directory):
        raise InvalidRequest(f"its working directory {directory!r} is not absolute")
    text = said.get("wall-time", "")
    seconds = int(text) if _number(text) else 60 * queue.default_wall_time_minutes
    try:
        request = JobRequest.model_validate(
            {
                **rest_in(said),
                "name": said.get("name", key.name),
                "user": said["user"],
                "uid": int(said["uid"]),
                "queue": queue.name,
                "working_directory": directory,
                "resources": one.known.resources,
                "wall_time_seconds": seconds,
                "stdout": unescaped(said.get("stdout", "")) or "slurm-%j.out",
                "stderr": unescaped(said.get("stderr", "")) or None,
                "command": unescaped(said.get("command", "")),
                "labels": labels_in(said),
            }
        )
        if request.array:
            array_indexes(request.array)
        request.model_dump_json()  # the form of the ledger, which holds text only
    except ValidationError as error:
        raise InvalidRequest(f"its metadata makes no sense: {error.errors()[0]['msg']}") from None
    except ValueError as error:
        raise InvalidRequest(f"its metadata makes no sense: {error}") from None
    return request


def _script(parts: Parts, request: JobRequest) -> str:
    """The script where sbatch found it, if that is in the working directory and is still there."""
    directory = posixpath.normpath(request.working_directory)
    path = posixpath.normpath(posixpath.join(directory, request.command)) if request.command else ""
    if not path.startswith(f"{directory}/"):
        return SCRIPT_LOST
    limit = parts.settings.max_script_bytes
    try:
        piece = parts.files_of(request.uid).read_local(directory, path[len(directory) + 1 :], 0, limit)
        text = piece.data.decode("utf-8")
    except (OSError, AiravataMesosError, UnicodeDecodeError):
        return SCRIPT_LOST
    return text if text.startswith("#!") and piece.at_end else SCRIPT_LOST
