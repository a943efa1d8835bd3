"""A daemon of root does everything for an account with that account's rights, and with no other's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.integration.accounts.conftest import SHARED_GID, Host, Person
from tests.support.waiting import wait_for


def owners(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def test_outputs_are_the_submitters_with_the_modes_of_the_job(
    host: Host, alice: Person, commons: Path
) -> None:
    work = alice.makes(commons / "work")
    alice.makes(work / "input", "of alice\n", 0o600)
    job = host.accepted(
        alice,
        work,
        "umask 022; cat input > copy; chmod 640 copy; echo x > tool; chmod 755 tool\n"
        "mkdir -p deep/er; chmod 750 deep; echo y > deep/er/file; echo changed >> input\n",
    )
    host.completed(job)
    assert (work / "copy").read_text() == "of alice\n"
    assert (work / "input").read_text() == "of alice\nchanged\n"
    own = (alice.uid, alice.uid)
    assert owners(work / "copy") == (*own, 0o640)
    assert owners(work / "tool") == (*own, 0o755)
    assert owners(work / "deep") == (*own, 0o750)
    assert owners(work / "deep" / "er" / "file")[:2] == own
    assert owners(work / f"slurm-{job}.out")[:2] == own
    strange = [path for path in work.rglob("*") if path.lstat().st_uid != alice.uid]
    assert strange == []


def test_two_accounts_at_once(host: Host, alice: Person, bob: Person, commons: Path) -> None:
    jobs = []
    for person in (alice, bob):
        work = person.makes(commons / person.name, mode=0o700)
        jobs += [(person, work, host.accepted(person, work, f"echo {n} > out{n}\n")) for n in range(3)]
    for person, work, job in jobs:
        host.completed(job)
        assert {path.stat().st_uid for path in work.iterdir()} == {person.uid}
    assert len(host.helpers(alice)) == 1
    assert len(host.helpers(bob)) == 1


@pytest.mark.parametrize("kind", ["symbolic link", "hard link"])
def test_an_input_that_the_account_may_not_read_is_not_sent(
    host: Host, alice: Person, bob: Person, commons: Path, kind: str
) -> None:
    secret = bob.makes(commons / "secret", "bob's secret\n", 0o600)
    work = alice.makes(commons / "work")
    if kind == "hard link":
        os.link(secret, work / "link")
    else:
        (work / "link").symlink_to(secret)
    job = host.accepted(alice, work, "cat link > stolen\n")
    document = host.ended(job)
    assert document["state"] == "FAILED", document
    assert "link can no longer be read: Permission denied" in document["reason"]
    texts = [path.read_text() for path in work.iterdir() if path.is_file() and path.name != "link"]
    assert not [text for text in texts if "secret\n" in text]


def test_a_directory_of_somebody_else_is_no_working_directory(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    private = bob.makes(commons / "private", mode=0o700)
    inner = bob.makes(private / "inner", mode=0o777)
    readable = bob.makes(commons / "readable", mode=0o755)
    before = host.site.count()
    work = alice.makes(commons / "work")
    (work / "link").symlink_to(private)
    for wanted, why in (
        (private, "not writable"),
        (inner, "Permission denied"),
        (readable, "not writable"),
        (work / "link", "not writable"),
    ):
        done = host.sbatch(alice, work, "id > who\n", f"--chdir={wanted}")
        assert (done.returncode, done.stdout) == (1, ""), (wanted, done)
        assert why in done.stderr
    assert host.site.count() == before
    assert list(inner.iterdir()) == list(readable.iterdir()) == []


def test_output_names_do_not_lead_to_others(host: Host, alice: Person, bob: Person, commons: Path) -> None:
    bobs = bob.makes(commons / "bobs", mode=0o777)
    work = alice.makes(commons / "work")
    (work / "link").symlink_to(bobs)
    for name in (f"{bobs}/out", "../bobs/out", "link/out"):
        done = host.sbatch(alice, work, "true\n", "-o", name)
        assert (done.returncode, done.stdout) == (1, ""), (name, done)
    assert list(bobs.iterdir()) == []


def test_links_that_appear_while_the_job_runs_are_not_followed(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    """Even into a place that Alice may write, so that this does not hang on the kernel's permissions."""
    bobs = bob.makes(commons / "bobs", mode=0o777)
    target = bob.makes(bobs / "target", "as it was\n", 0o666)
    work = alice.makes(commons / "work")
    job = host.accepted(
        alice,
        work,
        f"while ! [ -e {commons}/go ]; do sleep 0.05; done\nmkdir sub; echo x > sub/target; echo x > file\n",
    )
    host.in_phase(job, "running")
    (work / "sub").symlink_to(bobs)
    (work / "file").symlink_to(target)
    (commons / "go").touch()
    document = host.ended(job)
    assert target.read_text() == "as it was\n"
    assert [path.name for path in bobs.iterdir()] == ["target"]
    assert not (work / "file").is_symlink()
    assert (work / "file").read_text() == "x\n"
    assert (work / "file").stat().st_uid == alice.uid
    assert "left out" in document["reason"]


