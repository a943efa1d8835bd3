"""The command with which a task sends its outputs: each upload program, and a road that breaks."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airavata_mesos_plugin.jobs import JobPhase
from airavata_mesos_plugin.sandbox.layout import pushed_archive
from airavata_mesos_plugin.sandbox.origins import PUSH, push_details
from airavata_mesos_plugin.sandbox.outputs.push import open_pushed
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from tests.integration.inputs.conftest import Site
from tests.integration.inputs.road import Hole
from tests.support.waiting import wait_for

Agent = Callable[..., subprocess.CompletedProcess[str]]
UPLOADERS = ["curl", "python3", "wget"]
RESULT = "exit_code=0\nstarted_at=1\nended_at=2\n"


def command(site: Site, job_id: int) -> str:
    document: Any = site.provider.document(job_id)
    (process,) = (process for process in document["task"]["processes"] if process.get("final"))
    text: str = process["cmdline"]
    assert "{{" not in text
    return text.replace(site.parts.staging_url(), site.road.url) if site.road else text


def fill(sandbox: Path) -> None:
    control = sandbox / ".airavata-mesos"
    control.mkdir()
    (sandbox / "old input").write_text("old")
    os.utime(sandbox / "old input", (1, 1))
    (control / "started").write_text("1-1-1\n")
    # As if the job had begun a little later than its inputs came, which they can only do for real.
    later = (sandbox / "old input").stat().st_ctime_ns + 1
    os.utime(control / "started", ns=(later, later))
    (control / "result").write_text(RESULT)
    (sandbox / "new").mkdir()
    (sandbox / "new/output").write_bytes(os.urandom(3_000_000))
    (sandbox / ".logs/run/0").mkdir(parents=True)
    (sandbox / ".logs/run/0/stdout").write_text("log")
    # A file that came with an old time is new all the same.
    (sandbox / "unpacked").write_text("unpacked")
    os.utime(sandbox / "unpacked", (1, 1))


def pushed(site: Site, job_id: int) -> dict[str, int]:
    work = site.provider.job(job_id).request.working_directory
    origin = Origin(PUSH, SandboxAddress("", ""), push_details(work, job_id, 1))
    with open_pushed(origin) as source:
        assert source.read(".airavata-mesos/result", 4096) == RESULT.encode()
        found = {f"new/{entry.name}": entry.size for entry in source.entries("new")}
        return found | {entry.name: entry.size for entry in source.entries("") if entry.is_file}


@pytest.mark.parametrize("uploader", UPLOADERS)
def test_what_is_new_arrives(site: Site, sandbox: Path, agent: Agent, uploader: str) -> None:
    job_id = site.submit()
    fill(sandbox)
    for _ in range(2):
        done = agent(command(site, job_id), sandbox, uploader)
        assert done.returncode == 0, done.stderr
        assert pushed(site, job_id) == {"new/output": 3_000_000, "unpacked": 8}


@pytest.mark.parametrize("uploader", UPLOADERS)
def test_a_road_that_breaks(site: Site, sandbox: Path, agent: Agent, uploader: str, tmp_path: Path) -> None:
    assert site.road is not None
    job_id = site.submit()
    fill(sandbox)
    site.road.holes.extend([Hole(cut_at=10), Hole(cut_at=2_700_000)])
    done = agent(command(site, job_id), sandbox, uploader)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("push: the outputs were not taken") == 2
    assert pushed(site, job_id) == {"new/output": 3_000_000, "unpacked": 8}
    work = Path(site.provider.job(job_id).request.working_directory)
    assert [path.name for path in (work / ".airavata-mesos").iterdir()] == [
        Path(pushed_archive(job_id, 1)).name
    ]
    assert (tmp_path / f"bin-{uploader}" / "pauses").read_text() == "1\n2\n"


@pytest.mark.parametrize("uploader", UPLOADERS)
def test_nobody_waits_for_a_job_that_is_over(
    site: Site, sandbox: Path, agent: Agent, uploader: str, tmp_path: Path
) -> None:
    job_id = site.submit()
    text = command(site, job_id)
    fill(sandbox)
    site.parts.ledger.advance(job_id, JobPhase.FAILED, source="test")
    done = agent(text, sandbox, uploader)
    assert done.returncode == 1
    assert "status 404" in done.stderr
    assert not (tmp_path / f"bin-{uploader}" / "pauses").exists()
    work = Path(site.provider.job(job_id).request.working_directory)
    assert not (work / ".airavata-mesos").exists()


def test_another_ticket_opens_nothing(site: Site, sandbox: Path, agent: Agent) -> None:
    job_id = site.submit()
    fill(sandbox)
    inputs = site.address(job_id).rpartition("/")[2]
    text = command(site, job_id)
    (outputs,) = {word.rpartition("/")[2].strip("'") for word in text.split() if word.startswith("url=")}
    assert inputs != outputs
    done = agent(text.replace(outputs, inputs), sandbox)
    assert "status 404" in done.stderr


def test_a_job_that_never_began_says_why(site: Site, sandbox: Path, agent: Agent) -> None:
    job_id = site.submit()
    log = sandbox / ".logs/stage_in/0"
    log.mkdir(parents=True)
    (log / "stderr").write_text("curl: (7) no route\nstage_in: gave up\n")
    (sandbox / ".airavata-mesos").mkdir()
    done = agent(command(site, job_id), sandbox)
    assert done.returncode == 0, done.stderr
    told = [event.reason for event in site.provider.events(job_id) if event.source == "staging"]
    assert told == ["curl: (7) no route; stage_in: gave up"]


def test_an_agent_without_any_of_them(site: Site, sandbox: Path, agent: Agent) -> None:
    job_id = site.submit()
    fill(sandbox)
    done = agent(command(site, job_id), sandbox, "nothing")
    assert done.returncode == 127
    assert "none of curl, python3 and wget" in done.stderr


def test_a_daemon_that_ends_while_an_agent_sends(site: Site) -> None:
    job_id = site.submit()
    (line,) = (line for line in command(site, job_id).splitlines() if line.startswith("url="))
    place = urlsplit(line.removeprefix("url=").strip("'"))
    with socket.create_connection((place.hostname or "", place.port or 0)) as agent:
        head = f"PUT {place.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        agent.sendall(head.encode() + bytes(100_000))
        work = Path(site.provider.job(job_id).request.working_directory)
        part = work / f"{pushed_archive(job_id, 1)}.part"
        wait_for(part.exists, bool, "the first bytes")
        site.stop()
    wait_for(part.exists, lambda there: not there, "nothing of it left")
