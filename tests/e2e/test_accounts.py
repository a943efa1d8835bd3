"""A daemon serves the account that runs it, and refuses all others clearly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import as_account, common_directory, name_of, prefix
from tests.support.site import Site

OWNER = 65534
STRANGER = 65533

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and os.environ.get("CI") != "true", reason="only root can act as several accounts"
)


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """A daemon that runs as an ordinary account."""
    with common_directory(OWNER) as directory:
        site = Site(directory, None, {}, prefix(OWNER))
        site.start()
        try:
            site.install()
            yield site
        finally:
            site.stop()


def work_of(site: Site, uid: int, mode: int = 0o755) -> Path:
    site.directory.chmod(0o755)
    work = site.work()
    script = work / "job.sh"
    script.write_text("#!/bin/sh\nid -u > who\n")
    os.chown(work, uid, uid)
    work.chmod(mode)
    return work


def test_its_own_account_is_served(served: Site) -> None:
    work = work_of(served, OWNER)
    done = as_account(OWNER, served.commands / "sbatch", "job.sh", cwd=work)
    assert done.returncode == 0, done
    job_id = done.stdout.split()[-1]
    queue = as_account(OWNER, served.commands / "squeue", "-h", "-j", job_id, cwd=work)
    assert queue.stdout.split()[3] == name_of(OWNER)[:8]


@pytest.mark.parametrize("uid", [0, STRANGER])
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("sbatch", ("job.sh",)),
        ("squeue", ("-j", "1")),
        ("scancel", ("1",)),
        ("sacct", ("-j", "1")),
        ("sinfo", ()),
    ],
)
def test_others_are_refused(served: Site, uid: int, command: str, arguments: tuple[str, ...]) -> None:
    work = work_of(served, uid)
    done = as_account(uid, served.commands / command, *arguments, cwd=work)
    assert done.stdout == ""
    assert done.returncode == 1
    assert name_of(OWNER) in done.stderr
    assert name_of(uid) in done.stderr
    assert "Invalid job id" not in done.stderr
    assert not (work / "who").exists()


def test_the_command_for_people_refuses_others_too(served: Site) -> None:
    done = served.cli("jobs", "--all", code=1)  # as root
    assert done.stdout == ""
    assert name_of(OWNER) in done.stderr


def test_strangers_see_nothing_of_the_home(served: Site) -> None:
    assert served.home.stat().st_mode & 0o777 == 0o711
    entries = {path.name for path in served.home.iterdir()}
    assert {"ledger.db", "ledger.db-wal", "secret", "command.sock", "minicluster"} <= entries
    private = entries - {"command.sock", "provider.sock", "minicluster"} | {"minicluster/embedded"}
    open_to_others = [name for name in private if (served.home / name).stat().st_mode & 0o007]
    assert open_to_others == []


def test_a_working_directory_that_cannot_be_written_is_refused(served: Site) -> None:
    work = work_of(served, OWNER, 0o555)
    done = as_account(OWNER, served.commands / "sbatch", "job.sh", cwd=work)
    assert (done.stdout, done.returncode) == ("", 1)
    assert "not writable" in done.stderr
    assert str(work) in done.stderr


def test_a_script_that_the_caller_cannot_read_is_refused(served: Site) -> None:
    work = work_of(served, OWNER)
    (work / "job.sh").chmod(0)
    done = as_account(OWNER, served.commands / "sbatch", "job.sh", cwd=work)
    assert (done.stdout, done.returncode) == ("", 1)
    assert "Unable to open" in done.stderr


def test_a_daemon_of_root_does_not_lend_its_rights() -> None:
    """Jobs of others would read and write with root's rights until each account has its own helper."""
    with common_directory(0) as directory:
        site = Site(directory, None, {})
        site.start()
        try:
            site.install()
            private = site.work("private")
            (private / "secret").write_text("secret\n")
            private.chmod(0o700)
            work = work_of(site, STRANGER)
            options = (f"--chdir={private}", str(work / "job.sh"))
            done = as_account(STRANGER, site.commands / "sbatch", *options, cwd=work)
            assert (done.stdout, done.returncode) == ("", 1), done
            assert site.count() == 0
        finally:
            site.stop()
