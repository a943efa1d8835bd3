"""Another list of inputs for one job, while no scheduler has it."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRequest, Resources
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.store.restaging import restage


def test_a_task_of_an_array_gets_a_list_of_its_own_until_it_is_sent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", ManualClock())
    request = JobRequest(
        name="many",
        user="alice",
        uid=5001,
        queue="default",
        working_directory="/scratch",
        resources=Resources(cpus=1, memory_mb=1, disk_mb=1),
        wall_time_seconds=60,
        array="0-2",
    )
    last = ledger.accept(
        request,
        "#!/bin/sh\n",
        snapshot="before",
        cluster="c",
        key=lambda job_id, attempt: JobKey("www", "prod", f"job-{job_id}-{attempt}"),
        source="sbatch",
    )
    other = last.id + 1
    assert restage(ledger, other, "after", source="put", reason="inputs changed: x")
    assert (ledger.snapshot(other), ledger.snapshot(last.id)) == ("after", "before")
    assert (ledger.script(other), ledger.events(other)[-1].reason) == ("#!/bin/sh\n", "inputs changed: x")
    assert restage(ledger, last.id, "of the array", source="put", reason="again")
    assert (ledger.snapshot(last.id), ledger.snapshot(other)) == ("of the array", "after")
    ledger.advance(other, JobPhase.SUBMITTING, source="provider")
    assert not restage(ledger, other, "too late", source="put", reason="")
    assert ledger.snapshot(other) == "after"
    ledger.close()
