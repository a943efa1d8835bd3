"""Inputs that Mesos downloads before the task starts."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.testing.embedded import EmbeddedCluster
from airavata_mesos_plugin.testing.settings import NOWHERE, provider_document
from airavata_mesos_plugin.testing.stage import ProviderStage
from tests.integration.inputs.conftest import Site, tree

FETCHER = {"inputs": {"method": "mesos_fetcher"}}
NAME = "airavata-mesos-inputs.tar"


@pytest.fixture
def make_stage(
    make_provider: Callable[..., ProviderStage], make_minicluster: Callable[..., EmbeddedCluster]
) -> Callable[..., ProviderStage]:
    def make(queue: dict[str, Any], **cluster: Any) -> ProviderStage:
        return make_provider(make_minicluster(**cluster), SystemClock(), queues=queue)

    return make


def test_a_job_on_a_cluster_that_allows_it(make_stage: Callable[..., ProviderStage], tmp_path: Path) -> None:
    (tmp_path / "reference").write_text("never changes\n")
    shared = {"value": f"{tmp_path}/reference", "output_file": "genome", "cache": True}
    stage = make_stage({"inputs": {"method": "mesos_fetcher", "uris": [shared]}}, allow_fetcher=True)
    work = stage.directory / "inputs"
    (work / "sub").mkdir(parents=True)
    (work / "sub" / "data").write_bytes(b"d" * 100_000)
    (work / "stdout").write_text("as Mesos calls its own\n")
    script = "#!/bin/bash\ncat stdout ../genome >result\nls -A >names\nwc -c <sub/data >>result\n"
    job_id = stage.submit(script, working_directory=str(work))
    record = stage.wait_for_phase(job_id, *(phase for phase in JobPhase if phase.final))
    assert record.phase is JobPhase.COMPLETED, record.reason
    assert (work / "result").read_text() == "as Mesos calls its own\nnever changes\n100000\n"
    assert NAME not in (work / "names").read_text()
    uris: Any = stage.provider.document(job_id)["mesos_fetcher_uris"]
    assert [(uri["cache"], uri["extract"]) for uri in uris] == [(False, False), (True, False)]


def test_a_cluster_that_does_not_allow_it(make_stage: Callable[..., ProviderStage]) -> None:
    stage = make_stage(FETCHER)
    record = stage.wait_for_phase(stage.submit(), JobPhase.FAILED)
    assert "Mesos Fetcher for individual jobs is disabled in this cluster" in record.reason


def test_an_input_that_changed_is_named(make_stage: Callable[..., ProviderStage]) -> None:
    stage = make_stage(FETCHER, allow_fetcher=True)
    work = stage.directory / "inputs"
    work.mkdir()
    (work / "data").write_text("x")
    job_id = stage.submit(working_directory=str(work))
    (work / "data").write_text("something else")
    record = stage.wait_for_phase(job_id, JobPhase.FAILED)
    assert "its inputs did not reach the agent: the input data was changed" in record.reason
    told = [event.reason for event in stage.provider.events(job_id)]
    assert any("Failed to fetch all URIs" in reason for reason in told)
    assert (
        sum("the input data was changed" in reason for reason in told) == 2
    )  # when asked for, and at the end


@pytest.fixture
def archive(make_site: Callable[..., Site]) -> tuple[Site, int, bytes]:
    site = make_site(queues=FETCHER)
    work = site.directory / "inputs"
    work.mkdir()
    (work / "data").write_bytes(b"d" * 10_000)
    os.utime(work / "data", ns=(0, 1_600_000_000_123_456_789))
    job_id = site.submit(working_directory=str(work))
    record = site.job(job_id)
    return site, job_id, b"".join(site.provider.inputs.stream(record))


@pytest.mark.parametrize("place", [".", ".."])
def test_it_is_checked_and_unpacked(
    archive: tuple[Site, int, bytes],
    sandbox: Path,
    agent: Callable[..., subprocess.CompletedProcess[str]],
    place: str,
) -> None:
    site, job_id, data = archive
    (sandbox / place / NAME).write_bytes(data)
    done = agent(site.stage_in(job_id), sandbox, "tail")
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(sandbox) == tree(site.work(job_id))
    assert not (sandbox / place / NAME).exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "missing", "empty"])
def test_nothing_is_unpacked_that_is_not_what_was_sent(
    archive: tuple[Site, int, bytes],
    sandbox: Path,
    agent: Callable[..., subprocess.CompletedProcess[str]],
    damage: str,
) -> None:
    site, job_id, data = archive
    middle = len(data) // 2
    damaged = {
        "cut": data[:-1000],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "empty": b"",
    }
    if damage in damaged:
        (sandbox.parent / NAME).write_bytes(damaged[damage])
    done = agent(site.stage_in(job_id), sandbox, "tail")
    assert done.returncode != 0
    assert ("has not put" if damage == "missing" else "have the SHA-256") in done.stderr
    assert list(sandbox.iterdir()) == []


def test_the_archive_has_an_address_that_ends_like_one(archive: tuple[Site, int, bytes]) -> None:
    site, job_id, data = archive
    uris: Any = site.provider.document(job_id)["mesos_fetcher_uris"]
    assert urlsplit(uris[0]["value"]).path.endswith("/inputs.tar")
    assert uris[0]["output_file"] == NAME
    with tarfile.open(fileobj=io.BytesIO(data)) as members:
        assert "data" in members.getnames()


@pytest.mark.parametrize(
    "uri",
    [
        {"value": "gopher://x/y"},
        {"value": "relative/path"},
        {"value": "http://x/{{y}}"},
        {"value": "/x", "output_file": "../y"},
        {"value": "/x", "output_file": "/y"},
        {"value": "/x", "executable": True},
    ],
)
def test_settings_that_are_wrong(uri: dict[str, object]) -> None:
    document = provider_document(NOWHERE, NOWHERE, {"queues": {"inputs": {"uris": [uri]}}})
    with pytest.raises(ValidationError):
        ProviderSettings.model_validate(document)
