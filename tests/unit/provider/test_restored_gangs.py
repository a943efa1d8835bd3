"""Jobs over several nodes whose ledger was lost while they ran."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.store.gangs import GangNode
from airavata_mesos_plugin.testing.scripted import ScriptedScheduler
from airavata_mesos_plugin.testing.stage import ProviderStage
from tests.unit.provider.test_gangs import QUEUE, queued, says

MakeProvider = Callable[..., ProviderStage]


def test_its_nodes_are_known_by_where_they_listen(
    make_provider: MakeProvider, scripted_scheduler: ScriptedScheduler
) -> None:
    stage = make_provider(scripted_scheduler, queues=QUEUE)
    job_id = queued(stage, scripted_scheduler, nodes=2)
    assert stage.phase(job_id) is JobPhase.QUEUED
    nodes = [GangNode(number, f"n{number}", "10.0.0.1", 4000, "") for number in (0, 1)]
    stage.parts.ledger.gangs.keep(job_id, 1, nodes)
    stage.turn()
    assert stage.phase(job_id) is JobPhase.RUNNING
    # One that has missed the answer asks again, whatever its start was called.
    assert [node["name"] for node in says(stage, job_id, 1, run="abc")["nodes"]] == ["n0", "n1"]
    for changes in ({"port": 4001}, {"address": "10.0.0.2"}):
        with pytest.raises(NotFound, match="started again"):
            says(stage, job_id, 1, **changes)
