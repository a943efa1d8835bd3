"""The command that downloads the inputs, against the daemon: each download program, and roads with holes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from airavata_mesos_plugin.jobs import JobPhase
from tests.integration.inputs.conftest import Site, tree
from tests.integration.inputs.road import Hole

Agent = Callable[..., subprocess.CompletedProcess[str]]
DOWNLOADERS = ["curl", "wget", "python3"]
MOMENT = 1_600_000_000_123_456_789
SIZE = 6_000_000


def filled(site: Site) -> int:
    """A job with inputs of all kinds; most of their bytes are in the file that comes last."""
    work = site.directory / "inputs"
    (work / "sub" / "hollow").mkdir(parents=True)
    (work / "sub" / "link").symlink_to("../a")
    (work / "a").write_bytes(b"a" * 70_000)
    os.link(work / "a", work / "hard link")
    (work / os.fsdecode(b"odd \xff\n'$(x)")).write_bytes(b"odd")
    (work / "-rf").write_bytes(b"")
    (work / "tool").write_bytes(b"#!/bin/sh\n")
    (work / "tool").chmod(0o751)
    (work / "zz").write_bytes(os.urandom(SIZE))
    for path in work.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(0, MOMENT))
    return site.submit(working_directory=str(work))


def check(site: Site, job_id: int, sandbox: Path) -> None:
    assert tree(sandbox) == tree(site.work(job_id))
    assert (sandbox / ".airavata-mesos" / "run.sh").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("downloader", DOWNLOADERS)
def test_everything_arrives(site: Site, sandbox: Path, agent: Agent, downloader: str) -> None:
    job_id = filled(site)
    for _ in range(2):  # a second run finds what the first one left
        done = agent(site.stage_in(job_id), sandbox, downloader)
        assert (done.returncode, done.stderr.replace("\n", "")) in [
            (0, ""),
            (0, "tar: Ignoring unknown extended header keyword 'hdrcharset'"),
        ]
        check(site, job_id, sandbox)


@pytest.mark.parametrize("downloader", DOWNLOADERS)
@pytest.mark.parametrize("cut_at", [50, 3_000, 9 * SIZE // 10], ids=["headers", "early", "90 %"])
def test_a_download_goes_on_where_it_broke_off(
    site: Site, sandbox: Path, agent: Agent, downloader: str, cut_at: int
) -> None:
    assert site.road is not None
    job_id = filled(site)
    site.road.holes.extend([Hole(cut_at=cut_at), Hole(cut_at=70_000)])
    done = agent(site.stage_in(job_id), sandbox, downloader)
    assert done.returncode == 0, done.stderr
    check(site, job_id, sandbox)
    assert len(site.road.requests) == 3 + (downloader == "wget")  # which asks whether there is more
    begins = [int(line.split("from=")[1].split("&")[0]) for line in site.road.requests]
    assert begins[0] == 0
    assert begins[0] <= begins[1] <= begins[2]
    assert begins[2] >= 60_000
    if cut_at > 1_000_000:
        assert begins[1] > cut_at - 400_000  # what a program held back when the connection broke
        assert begins[2] > begins[1]


@pytest.mark.parametrize("downloader", DOWNLOADERS)
def test_what_is_not_what_was_sent_is_fetched_again(
    site: Site, sandbox: Path, agent: Agent, downloader: str
) -> None:
    assert site.road is not None
    job_id = filled(site)
    site.road.holes.append(Hole(flip_at=SIZE // 2))
    done = agent(site.stage_in(job_id), sandbox, downloader)
    assert done.returncode == 0, done.stderr
    assert "the inputs that came have the SHA-256" in done.stderr
    check(site, job_id, sandbox)


def test_a_job_does_not_start_on_wrong_inputs(site: Site, sandbox: Path, agent: Agent) -> None:
    assert site.road is not None
    job_id = filled(site)
    site.road.holes.extend([Hole(flip_at=SIZE // 2)] * 3)
    done = agent(site.stage_in(job_id), sandbox)
    assert done.returncode != 0
    assert len(site.road.requests) == 3


@pytest.mark.parametrize("downloader", DOWNLOADERS)
def test_a_slow_road(site: Site, sandbox: Path, agent: Agent, downloader: str) -> None:
    assert site.road is not None
    job_id = site.submit()
    site.road.holes.append(Hole(piece=64))
    done = agent(site.stage_in(job_id), sandbox, downloader)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(site.road.requests) == 1 + (downloader == "wget")


@pytest.mark.parametrize("downloader", DOWNLOADERS)
def test_an_address_that_is_no_longer_good(site: Site, sandbox: Path, agent: Agent, downloader: str) -> None:
    assert site.road is not None
    job_id = site.submit()
    command = site.stage_in(job_id)
    site.ledger.request_cancel(job_id, "alice", 0)
    site.ledger.advance(job_id, JobPhase.CANCELLED, source="test")
    done = agent(command, sandbox, downloader)
    assert done.returncode != 0
    assert "refused" in done.stderr
    assert "404" in done.stderr
    assert len(site.road.requests) == 1


def test_a_daemon_that_is_away_for_a_while(site: Site, sandbox: Path, agent: Agent, tmp_path: Path) -> None:
    """Airavata's job must survive a restart of the daemon; when it is too long, the reason is told."""
    assert site.road is not None
    job_id = site.submit()
    site.road.holes.extend([Hole(cut_at=0)] * 9)
    done = agent(site.stage_in(job_id), sandbox)
    assert done.returncode == 0, done.stderr
    pauses = (tmp_path / "bin-curl" / "pauses").read_text().split()
    assert pauses == ["0", "1", "2", "4", "8", "16", "32", "60", "60"]
    site.road.holes.extend([Hole(cut_at=0)] * 10)
    done = agent(site.stage_in(job_id), sandbox)
    assert done.returncode != 0
    assert "stage_in: gave up: curl: (52) Empty reply from server" in done.stderr


