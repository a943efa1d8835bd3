"""Which framework may be taken over, and what it does with what it got."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.errors import InvalidRequest, NotReady
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.mesos.framework import Framework
from airavata_mesos_plugin.schedulers.mesos.jobform import parse
from airavata_mesos_plugin.schedulers.mesos.limits import Limits
from airavata_mesos_plugin.schedulers.mesos.master import MesosMaster
from airavata_mesos_plugin.schedulers.mesos.takeover import Takeover
from tests.unit.mesos.test_mesos_framework import Master, Store
from tests.unit.mesos.test_mesos_recovering import KEY, NAME, PRINCIPAL, framework, labels, state, task

OTHER = JobKey("www", "prod", "other")


def other(**members: Any) -> dict[str, Any]:
    return task("www.prod.other.0", labels=labels(str(OTHER)), **members)


class Site:
    """A framework without records, and a master that tells what a test says."""

    def __init__(self, mocker: MockerFixture) -> None:
        self.clock = ManualClock()
        self.store = Store()
        self.framework = self.made()
        self.master = mocker.create_autospec(MesosMaster, instance=True, spec_set=True)
        self.takeover = Takeover(self.master, NAME, PRINCIPAL, self.clock)

    def made(self) -> Framework:
        return Framework(self.store, self.clock, Limits(), lambda: None)

    def told(self, *frameworks: Any, **more: Any) -> None:
        completed = more.pop("completed", ())
        self.master.get.return_value = {**state(*frameworks, completed=completed), **more}
        self.takeover.look()

    def chosen(self, *keys: JobKey) -> str | None:
        return self.takeover.framework_of(keys or [KEY], self.framework)

    def take(self, *ended: JobKey) -> Framework:
        chosen = self.chosen()
        following = self.takeover.jobs_to_follow(chosen or self.framework.framework_id, ended)
        self.framework.take_over(chosen, following)
        return self.made()  # as the daemon will find it


@pytest.fixture
def site(mocker: MockerFixture) -> Site:
    return Site(mocker)


class Killer(Master):
    """Remembers how long those that it kills may take."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.kills: list[tuple[str, str, float | None]] = []

    def kill(self, task_id: str, agent_id: str, grace_seconds: float | None) -> None:
        self.kills.append((task_id, agent_id, grace_seconds))


def keys(framework: Framework) -> set[JobKey]:
    return {job.key for job in framework.of_role("www")}


def test_the_framework_goes_on_under_its_id_with_all_that_runs(site: Site) -> None:
    site.told(framework(task(), other()))
    taken = site.take()
    assert taken.framework_id == "F1"
    # What it does not know it would kill, so it knows those that nobody asks for, too.
    assert keys(taken) == {KEY, OTHER}
    assert taken.observations([KEY])[KEY].phase is JobPhase.RUNNING
    site.framework.cancel(KEY, "no more")
    again = site.take()  # a repeat changes nothing
    assert keys(again) == {KEY, OTHER}
    assert {job.kill for job in again.of_role("www")} == {"no more", None}


def test_jobs_that_are_over_are_known_when_they_are_asked_for(site: Site) -> None:
    over = other(state="TASK_FINISHED", statuses=(("TASK_FINISHED", 5.0),))
    site.told(framework(task(), completed_tasks=[over]))
    assert keys(site.take()) == {KEY}
    assert keys(site.take(OTHER)) == {KEY, OTHER}
    assert site.takeover.id_of("www.prod.other.0") == "F1"


def test_jobs_of_a_framework_that_was_removed(site: Site) -> None:
    site.told(completed=(framework(task(), connected=True),))
    taken = site.take(KEY)
    assert taken.framework_id is None
    assert taken.observations([KEY])[KEY].phase is JobPhase.LOST
    assert taken.id_of("www.prod.mesos-abcd-7-1.0") == "F1"  # its sandbox lies there


def test_a_framework_with_which_somebody_works_is_left_alone(site: Site) -> None:
    site.told(framework(task(), connected=True))
    with pytest.raises(InvalidRequest, match="F1 is connected") as caught:
        site.chosen()
    assert "stop that daemon" in str(caught.value)
    assert site.chosen(OTHER) is None  # no job of it is wanted


def test_only_one_can_be_taken_over(site: Site) -> None:
    site.told(framework(task()), framework(other(), id="F2"))
    assert site.chosen(OTHER) == "F2"
    with pytest.raises(InvalidRequest, match="F1, F2 of Mesos"):
        site.chosen(KEY, OTHER)


def test_a_framework_of_our_own_with_jobs_is_not_given_up(site: Site) -> None:
    site.told(framework(task()))
    site.framework.take_over("F0", [])
    assert site.chosen() == "F1"
    document = {"role": "www", "environment": "prod", "name": "new"}
    one = {"arguments": ["true"], "resources": {"cpus": 1, "mem": 1}}
    site.framework.submit([parse({**document, "tasks": [one]})])
    with pytest.raises(InvalidRequest, match="under way in the framework F0"):
        site.chosen()


def test_our_own_framework_gets_what_it_lacks(site: Site) -> None:
    site.told(framework(task(), other()))
    site.framework.take_over("F1", [])
    assert site.chosen() is None
    assert keys(site.take()) == {KEY, OTHER}


def test_not_while_agents_are_missing(site: Site) -> None:
    with pytest.raises(NotReady, match="1 agents have not registered again"):
        site.told(framework(task()), recovered_slaves=[{"id": "S9"}])


def test_what_was_taken_over_is_ended_by_the_grace_time_that_mesos_knows(site: Site) -> None:
    site.told(framework(task()))
    taken = site.take()
    driver = Killer(site.store)
    taken.registered(driver, {"value": "F1"}, {})
    taken.cancel(KEY, "no more")
    taken.step(driver)
    assert driver.kills == [("www.prod.mesos-abcd-7-1.0", "S1", None)]


def test_what_was_taken_over_is_not_launched_again(site: Site) -> None:
    site.told(framework(task(state="TASK_STAGING", statuses=())))
    taken = site.take()
    (job,) = taken.of_role("www")
    job.update(job.task_id(), {"state": "TASK_DROPPED", "reason": "REASON_INVALID_OFFERS"}, 5.0)
    assert job.ended is JobPhase.LOST
