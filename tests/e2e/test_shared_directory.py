"""Jobs that run in the working directory itself, as where all hosts share a file system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site, SiteFactory, lines, running_site

SHARED = {"inputs": {"method": "shared"}, "outputs": {"method": "shared"}}


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("shared"), settings={"queues": SHARED}) as site:
        yield site


def test_a_job_runs_where_its_files_are(sharing: Site) -> None:
    work = sharing.work()
    big = work / "big"
    big.write_bytes(b"x" * 4_000_000)
    before = big.stat()
    job = sharing.accepted("pwd > here; ls > seen", work)
    sharing.finished(job, "COMPLETE")
    assert lines(work / "here") == [str(work)]
    assert {"App.stdout", "big", "here"} <= set(lines(work / "seen"))
    assert (big.stat().st_ino, big.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    listed = {file["name"] for file in sharing.client.ask("outputs", job.job_id)}
    assert "big" not in listed
    assert not [name for name in listed if name.startswith(".")]


def test_two_jobs_in_one_directory_leave_each_other_alone(sharing: Site) -> None:
    work = sharing.work()
    first = sharing.accepted("echo first > first; exit 5", work)
    second = sharing.accepted("echo second > second", work)
    assert sharing.finished(first, "FAILED")["exit_code"] == 5
    assert sharing.finished(second, "COMPLETE")["exit_code"] == 0
    assert lines(work / "first") == ["first"]
    assert lines(work / "second") == ["second"]


def test_a_directory_that_agents_do_not_have(own_site: SiteFactory) -> None:
    elsewhere = {**SHARED, "inputs": {"method": "shared", "shared_path_map": {"/": "/no/such/place"}}}
    site = own_site(queues=elsewhere)
    job = site.accepted("echo lost > lost")
    document = site.finished(job, "FAILED")
    assert f"/no/such/place{job.directory}" in document["reason"]
    assert "is not there on the agent" in document["reason"]


def test_another_path_on_the_agents(own_site: SiteFactory, tmp_path: Path) -> None:
    """The agents' name is a link here, which is as different as two names on one host can be."""
    export = tmp_path / "export"
    export.symlink_to("/")
    site = own_site(queues={**SHARED, "inputs": {"method": "shared", "shared_path_map": {"/": str(export)}}})
    work = site.work()
    site.run("pwd -L > here; echo $SLURM_SUBMIT_DIR > submitted", directory=work)
    assert lines(work / "here") == [f"{export}{work}"]
    assert lines(work / "submitted") == [f"{export}{work}"]
