"""Makes a lost ledger again from what the schedulers know of our active jobs.

Metadata carries id, attempt, names, account, queue, working directory, output files and wall time. It does
not carry the script, which is read again where sbatch found it, the arguments, the environment, arrays,
dependencies, and who held or cancelled a job.
"""

from __future__ import annotations

import posixpath
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import AiravataMesosError, ConfigurationError, InvalidRequest, NotFound
from airavata_mesos_plugin.jobs import JobKey, JobRequest
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.schedulers.base import KeepsMetadata, KnownJob
from airavata_mesos_plugin.store import restoring

PREFIX = "airavata-mesos."
SCRIPT_LOST = """#!/bin/sh
echo 'The script of this job was lost together with the ledger of airavata-mesos. Submit it again.' >&2
exit 1
"""
"""What a job runs that had not fetched its inputs yet, and whose script is no longer where it was."""


@dataclass(frozen=True)
class Restored:
    """One job of the schedulers, and what became of it; ``problem`` is empty when it was restored."""

    job_id: int
    key: JobKey
    cluster: str
    user: str
    directory: str
    problem: str = ""


@dataclass(frozen=True)
class _Candidate:
    cluster: str
    known: KnownJob
    said: Mapping[str, str]
    job_id: int
    attempt: int


def rebuild(
    parts: Parts, *, merge: bool = False, only_ledger: str | None = None, dry_run: bool = False
) -> list[Restored]:
    """Enter every active job of this provider that the schedulers have; what became of each.

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
    ledgers = sorted({one.said.get("ledger", "") for one in active} - {parts.ledger.instance})
    if len(ledgers) > 1 and only_ledger is None:
        raise InvalidRequest(
            f"the schedulers have jobs of the ledgers {', '.join(word or '(unnamed)' for word in ledgers)}",
            advice="choose one with --ledger",
        )
    newest: dict[int, _Candidate] = {}
    for one in sorted(active, key=lambda one: one.attempt):
        newest[one.job_id] = one
    found = [_restored(parts, one, dry_run) for one in sorted(newest.values(), key=lambda one: one.job_id)]
    if candidates and not dry_run:
        # Ids of jobs that are over are not used again: the schedulers still know some of their names.
        restoring.begin_after(parts.ledger, max(one.job_id for one in candidates))
    return found


def _ours(parts: Parts) -> Iterator[_Candidate]:
    for cluster, scheduler in parts.schedulers.items():
        if not isinstance(scheduler, KeepsMetadata):
            raise ConfigurationError(f"the scheduler of {cluster} does not keep what a ledger is made from")
        for role in sorted({queue.role for queue in parts.settings.queues if queue.cluster == cluster}):
            for known in scheduler.known_jobs(role):
                said = {
                    name.removeprefix(PREFIX): value
                    for name, value in known.metadata
                    if name.startswith(PREFIX)
                }
                numbers = said.get("id", ""), said.get("attempt", "")
                if said.get("provider") != parts.settings.name or not all(_number(text) for text in numbers):
                    continue
                yield _Candidate(cluster, known, said, int(numbers[0]), int(numbers[1]))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:19]) < 2**53


def _restored(parts: Parts, one: _Candidate, dry_run: bool) -> Restored:
    said = one.said
    result = Restored(
        one.job_id, one.known.key, one.cluster, said.get("user", ""), unquote(said.get("directory", ""))
    )
    try:
        request = _request(parts.settings, one)
        files = parts.files_of(request.uid)
        now = parts.clock.now()
        snapshot = files.take_snapshot(request.working_directory, now, {request.name})
        if dry_run:
            return result
        accepted = said.get("accepted", "")
        entered = restoring.restore(
            parts.ledger,
            one.job_id,
            request,
            _script(parts, request),
            snapshot=snapshot,
            cluster=one.cluster,
            key=one.known.key,
            attempt=one.attempt,
            accepted_at=float(accepted) if _number(accepted) else now,
            now=now,
            reason=f"restored from the metadata of {one.known.key}",
        )
    except AiravataMesosError as error:
        return _with(result, str(error))
    return result if entered else _with(result, "the ledger has a job with this id")


def _with(result: Restored, problem: str) -> Restored:
    return Restored(result.job_id, result.key, result.cluster, result.user, result.directory, problem)


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
    directory = unquote(said["directory"], errors="surrogateescape")
    if not posixpath.isabs(directory):
        raise InvalidRequest(f"its working directory {directory!r} is not absolute")
    stderr = unquote(said.get("stderr", ""), errors="surrogateescape")
    seconds = said.get("wall-time", "")
    return JobRequest(
        name=said.get("name", key.name),
        user=said["user"],
        uid=int(said["uid"]),
        queue=queue.name,
        working_directory=directory,
        resources=one.known.resources,
        wall_time_seconds=int(seconds) if _number(seconds) else 60 * queue.default_wall_time_minutes,
        stdout=unquote(said.get("stdout", ""), errors="surrogateescape") or "slurm-%j.out",
        stderr=stderr or None,
        command=unquote(said.get("command", ""), errors="surrogateescape"),
        labels=tuple(
            (unquote(name.removeprefix("label.")), unquote(value))
            for name, value in said.items()
            if name.startswith("label.")
        ),
    )


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
