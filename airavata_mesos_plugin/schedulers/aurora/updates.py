"""Job updates: starting, steering and reading them (Aurora 0.22)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airavata_mesos_plugin.errors import InvalidRequest, NotFound
from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.caller import Caller
from airavata_mesos_plugin.schedulers.aurora.responses import CallFailed
from airavata_mesos_plugin.schedulers.aurora.views import (
    ConfigGroup,
    Spans,
    config_groups,
    key_of,
    seconds,
)

PAGE = 1000
"""Updates that one call asks for."""

TERMINAL = frozenset({"ROLLED_FORWARD", "ROLLED_BACK", "ABORTED", "ERROR", "FAILED"})


@dataclass(frozen=True)
class UpdateKey:
    """A job and the id of one of its updates."""

    job: JobKey
    id: str

    def __str__(self) -> str:
        return f"{self.job}/{self.id}"


@dataclass(frozen=True)
class Strategy:
    """Queue: ``sizes`` instances at any time. Batch: groups of these sizes, the last size repeats."""

    kind: Literal["queue", "batch"] = "queue"
    sizes: tuple[int, ...] = (1,)
    autopause: bool = False


@dataclass(frozen=True)
class UpdateSettings:
    """How an update goes on. ``instances`` limits it; empty means all."""

    strategy: Strategy = Strategy()
    max_per_instance_failures: int = 0
    max_failed_instances: int = 0
    watch_seconds: float = 45.0
    rollback_on_failure: bool = True
    instances: Spans = ()
    pulse_seconds: float = 0.0  # 0: the update needs no pulses
    sla_aware: bool = False


@dataclass(frozen=True)
class UpdateSummary:
    """One update and how it stands. Times are seconds since the epoch."""

    key: UpdateKey
    user: str
    status: str
    created: float | None
    modified: float | None
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def active(self) -> bool:
        """Whether it still goes on; a status of a later release counts as active."""
        return self.status not in TERMINAL


@dataclass(frozen=True)
class UpdateEvent:
    """A change of an update; ``instance`` is None for one of the whole update."""

    time: float
    what: str
    message: str
    user: str = ""
    instance: int | None = None


@dataclass(frozen=True)
class UpdateDetails:
    """An update with its events, oldest first, and the instances that it changes."""

    summary: UpdateSummary
    events: tuple[UpdateEvent, ...]
    instances: Spans

    def done(self) -> tuple[int, int]:
        """Instances that are over with, in the present direction, and all that are to be changed."""
        back = self.summary.status.startswith(("ROLLING_BACK", "ROLL_BACK", "ROLLED_BACK"))
        words = (
            {"INSTANCE_ROLLED_BACK", "INSTANCE_ROLLBACK_FAILED"}
            if back
            else {"INSTANCE_UPDATED", "INSTANCE_UPDATE_FAILED"}
        )
        over = {event.instance for event in self.events if event.what in words}
        return len(over), sum(last - first + 1 for first, last in self.instances)


@dataclass(frozen=True)
class UpdateDiff:
    """What an update would do, by instances with their present (``add``: future) configuration."""

    add: tuple[ConfigGroup, ...]
    remove: tuple[ConfigGroup, ...]
    update: tuple[ConfigGroup, ...]
    unchanged: tuple[ConfigGroup, ...]


@dataclass(frozen=True)
class UpdateQuery:
    """Which updates: all that are given must hold; nothing given means all."""

    role: str | None = None
    job: JobKey | None = None
    user: str | None = None
    statuses: Collection[str] = field(default=())
    key: UpdateKey | None = None


class UpdateCalls:
    """Calls on updates. See `Caller` for errors."""

    def __init__(self, caller: Caller) -> None:
        self._call = caller.call

    def start(
        self,
        job: Any,
        settings: UpdateSettings,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> UpdateSummary | None:
        """Begin an update to ``job``, a ``JobConfiguration``; None when nothing would change.

        NOT repeatable, though Aurora refuses a second one while the first is active. Raises InvalidRequest.
        """
        request = _request(job, settings, metadata or {})
        result = self._call("startJobUpdate", str(key_of(job.key)), request=request, message=message or None)
        return None if result is None or result.key is None else _started(result)

    def diff(self, job: Any, settings: UpdateSettings) -> UpdateDiff:
        """What an update to ``job`` would do. Repeatable. Raises InvalidRequest."""
        found = self._call("getJobUpdateDiff", str(key_of(job.key)), request=_request(job, settings, {}))
        return UpdateDiff(
            *(
                config_groups(groups or ())
                for groups in (found.add, found.remove, found.update, found.unchanged)
            )
        )

    def pause(self, key: UpdateKey, message: str = "") -> None:
        """Stop before the next instance. Repeatable. Raises InvalidRequest for one that is over."""
        self._steer("pauseJobUpdate", key, message)

    def resume(self, key: UpdateKey, message: str = "") -> None:
        """Go on. NOT repeatable: the next automatic pause would be skipped. Raises InvalidRequest."""
        self._steer("resumeJobUpdate", key, message)

    def abort(self, key: UpdateKey, message: str = "") -> None:
        """End it where it is. Repeatable. Raises InvalidRequest."""
        self._steer("abortJobUpdate", key, message)

    def rollback(self, key: UpdateKey, message: str = "") -> None:
        """Turn back. Repeatable. Raises InvalidRequest, NotFound before Aurora 0.16."""
        self._steer("rollbackJobUpdate", key, message)

    def pulse(self, key: UpdateKey) -> bool:
        """Tell that all is well; False when the update is over or unknown. Repeatable."""
        result = self._call("pulseJobUpdate", str(key), key=_wire(key))
        return bool(result.status == api.JobUpdatePulseStatus.OK)

    def summaries(self, query: UpdateQuery) -> Sequence[UpdateSummary]:
        """The updates that match, newest first. Repeatable. Read in pages."""
        found: dict[UpdateKey, UpdateSummary] = {}
        offset = 0
        while True:
            wire = _query(query, offset)
            result = self._call("getJobUpdateSummaries", _subject(query), jobUpdateQuery=wire)
            page = [_summary(one) for one in result.updateSummaries or ()]
            for one in page:
                found.setdefault(one.key, one)  # the order moves while we read
            if len(page) < PAGE:
                return tuple(found.values())
            offset += PAGE

    def details(self, key: UpdateKey) -> UpdateDetails:
        """One update with its events. Repeatable. Raises NotFound."""
        query = _query(UpdateQuery(key=key), 0)
        try:
            result = self._call("getJobUpdateDetails", str(key), query=query)
        except CallFailed:
            # Before 0.16 the query is not known and skipped, so that nothing is left of the arguments.
            result = self._call("getJobUpdateDetails", str(key), key=_wire(key))
        found = tuple(result.detailsList or ()) or tuple(filter(None, (result.details,)))
        if not found:
            raise NotFound(f"there is no update {key}")
        return _details(found[0])

    def _steer(self, name: str, key: UpdateKey, message: str) -> None:
        self._call(name, str(key), key=_wire(key), message=message or None)


def _wire(key: UpdateKey) -> Any:
    job = api.JobKey(role=key.job.role, environment=key.job.environment, name=key.job.name)
    return api.JobUpdateKey(job=job, id=key.id)


def _request(job: Any, settings: UpdateSettings, metadata: Mapping[str, str]) -> Any:
    strategy, sizes = settings.strategy, settings.strategy.sizes
    if not sizes:
        raise InvalidRequest("an update needs a group size")
    if strategy.kind == "queue":
        union = api.JobUpdateStrategy(queueStrategy=api.QueueJobUpdateStrategy(groupSize=sizes[0]))
    elif len(sizes) == 1:
        batch = api.BatchJobUpdateStrategy(groupSize=sizes[0], autopauseAfterBatch=strategy.autopause)
        union = api.JobUpdateStrategy(batchStrategy=batch)
    else:
        various = api.VariableBatchJobUpdateStrategy(groupSizes=sizes, autopauseAfterBatch=strategy.autopause)
        union = api.JobUpdateStrategy(varBatchStrategy=various)
    return api.JobUpdateRequest(
        taskConfig=job.taskConfig,
        instanceCount=job.instanceCount,
        settings=api.JobUpdateSettings(
            # Both forms of the strategy: schedulers before 0.22 know the first two fields only.
            updateGroupSize=sizes[0],
            waitForBatchCompletion=strategy.kind == "batch",
            updateStrategy=union,
            maxPerInstanceFailures=settings.max_per_instance_failures,
            maxFailedInstances=settings.max_failed_instances,
            minWaitInInstanceRunningMs=round(settings.watch_seconds * 1000),
            rollbackOnFailure=settings.rollback_on_failure,
            updateOnlyTheseInstances=frozenset(
                api.Range(first=first, last=last) for first, last in settings.instances
            ),
            blockIfNoPulsesAfterMs=round(settings.pulse_seconds * 1000),
            slaAware=settings.sla_aware,
        ),
        metadata=frozenset(api.Metadata(key=name, value=value) for name, value in metadata.items()),
    )


def _query(query: UpdateQuery, offset: int) -> Any:
    known = api.JobUpdateStatus._NAMES_TO_VALUES
    wrong = sorted(set(query.statuses) - set(known))
    if wrong:
        raise InvalidRequest(f"{wrong[0]!r} is no status of an update; there are {', '.join(sorted(known))}")
    job = query.job
    return api.JobUpdateQuery(
        role=query.role,
        jobKey=None if job is None else api.JobKey(role=job.role, environment=job.environment, name=job.name),
        user=query.user,
        updateStatuses=frozenset(known[name] for name in query.statuses),
        key=None if query.key is None else _wire(query.key),
        offset=offset,
        limit=PAGE,
    )


def _subject(query: UpdateQuery) -> str:
    return str(query.key or query.job or query.role or "all roles")


def _started(result: Any) -> UpdateSummary:
    key = UpdateKey(key_of(result.key.job), result.key.id)
    if result.updateSummary is None or result.updateSummary.key is None:
        return UpdateSummary(key, "", "", None, None)
    return _summary(result.updateSummary)


def _summary(wire: Any) -> UpdateSummary:
    state = wire.state
    names = api.JobUpdateStatus._VALUES_TO_NAMES
    # The answer to a start has no state yet.
    status = (
        "" if state is None or state.status is None else names.get(state.status, f"UNKNOWN_{state.status}")
    )
    return UpdateSummary(
        key=UpdateKey(key_of(wire.key.job), wire.key.id or ""),
        user=wire.user or "",
        status=status,
        created=None if state is None else seconds(state.createdTimestampMs),
        modified=None if state is None else seconds(state.lastModifiedTimestampMs),
        metadata=tuple(sorted((note.key or "", note.value or "") for note in wire.metadata or ())),
    )


def _details(wire: Any) -> UpdateDetails:
    statuses, actions = api.JobUpdateStatus._VALUES_TO_NAMES, api.JobUpdateAction._VALUES_TO_NAMES
    events = [
        UpdateEvent(
            (one.timestampMs or 0) / 1000,
            statuses.get(one.status, f"UNKNOWN_{one.status}"),
            one.message or "",
            one.user or "",
        )
        for one in wire.updateEvents or ()
    ]
    events += [
        UpdateEvent(
            (one.timestampMs or 0) / 1000,
            actions.get(one.action, f"UNKNOWN_{one.action}"),
            one.message or "",
            instance=one.instanceId or 0,
        )
        for one in wire.instanceEvents or ()
    ]
    instructions = wire.update.instructions
    parts = [] if instructions is None else list(instructions.initialState or ())
    if instructions is not None and instructions.desiredState is not None:
        parts.append(instructions.desiredState)
    ids = {n for part in parts for one in part.instances or () for n in range(one.first, one.last + 1)}
    return UpdateDetails(
        summary=_summary(wire.update.summary),
        events=tuple(sorted(events, key=lambda event: event.time)),
        instances=as_spans(ids),
    )


def as_spans(ids: Collection[int]) -> Spans:
    """Numbers as closed ranges."""
    found: list[tuple[int, int]] = []
    for number in sorted(ids):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
