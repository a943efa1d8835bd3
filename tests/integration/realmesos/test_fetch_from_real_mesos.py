"""The fetch engine against a real Mesos agent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import SandboxGone
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.agent.source import AgentSource
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.sandbox.layout import part_name
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.outputs.manifest import Manifest
from airavata_mesos_plugin.sandbox.paths import Root
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.sandbox.sources import FILES_API
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.realmesos.cluster import RealMesosCluster
from tests.realmesos.scheduler import Scheduler, task

EMPTY = Snapshot(taken_at=1.7e9)
SIZE = 8_000_000
REST = 150_000
SCRIPT = f"""head -c {SIZE} /dev/urandom > big
mkdir -p a/b empty; echo deep > a/b/c; ln -s a/b/c link; ln -s /etc/passwd out; ln -s .. up; mkfifo pipe
for i in $(seq 300); do echo $i > small-$i; done
sha256sum < big > sum"""


@pytest.fixture(scope="module")
def address(real_mesos: RealMesosCluster) -> SandboxAddress:
    with Scheduler(real_mesos) as scheduler:
        offer = scheduler.offer()
        scheduler.launch(offer, task(offer, "outputs", SCRIPT))
        assert scheduler.state("outputs", "TASK_FINISHED", "TASK_FAILED")["state"] == "TASK_FINISHED"
        agent = next(agent for agent in real_mesos.agents if agent.ip == offer["hostname"])
        path = real_mesos.sandbox(agent, scheduler.id, "outputs")
    return SandboxAddress(real_mesos.url(agent), path)


def sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_everything_comes(address: SandboxAddress, tmp_path: Path) -> None:
    fetcher = Fetcher(FetchSettings(), SystemClock())
    report = fetcher.fetch(address, tmp_path, EMPTY, job_id=1)
    fetcher.close()
    assert sum_of(tmp_path / "big") == (tmp_path / "sum").read_text().split()[0]
    assert (tmp_path / "a" / "b" / "c").read_text() == "deep\n"
    assert (tmp_path / "link").read_text() == "deep\n"
    assert (tmp_path / "empty").is_dir()
    assert all((tmp_path / f"small-{number}").read_text() == f"{number}\n" for number in range(1, 301))
    assert {name for name, _ in report.left_out} >= {"pipe", "up"}
    assert not {"out", "pipe", "up"} & {path.name for path in tmp_path.iterdir()}


def test_the_rest_of_a_file_is_read_exactly(address: SandboxAddress, tmp_path: Path) -> None:
    settings = FetchSettings()
    client = FilesClient(settings)
    (entry,) = [entry for entry in AgentSource(client, address).entries("") if entry.name == "big"]
    with client.download(address, "big") as body:
        content = b"".join(bytes(chunk) for chunk in body.chunks())
    part = tmp_path / part_name("big", 1)
    part.write_bytes(content[:-REST])
    with Root(tmp_path) as root:
        manifest = Manifest(root, 1, Origin(FILES_API, address))
        manifest.note_part(entry, part.stat().st_ino)
        manifest.close()
    report = Fetcher(settings, SystemClock(), client).fetch(address, tmp_path, EMPTY, job_id=1)
    client.close()
    others = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file() and path.name != "big")
    assert report.bytes == others + REST
    assert (tmp_path / "big").read_bytes() == content


def test_a_sandbox_that_is_gone(address: SandboxAddress, tmp_path: Path) -> None:
    gone = SandboxAddress(address.agent_url, address.path + "x")
    fetcher = Fetcher(FetchSettings(), SystemClock())
    with pytest.raises(SandboxGone):
        fetcher.fetch(gone, tmp_path, EMPTY, job_id=1)
    fetcher.close()
    assert list(tmp_path.iterdir()) == []
