"""One update with everything that is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey, key_of
from airavata_mesos_plugin.minicluster.scheduler.updates.machine import ACTIVE, FORWARD, Action, UpdateStatus
from airavata_mesos_plugin.minicluster.scheduler.updates.plan import Portions, members


class Update:
    """`events` and `instance_events` are what lasts; the rest is found again from them and the tasks."""

    def __init__(
        self, update_id: str, user: str, metadata: frozenset[Any], instructions: Any, key: Any
    ) -> None:
        self.update_id = update_id
        self.user = user
        self.metadata = metadata
        self.instructions = instructions
        self.job: JobKey = key_of(key)
        self.events: list[Any] = []
        self.instance_events: list[Any] = []
        self.settings = instructions.settings
        self.portions = Portions(self.settings)
        self.before = {
            instance: entry.task
            for entry in instructions.initialState
            for instance in members(entry.instances)
        }
        desired = instructions.desiredState
        self.after = {} if desired is None else dict.fromkeys(members(desired.instances), desired.task)
        self.last_pulse_ms: int | None = None
        self.idle: list[int] = []
        self.working: set[int] = set()
        self.begun = 0
        self.failures: Counter[int] = Counter()
        self.failed: set[int] = set()
        self.last_failed: int | None = None
        self.goes_on = False
        """Somebody resumed the update after it paused by itself."""

    @property
    def status(self) -> UpdateStatus:
        return UpdateStatus(self.events[-1].status)

    @property
    def active(self) -> bool:
        return self.status in ACTIVE

    @property
    def forward(self) -> bool:
        return self.status in FORWARD

    @property
    def created_ms(self) -> int:
        return int(self.events[0].timestampMs)

    @property
    def modified_ms(self) -> int:
        latest = (*self.events[-1:], *self.instance_events[-1:])
        return int(max(event.timestampMs for event in latest))

    def wanted(self, instance: int) -> Any:
        """The configuration that the instance is to have in the present direction; None when it is to go."""
        return (self.after if self.forward else self.before).get(instance)

    def plan(self) -> None:
        """Begin the present direction: what to create first, then what to change, then what to end; the
        other way round when going back."""
        creating = sorted(set(self.after) - set(self.before))
        changing = sorted(set(self.after) & set(self.before))
        ending = sorted(set(self.before) - set(self.after))
        order = [*creating, *changing, *ending]
        self.idle = order if self.forward else order[::-1]
        self.working.clear()
        self.failures.clear()
        self.failed.clear()
        self.begun = 0
        self.goes_on = True

    def note(
        self, instance: int, forward: Action, back: Action, now_ms: int, message: str | None = None
    ) -> None:
        """Record what happened to an instance; each action is told once."""
        action = forward if self.forward else back
        if all((event.instanceId, event.action) != (instance, action) for event in self.instance_events):
            self.instance_events.append(
                api.JobInstanceUpdateEvent(
                    instanceId=instance, timestampMs=now_ms, action=int(action), message=message
                )
            )

    def key_struct(self) -> Any:
        return api.JobUpdateKey(job=api.JobKey(**self.job._asdict()), id=self.update_id)

    def summary(self, with_state: bool = True) -> Any:
        state = None
        if with_state:
            state = api.JobUpdateState(
                status=int(self.status),
                createdTimestampMs=self.created_ms,
                lastModifiedTimestampMs=self.modified_ms,
            )
        return api.JobUpdateSummary(
            key=self.key_struct(), user=self.user, state=state, metadata=self.metadata
        )

    def details(self) -> Any:
        return api.JobUpdateDetails(
            update=api.JobUpdate(summary=self.summary(), instructions=self.instructions),
            updateEvents=tuple(self.events),
            instanceEvents=tuple(self.instance_events),
        )


def from_details(details: Any) -> Update:
    """An update as it was told of; one that was under way plans anew."""
    summary = details.update.summary
    update = Update(
        summary.key.id, summary.user, summary.metadata, details.update.instructions, summary.key.job
    )
    update.events = list(details.updateEvents)
    update.instance_events = list(details.instanceEvents)
    if update.active:
        update.plan()
    return update


def newest_first(updates: Iterable[Update]) -> list[Update]:
    return sorted(updates, key=lambda update: update.modified_ms, reverse=True)