def test_an_agent_without_any_of_them(site: Site, sandbox: Path, agent: Agent) -> None:
    done = agent(site.stage_in(site.submit()), sandbox, "no-such-program")
    assert done.returncode != 0
    assert "gave up: this agent has none of curl, wget and python3" in done.stderr


@pytest.mark.parametrize("downloader", DOWNLOADERS)
def test_an_input_that_changed_is_not_waited_for(
    site: Site, sandbox: Path, agent: Agent, downloader: str
) -> None:
    assert site.road is not None
    job_id = filled(site)
    (site.work(job_id) / "a").write_text("something else")
    done = agent(site.stage_in(job_id), sandbox, downloader)
    assert done.returncode != 0
    assert "410" in done.stderr
    assert len(site.road.requests) == 1
    told = [event.reason for event in site.provider.events(job_id) if event.source == "staging"]
    assert len(told) == 1
    assert "the input a was changed after the job was submitted" in told[0]


def test_an_input_that_changes_while_it_is_sent(site: Site, sandbox: Path, agent: Agent) -> None:
    assert site.road is not None
    job_id = filled(site)
    site.road.holes.append(Hole(cut_at=SIZE // 2))
    # The first connection breaks in the middle of the large file, which changes before the second.
    change = f"printf x >>{site.work(job_id)}/zz; sleep $(("
    done = agent(site.stage_in(job_id).replace("sleep $((", change), sandbox)
    assert done.returncode != 0
    assert len(site.road.requests) == 2
    told = [event.reason for event in site.provider.events(job_id) if event.source == "staging"]
    assert len(told) == 1
    assert "the input zz was changed" in told[0]


def test_a_sandbox_that_is_full(site: Site, sandbox: Path, agent: Agent) -> None:
    """What tar says is told, and nothing is downloaded again."""
    assert site.road is not None
    job_id = filled(site)
    command = "ulimit -f 1000; trap '' XFSZ; " + site.stage_in(job_id)  # blocks of 1024 bytes
    done = agent(command, sandbox)
    assert done.returncode != 0
    assert "tar: zz: Wrote only" in done.stderr
    assert len(site.road.requests) == 1