def test_a_working_directory_that_becomes_a_link_to_somebody_elses(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    private = bob.makes(commons / "private", mode=0o755)
    place = alice.makes(commons / "place")
    work = alice.makes(place / "work")
    job = host.accepted(alice, work, f"while ! [ -e {commons}/go ]; do sleep 0.05; done; echo x > out\n")
    host.in_phase(job, "running")
    work.rename(place / "moved")
    work.symlink_to(private)
    (commons / "go").touch()
    document = host.ended(job)
    assert document["state"] == "FAILED"
    assert "outputs could not be fetched" in document["reason"]
    assert "Permission denied" in document["reason"]
    assert list(private.iterdir()) == []


def test_supplementary_groups_count(host: Host, alice: Person, bob: Person, commons: Path) -> None:
    project = commons / "project"
    project.mkdir()
    os.chown(project, 0, SHARED_GID)
    project.chmod(0o2770)
    home = alice.makes(commons / "home")
    job = host.accepted(alice, home, "echo x > out\n", f"--chdir={project}")
    host.completed(job)
    assert owners(project / "out")[:2] == (alice.uid, SHARED_GID)
    other = bob.makes(commons / "other")
    refused = host.sbatch(bob, other, "echo x > out\n", f"--chdir={project}")
    assert refused.returncode == 1
    assert "not writable" in refused.stderr


def test_jobs_are_seen_by_all_and_touched_by_their_owner(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    work = alice.makes(commons / "work", mode=0o700)
    other = bob.makes(commons / "other")
    job = host.accepted(alice, work, "echo private; sleep 600\n", "-o", "log")
    host.in_phase(job, "running")
    wait_for(
        lambda: alice.ask(host.site.home, "read", job, "log", "0")[1], lambda text: text == "private\n", "log"
    )
    commands = host.site.commands
    seen = bob.run(commands / "squeue", "-h", "-j", job, "-o", "%u %t", cwd=other)
    assert seen.stdout == f"{alice.name} R\n"
    denied = bob.run(commands / "scancel", job, cwd=other)
    assert (denied.returncode, denied.stderr) == (
        210,
        f"scancel: error: Kill job error on job id {job}: Access/permission denied\n",
    )
    for call in (("cancel", job), ("read", job, "log", "0"), ("outputs", job), ("document", job)):
        code, stdout, stderr = bob.ask(host.site.home, *call)
        assert (code, stdout) == (1, ""), call
        assert f"job {job} belongs to {alice.name}" in stderr
    assert host.show(job)["phase"] == "running"
    assert alice.run(commands / "scancel", job, cwd=work).returncode == 0
    host.ended(job)
    code, _, stderr = bob.ask(host.site.home, "read", job, "log", "0")
    assert (code, alice.name in stderr) == (1, True)
    assert alice.ask(host.site.home, "read", job, "log", "0")[1].startswith("private\n")


def test_reading_back_goes_with_the_owners_rights(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    """What Alice puts in place of an output is read as Alice, though a daemon of root reads it."""
    secret = bob.makes(commons / "secret", "bob's secret\n", 0o600)
    work = alice.makes(commons / "work")
    job = host.accepted(alice, work, "echo x > out; mkdir sub; echo x > sub/out\n")
    host.completed(job)
    (work / "out").unlink()
    os.link(secret, work / "out")
    (work / "sub" / "out").unlink()
    (work / "sub" / "out").symlink_to(secret)
    for name in ("out", "sub/out", "../secret"):
        code, stdout, stderr = alice.ask(host.site.home, "read", job, name, "0")
        assert code == 1, (name, stdout, stderr)
        assert "secret\n" not in stdout + stderr
