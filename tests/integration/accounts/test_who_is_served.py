"""The settings say whom a daemon of root serves, and whether accounts see each other's jobs."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin.service.answers import NOT_FOUND
from tests.integration.accounts.conftest import HostFactory, Person
from tests.support.accounts import as_account


def test_accounts_that_are_refused(own_host: HostFactory, alice: Person, bob: Person, commons: Path) -> None:
    host = own_host(accounts={"refuse": [bob.name]})
    host.completed(host.accepted(alice, alice.makes(commons / "a"), "true\n"))
    work = bob.makes(commons / "b")
    for command, arguments in (("sbatch", ("job.sh",)), ("squeue", ()), ("scancel", ("1",)), ("sinfo", ())):
        bob.makes(work / "job.sh", "#!/bin/sh\n") if not (work / "job.sh").exists() else None
        done = bob.run(host.site.commands / command, *arguments, cwd=work)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"does not serve the account {bob.name}" in done.stderr


def test_a_group_that_is_allowed(own_host: HostFactory, alice: Person, bob: Person, commons: Path) -> None:
    host = own_host(accounts={"allow": ["@am-test-shared"]})
    host.completed(host.accepted(alice, alice.makes(commons / "a"), "true\n"))
    done = host.sbatch(bob, bob.makes(commons / "b"), "true\n")
    assert done.returncode == 1
    assert "does not serve" in done.stderr


def test_an_account_that_the_host_does_not_know(own_host: HostFactory, commons: Path) -> None:
    host = own_host()
    done = as_account(61_999, host.site.commands / "squeue", cwd=commons)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no account with the number 61999" in done.stderr


def test_jobs_of_others_are_not_there_when_the_settings_say_so(
    own_host: HostFactory, alice: Person, bob: Person, commons: Path
) -> None:
    host = own_host(accounts={"see_all_jobs": False})
    commands, home = host.site.commands, host.site.home
    work, other = alice.makes(commons / "a"), bob.makes(commons / "b")
    job = host.accepted(alice, work, "sleep 600\n", "-J", "hidden")
    own = host.accepted(bob, other, "sleep 600\n")
    assert bob.run(commands / "squeue", "-h", "-o", "%i", cwd=other).stdout.split() == [own]
    assert bob.run(commands / "squeue", "-h", "-u", alice.name, "-o", "%i", cwd=other).stdout == ""
    assert bob.run(commands / "squeue", "-h", "-j", job, "-o", "%i", cwd=other).stdout == ""
    assert bob.run(commands / "sacct", "-n", "-X", "-a", "-o", "JobID", cwd=other).stdout.split() == [own]
    assert "hidden" not in bob.ask(home, "jobs", "--all")[1]
    for call in (
        ("show", job),
        ("cancel", job),
        ("read", job, "x", "0"),
        ("outputs", job),
        ("document", job),
    ):
        code, stdout, stderr = bob.ask(home, *call)
        assert (code, stdout, stderr) == (NOT_FOUND, "", f"no job has the id {job}\n"), call
    bob.run(commands / "scancel", job, cwd=other)
    bob.run(commands / "scancel", "-u", alice.name, cwd=other)
    assert host.show(job)["phase"] in ("accepted", "submitting", "queued", "running")
    assert alice.run(commands / "squeue", "-h", "-j", job, "-o", "%i", cwd=work).stdout.split() == [job]
    for person, number in ((alice, job), (bob, own)):
        person.run(commands / "scancel", number, cwd=work)
        host.ended(number)


def test_the_home_of_a_daemon_of_root_is_closed(own_host: HostFactory, alice: Person, commons: Path) -> None:
    host = own_host()
    home = host.site.home
    assert home.stat().st_mode & 0o777 == 0o711
    assert {"ledger.db", "secret"} <= {path.name for path in home.iterdir()}
    open_to_others = [path.name for path in home.iterdir() if path.is_file() and path.stat().st_mode & 0o077]
    assert open_to_others == []
    assert alice.run(host.site.commands / "squeue", cwd=commons).returncode == 0
