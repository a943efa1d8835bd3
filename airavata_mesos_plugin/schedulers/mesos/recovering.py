"""Jobs made again from what a master tells of their tasks, when the records of the framework are lost.

Read from ``/state`` (v0, Mesos 1.5 to 1.11). Labels and ids say which job a task is of. What it runs, and how
long it may take to end, no master tells: such a job is followed and ended, but never launched again.

Whoever may launch tasks may write any label, so only frameworks of our name and principal are read, and a
task whose labels and id do not agree is none of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.job_metadata import NODES
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.mesos.jobform import MesosJob, parse
from airavata_mesos_plugin.schedulers.mesos.taskinfo import KEY_LABEL
from airavata_mesos_plugin.schedulers.mesos.tracking import BEGUN, RUNS, Member, TrackedJob
from airavata_mesos_plugin.states import MESOS_PHASES, mesos_phase

NOT_TOLD = ("/bin/false",)
"""What stands in a form for the command, which no master tells. It is never sent."""

_ENDING = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,4}))?")
_AMOUNTS = ("cpus", "mem", "disk", "gpus")


@dataclass(frozen=True)
class FoundFramework:
    """One framework of our name and principal. Of one that is ``over`` no task runs, and the id is spent."""

    id: str
    over: bool
    connected: bool
    jobs: tuple[TrackedJob, ...]


@dataclass(frozen=True)
class _Task:
    key: JobKey
    launch: int
    index: int
    nodes: int
    member: Member
    queued_at: float
    document: Mapping[str, Any]  # the form that the task alone would make


def frameworks_in(
    state: Mapping[str, Any], name: str, principal: str | None, now: float
) -> list[FoundFramework]:
    """The frameworks called ``name`` of ``principal`` (None: not authenticated), with the newest launch of
    each of their jobs. Whatever makes no sense is left out. ``now`` is in seconds since the epoch.
    """
    hosts = {_text(agent.get("id")): _text(agent.get("hostname")) for agent in _objects(state, "slaves")}
    found = []
    for member in ("frameworks", "completed_frameworks"):
        for framework in _objects(state, member):
            if framework.get("name") != name or (framework.get("principal") or None) != principal:
                continue
            framework_id, over = _text(framework.get("id")), member == "completed_frameworks"
            if framework_id:
                jobs = _jobs(_tasks(framework, over, hosts, now), framework_id, now)
                found.append(FoundFramework(framework_id, over, bool(framework.get("connected")), jobs))
    return found


def _tasks(framework: Mapping[str, Any], over: bool, hosts: Mapping[str, str], now: float) -> Iterator[_Task]:
    # The master moves a task to the completed ones once the framework has acknowledged its end.
    for member, ended in (("tasks", over), ("unreachable_tasks", over), ("completed_tasks", True)):
        for task in _objects(framework, member):
            read = _task(task, ended, hosts, now)
            if read is not None:
                yield read


def _task(task: Mapping[str, Any], ended: bool, hosts: Mapping[str, str], now: float) -> _Task | None:
    labels = _labels(task)
    said = dict(labels)
    parts = said.get(KEY_LABEL, "").split("/")
    if len(parts) != 3:
        return None
    key = JobKey(*parts)
    task_id, stem = _text(task.get("id")), f"{key.role}.{key.environment}.{key.name}."
    match = _ENDING.fullmatch(task_id.removeprefix(stem)) if task_id.startswith(stem) else None
    nodes = _count(said.get(NODES, "1"))
    if match is None or nodes is None or (match[2] is None) != (nodes == 1):
        return None
    index = int(match[2] or 0)
    if index >= nodes:
        return None
    statuses = _statuses(task)
    agent_id = _text(task.get("slave_id"))
    member = _member(task_id, agent_id, hosts.get(agent_id, ""), _text(task.get("state")), statuses, now)
    if ended:
        _end(member, statuses)
    document = {
        "role": key.role,
        "environment": key.environment,
        "name": key.name,
        "metadata": [{"key": name, "value": value} for name, value in labels if name != KEY_LABEL],
        "tasks": [{"arguments": list(NOT_TOLD), "resources": _resources(task)}],
    }
    queued_at = min((at for _, at in statuses), default=now)
    return _Task(key, int(match[1]), index, nodes, member, queued_at, document)


def _member(
    task_id: str, agent_id: str, host: str, state: str, statuses: list[tuple[str, float]], now: float
) -> Member:
    """A task that may be running. An end that was not acknowledged is told again, with its reason."""
    certain = [(word, at) for word, at in statuses if (phase := MESOS_PHASES[word]) and not phase.final]
    word, at = certain[-1] if certain else ("TASK_STAGING", statuses[-1][1] if statuses else now)
    phase = MESOS_PHASES[word]
    member = Member(task_id, agent_id, host, state=word, phase=phase or JobPhase.QUEUED, changed_at=at)
    member.started_at = next((at for word, at in statuses if word in RUNS), None)
    member.begun = any(word in BEGUN for word, _ in statuses)
    if state in MESOS_PHASES and MESOS_PHASES[state] is None:
        member.state = state
        member.suspect_since = next((at for word, at in reversed(statuses) if word == state), now)
    return member


def _end(member: Member, statuses: list[tuple[str, float]]) -> None:
    """The task is over, and this framework has known that. v0 tells no reason."""
    state, at = statuses[-1] if statuses else ("", member.changed_at)
    phase = mesos_phase(state, "") if state else None
    member.suspect_since = None
    if phase is None or not phase.final:
        member.state, member.phase, member.message = "TASK_LOST", JobPhase.LOST, "its end is not known"
    else:
        member.state, member.phase = state, phase
    member.changed_at = at


def _jobs(tasks: Iterable[_Task], framework_id: str, now: float) -> tuple[TrackedJob, ...]:
    launches: dict[JobKey, dict[int, _Task]] = {}
    for task in tasks:
        known = launches.get(task.key)
        first = next(iter(known.values())) if known else None
        if known is None or first is None or task.launch > first.launch:
            launches[task.key] = {task.index: task}
        elif (task.launch, task.nodes) == (first.launch, first.nodes) and not (
            # An end that was told beats what is still shown of the time before.
            task.index in known and known[task.index].member.over
        ):
            known[task.index] = task
    made = (_job(key, members, framework_id, now) for key, members in launches.items())
    return tuple(job for job in made if job is not None)


def _job(key: JobKey, tasks: Mapping[int, _Task], framework_id: str, now: float) -> TrackedJob | None:
    speaker = tasks[min(tasks)]
    form = _form(speaker)
    if form is None:
        return None
    queued_at = min(task.queued_at for task in tasks.values())
    job = TrackedJob(
        key,
        form,
        accepted_at=queued_at,
        queued_at=queued_at,
        launch=speaker.launch,
        framework_id=framework_id,
        taken_over=True,
    )
    over = all(task.member.over for task in tasks.values())
    for index in range(speaker.nodes):
        job.members.append(tasks[index].member if index in tasks else _missing(job.task_id(index), over, now))
    job.changed_at = max(task.member.changed_at for task in tasks.values())
    ended = [index for index, task in tasks.items() if task.member.over]
    if ended:
        job.first_end = min(ended, key=lambda index: (tasks[index].member.changed_at, index))
        if over:
            job.ended = job.members[job.first_end].phase
    return job


def _missing(task_id: str, over: bool, now: float) -> Member:
    """A task of a gang that the master does not list: it is asked for by its name."""
    if over:
        return Member(task_id, "", "", state="TASK_LOST", phase=JobPhase.LOST, changed_at=now)
    return Member(task_id, "", "", state="TASK_UNKNOWN", changed_at=now, suspect_since=now)


def _form(task: _Task) -> MesosJob | None:
    try:
        return parse({**task.document, "tasks": list(task.document["tasks"]) * task.nodes})
    except InvalidRequest:
        return None


# The parts of a document that anybody may have written


def _objects(document: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    found = document.get(member)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _labels(task: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value; a name that stands twice has its first value."""
    found: dict[str, str] = {}
    for label in _objects(task, "labels"):
        name, value = label.get("key"), label.get("value", "")
        if isinstance(name, str) and isinstance(value, str):
            found.setdefault(name, value)
    return list(found.items())


def _count(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return number if number > 0 else None


def _statuses(task: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Known states with their times, oldest first."""
    found = []
    for status in _objects(task, "statuses"):
        word, at = status.get("state"), status.get("timestamp")
        if isinstance(word, str) and word in MESOS_PHASES and _amount(at):
            found.append((word, float(at)))
    return sorted(found, key=lambda one: one[1])


def _amount(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12


def _resources(task: Mapping[str, Any]) -> dict[str, float]:
    told = task.get("resources")
    amounts = dict(told) if isinstance(told, dict) else {}
    found = {name: float(amounts[name]) for name in _AMOUNTS if name in amounts and _amount(amounts[name])}
    # The form wants some; a task that was launched had them.
    return {**found, "cpus": max(0.01, found.get("cpus", 0)), "mem": max(1, found.get("mem", 0))}
