"""A framework that still runs at the master although our records of it are lost: found, checked, taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import InvalidRequest, NotReady
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.mesos.framework import Framework
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster
from airavata_mesos_plugin.schedulers.mesos.recovering import FoundFramework, frameworks_in
from airavata_mesos_plugin.schedulers.mesos.tracking import TrackedJob


class Takeover:
    """What a master told last of frameworks with our name and principal. For one thread."""

    def __init__(self, master: MesosMaster, name: str, principal: str | None, clock: Clock) -> None:
        self._master = master
        self._name = name
        self._principal = principal
        self._clock = clock
        self._found: list[FoundFramework] = []
        self._framework_of_task: dict[str, str] = {}

    def look(self) -> None:
        """Ask the master. Repeatable. Raises what `MesosMaster.get` raises.

        NotReady while agents have not registered again at a new master: their tasks would be missed.
        """
        state = self._master.get("/state")
        recovered = state.get("recovered_slaves")
        if isinstance(recovered, list) and recovered:
            raise NotReady(
                f"{len(recovered)} agents have not registered again yet at the Mesos master",
                advice="try again in some minutes",
            )
        self._found = frameworks_in(state, self._name, self._principal, self._clock.now())
        self._framework_of_task = {
            member.task_id: found.id for found in self._found for job in found.jobs for member in job.members
        }

    def jobs(self) -> Iterator[TrackedJob]:
        """All jobs that were found; the running framework's before those of frameworks that are over."""
        for found in self._found:
            yield from found.jobs

    def id_of(self, task_id: str) -> str | None:
        """Id of the framework in which a task was found."""
        return self._framework_of_task.get(task_id)

    def framework_of(self, keys: Collection[JobKey], ours: Framework) -> str | None:
        """Id of the framework that has these jobs; None when there is none, or it is ours already.

        Raises InvalidRequest when it must not be taken over.
        """
        wanted = set(keys)
        having = [
            found for found in self._found if not found.over and any(job.key in wanted for job in found.jobs)
        ]
        if not having:
            return None
        if len(having) > 1:
            raise InvalidRequest(
                f"the jobs belong to the frameworks {', '.join(found.id for found in having)} of Mesos, and"
                " only one can be taken over",
                advice="choose jobs of one with --ledger, or tear the other one down",
            )
        (found,) = having
        if found.id == ours.framework_id:
            return None
        if found.connected:
            raise InvalidRequest(
                f"the framework {found.id} is connected to its Mesos master: a daemon works with it",
                advice="stop that daemon first",
            )
        if ours.framework_id is not None and not ours.idle():
            raise InvalidRequest(
                f"the ledger has jobs under way in the framework {ours.framework_id} of Mesos, so it cannot"
                f" take over {found.id}",
                advice="wait until they have ended, or move this ledger away",
            )
        return found.id

    def jobs_to_follow(self, framework_id: str | None, ended: Collection[JobKey]) -> list[TrackedJob]:
        """All jobs of that framework that go on: what it does not know it would kill. Besides, those
        ``ended`` ones that were found anywhere.
        """
        wanted = set(ended)
        chosen: dict[JobKey, TrackedJob] = {}
        for found in self._found:
            for job in found.jobs:
                if (found.id == framework_id and job.ended is None) or job.key in wanted:
                    chosen.setdefault(job.key, job)
        return list(chosen.values())
