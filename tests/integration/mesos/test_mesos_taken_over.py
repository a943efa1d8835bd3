"""A framework whose records were lost is found at a real master and taken over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest
from airavata_mesos_plugin.jobs import JobKey, JobPhase
from airavata_mesos_plugin.schedulers.base import KnownJob
from tests.integration.mesos.test_mesos_secured import SECRET
from tests.integration.mesos.test_mesos_secured import settings as credentials
from tests.realmesos.cluster import RealMesosCluster
from tests.support.mesos_framework import PATIENT_AGENTS, Gateway, gateway
from tests.support.real_mesos import RealMesosFactory
from tests.support.waiting import wait_for


def fresh(directory: Path, cluster: RealMesosCluster, settings: Mapping[str, Any]) -> Any:
    """A gateway whose ledger is empty."""
    directory.mkdir()
    return gateway(directory, cluster, settings)


def known(made: Gateway) -> dict[JobKey, KnownJob]:
    """The jobs that the master tells of, once it knows its agents."""

    def look() -> dict[JobKey, KnownJob] | str:
        try:
            return {job.key: job for job in made.scheduler.known_jobs("www")}
        except AiravataMesosError as error:
            return str(error)

    found = wait_for(look, lambda seen: isinstance(seen, dict), "what is known")
    assert isinstance(found, dict)
    return found


def take_over(made: Gateway, keys: list[JobKey]) -> None:
    def free() -> str:
        try:
            made.scheduler.known_jobs("www")
            made.scheduler.take_over(keys, [])
        except InvalidRequest as error:
            return str(error)
        return ""

    # The master may not have noticed yet that the one before has gone.
    wait_for(free, "".__eq__, "taken over")


def test_only_with_the_same_principal(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    cluster = own_real_mesos(agents=2, credentials={"gateway": SECRET, "other": "word"})
    ours, theirs = credentials(tmp_path), credentials(tmp_path, "word", "other")
    with fresh(tmp_path / "first", cluster, ours) as first:
        notes = [{"key": "airavata-mesos.nodes", "value": "2"}]
        gang = first.submit("sleep 600", count=2, metadata=notes)
        one = first.submit("sleep 600", cpus=1)
        for key in (gang, one):
            first.running(key)
        framework = first.scheduler.framework_id
        with fresh(tmp_path / "too early", cluster, ours) as early:
            assert known(early).keys() == {gang, one}
            with pytest.raises(InvalidRequest, match=f"{framework} is connected"):
                early.scheduler.take_over([one], [])
            assert early.notes.load() == {}
    with fresh(tmp_path / "stranger", cluster, theirs) as stranger:
        assert known(stranger) == {}
    with fresh(tmp_path / "second", cluster, ours) as second:
        found = known(second)
        assert found[one].resources.cpus == 1
        assert second.scheduler.framework_id is None  # so far nothing was sent
        take_over(second, [one])
        second.end()  # as the command that rebuilds a ledger does
        assert second.scheduler.framework_id == framework
        for key in (gang, one):
            assert second.running(key).agent_id
        wait_for(second.scheduler.unanswered, (0).__eq__, "all tasks heard of")
        assert len(second.tasks()) == 3
        second.scheduler.cancel([gang, one], "enough")
        for key in (gang, one):
            seen = second.ended(key)
            assert (seen.phase, seen.kill_seen) == (JobPhase.CANCELLED, True)
        # The framework is as good as before.
        assert second.ended(second.submit("true")).phase is JobPhase.COMPLETED
        wait_for(second.tasks, {}.__eq__, "no task left")


def test_by_a_master_that_has_forgotten_everything(own_real_mesos: RealMesosFactory, tmp_path: Path) -> None:
    cluster = own_real_mesos(agents=1, agent_flags=PATIENT_AGENTS)
    with fresh(tmp_path / "first", cluster, {}) as first:
        command, ran, go = first.script("job")
        one = first.submit(command)
        first.running(one)
        framework = first.scheduler.framework_id
    # An agent that has no ZooKeeper looks for its master only after a minute without pings.
    for server in (cluster.masters[0], cluster.agents[0]):
        server.kill()
        server.start()
    cluster.registered(1)
    with fresh(tmp_path / "second", cluster, {}) as second:
        wait_for(lambda: list(known(second)), [one].__eq__, "what the agent has told")
        take_over(second, [one])
        second.end()
        second.running(one)
        go.touch()
        assert second.ended(one).phase is JobPhase.COMPLETED
        assert second.scheduler.framework_id == framework
    assert ran.read_text() == "run\n"
