"""From Aurora's tasks to one observation per job (Aurora 0.22).

A job keeps its ended tasks for a while, and each restart is a new task that names the one before. What a
reader wants is the newest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from airavata_mesos_plugin.errors import ProtocolError
from airavata_mesos_plugin.gen.aurora.constants import ACTIVE_STATES
from airavata_mesos_plugin.gen.aurora.ttypes import ScheduledTask, ScheduleStatus
from airavata_mesos_plugin.job_metadata import NODES
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import NodeTask, TaskObservation
from airavata_mesos_plugin.states import AURORA_PHASES


def native_name(status: int | None) -> str:
    """Aurora's name of a status number; ``UNKNOWN_<n>`` for numbers of later releases."""
    name: str = ScheduleStatus._VALUES_TO_NAMES.get(status, f"UNKNOWN_{status}")
    return name


def phase_of(status: int | None) -> JobPhase:
    """The phase of a task in that status.

    A number that this release of the table does not have is an active state: all four ends have been there
    since the first release, and the states that were added since, such as PARTITIONED in 0.20.0, are active.
    """
    name = native_name(status)
    if status not in ScheduleStatus._VALUES_TO_NAMES:
        return JobPhase.RUNNING
    return AURORA_PHASES[name]


def observe(tasks: Iterable[ScheduledTask], now: float) -> dict[JobKey, TaskObservation]:
    """One observation for each job that has a task among ``tasks``.

    ``now``, in seconds since the epoch, stands in where a task has no events. Raises ProtocolError for a
    task that does not say whose it is.
    """
    by_job: dict[JobKey, list[ScheduledTask]] = defaultdict(list)
    for task in tasks:
        assigned = task.assignedTask
        wire = assigned.task.job if assigned is not None and assigned.task is not None else None
        if wire is None or not assigned.taskId:
            raise ProtocolError("the scheduler's answer holds a task without job key or task id")
        by_job[JobKey(wire.role, wire.environment, wire.name)].append(task)
    return {key: _fold(key, found, now) for key, found in by_job.items()}


def _fold(key: JobKey, tasks: Sequence[ScheduledTask], now: float) -> TaskObservation:
    by_instance: dict[int, list[ScheduledTask]] = defaultdict(list)
    for task in tasks:
        by_instance[task.assignedTask.instanceId or 0].append(task)
    latest = [newest(found) for found in by_instance.values()]
    # With several instances a restart of any of them begins a new run of the job.
    run = sum(_earlier(task, found) for task, found in zip(latest, by_instance.values(), strict=True))
    first = _first_node(latest)
    if first is None:
        return _observation(key, _speaker(latest), run, now)
    return replace(_observation(key, first, run, now), nodes=_nodes(latest))


def newest(tasks: Sequence[ScheduledTask]) -> ScheduledTask:
    """The newest of the tasks of one instance.

    That is the active one, of which there is one at most; else the one that was created last. A task that
    another one replaced is never it, whatever the clocks of two schedulers said.
    """
    replaced = {task.ancestorId for task in tasks}
    heads = [task for task in tasks if task.assignedTask.taskId not in replaced] or tasks
    return max(
        heads,
        key=lambda task: (_active(task), _created(task), _changed(task), task.assignedTask.taskId),
    )


def _earlier(task: ScheduledTask, tasks: Sequence[ScheduledTask]) -> int:
    """How many tasks the instance had before this one, as far as can be told.

    Old tasks are pruned, which shortens both the list and the chain of ancestors, so the number may fall
    during the life of one task; failures are counted in the task itself and are not forgotten.
    """
    by_id = {other.assignedTask.taskId: other for other in tasks}
    chain: list[str] = []
    ancestor = task.ancestorId
    while ancestor and ancestor not in chain:
        chain.append(ancestor)
        ancestor = by_id[ancestor].ancestorId if ancestor in by_id else None
    # The failure that ended this very task is counted too.
    failures: int = (task.failureCount or 0) - (task.status == ScheduleStatus.FAILED)
    return max(len(chain), len(tasks) - 1, failures)


def _first_node(latest: Sequence[ScheduledTask]) -> ScheduledTask | None:
    """The task that speaks for a job over several nodes: the script runs there, and the others follow it."""
    for task in latest:
        if not task.assignedTask.instanceId:
            notes = task.assignedTask.task.metadata or ()
            return task if any(note.key == NODES for note in notes) else None
    return None


def _nodes(latest: Sequence[ScheduledTask]) -> tuple[NodeTask, ...]:
    known = {task.assignedTask.instanceId or 0: task.assignedTask for task in latest}
    return tuple(
        NodeTask(known[number].taskId, known[number].slaveId or "") if number in known else NodeTask()
        for number in range(max(known) + 1)
    )


def _speaker(latest: Sequence[ScheduledTask]) -> ScheduledTask:
    """The task that speaks for a job of several instances.

    The job goes on as long as any is active, and the furthest of those speaks; a job that is over failed
    when any of its instances did not finish.
    """
    active = [task for task in latest if _active(task)]
    if active:
        return max(
            active, key=lambda task: (phase_of(task.status).rank, -(task.assignedTask.instanceId or 0))
        )
    spoiled = [task for task in latest if task.status != ScheduleStatus.FINISHED]
    return max(spoiled or latest, key=_changed)


def _observation(key: JobKey, task: ScheduledTask, run: int, now: float) -> TaskObservation:
    assigned, events = task.assignedTask, task.taskEvents or ()
    started = [event.timestamp for event in events if event.status == ScheduleStatus.RUNNING]
    return TaskObservation(
        key=key,
        task_id=assigned.taskId,
        native_state=native_name(task.status),
        phase=phase_of(task.status),
        run=run,
        changed_at=_changed(task) / 1000 if events else now,
        queued_at=_created(task) / 1000 if events else None,
        started_at=min(started) / 1000 if started else None,
        host=assigned.slaveHost or "",
        agent_id=assigned.slaveId or "",
        message=(events[-1].message or "") if events else "",
        metadata=tuple((note.key or "", note.value or "") for note in assigned.task.metadata or ()),
        kill_seen=any(event.status == ScheduleStatus.KILLING for event in events),
    )


def _active(task: ScheduledTask) -> bool:
    return task.status in ACTIVE_STATES or task.status not in ScheduleStatus._VALUES_TO_NAMES


def _created(task: ScheduledTask) -> int:
    """Milliseconds of the first event; -1 without events."""
    return task.taskEvents[0].timestamp or 0 if task.taskEvents else -1


def _changed(task: ScheduledTask) -> int:
    """Milliseconds of the last event; -1 without events."""
    return task.taskEvents[-1].timestamp or 0 if task.taskEvents else -1
