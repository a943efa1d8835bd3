"""A provider as an account sees it that may see its own jobs only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import embedded_settings
from airavata_mesos_plugin.errors import NotFound, Refused
from airavata_mesos_plugin.jobs import JobRequest, Resources
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.schedulers.base import Scheduler
from airavata_mesos_plugin.store import JobSelection, Ledger
from airavata_mesos_plugin.testing.parts import parts_of

ALICE, BOB = 5001, 5002


@pytest.fixture
def provider(tmp_path: Path, mocker: MockerFixture) -> Iterator[Provider]:
    clock = ManualClock()
    settings = embedded_settings()
    parts = parts_of(
        settings,
        Ledger(tmp_path / "ledger.db", clock),
        {settings.clusters[0].name: mocker.create_autospec(Scheduler, instance=True)},
        clock,
        files=mocker.create_autospec(FilesClient, instance=True),
        fetcher=mocker.create_autospec(Fetcher, instance=True),
    )
    yield Provider(parts)
    parts.ledger.close()


def submit(provider: Provider, directory: Path, user: str, uid: int) -> int:
    request = JobRequest(
        name=f"job of {user}",
        user=user,
        uid=uid,
        queue="default",
        working_directory=str(directory),
        resources=Resources(cpus=1, memory_mb=1, disk_mb=1),
        wall_time_seconds=60,
    )
    return provider.submit(request, "#!/bin/sh\n").id


def test_own_jobs_only(provider: Provider, tmp_path: Path) -> None:
    of_alice, of_bob = submit(provider, tmp_path, "alice", ALICE), submit(provider, tmp_path, "bob", BOB)
    seen = provider.seen_by(ALICE, "alice")
    assert [job.id for job in seen.jobs(JobSelection())] == [of_alice]
    assert [job.id for job in seen.jobs(JobSelection(ids=frozenset({of_alice, of_bob})))] == [of_alice]
    assert seen.jobs(JobSelection(users=frozenset({"bob"}))) == []
    assert [job.id for job in seen.jobs(JobSelection(limit=1))] == [of_alice]
    assert seen.job(of_alice).id == of_alice
    assert seen.script(of_alice) == "#!/bin/sh\n"
    assert len(seen.events(of_alice)) == 1
    assert seen.request_cancel(of_alice, "alice", ALICE)
    for call in (
        lambda: seen.job(of_bob),
        lambda: seen.script(of_bob),
        lambda: seen.events(of_bob),
        lambda: seen.document(of_bob),
        lambda: seen.outputs(of_bob),
        lambda: seen.read_output(of_bob, "x", 0),
        lambda: seen.request_cancel(of_bob, "alice", ALICE),
    ):
        with pytest.raises(NotFound, match=f"no job has the id {of_bob}"):
            call()


def test_an_account_that_took_over_a_name_does_not_get_its_jobs(provider: Provider, tmp_path: Path) -> None:
    old = submit(provider, tmp_path, "alice", ALICE + 100)
    seen = provider.seen_by(ALICE, "alice")
    assert seen.jobs(JobSelection()) == []
    with pytest.raises(NotFound):
        seen.job(old)


def test_everybody_else_sees_all(provider: Provider, tmp_path: Path) -> None:
    jobs = {submit(provider, tmp_path, "alice", ALICE), submit(provider, tmp_path, "bob", BOB)}
    provider.seen_by(ALICE, "alice")
    assert {job.id for job in provider.jobs(JobSelection())} == jobs
    with pytest.raises(Refused, match="belongs to bob"):
        provider.request_cancel(max(jobs), "alice", ALICE)
