"""The files of a job are for its owner and for root, and are touched with the owner's rights."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.accounts.conftest import Host, Person
from tests.support.waiting import wait_for

EMPTY = ""


def begun(host: Host, person: Person, job: str) -> None:
    wait_for(
        lambda: person.ask(host.site.home, "list", job, ""),
        lambda answer: '"begun"' in answer[1],
        "a job that runs",
    )


def test_strangers_get_nothing(host: Host, alice: Person, bob: Person, commons: Path) -> None:
    work = alice.makes(commons / "work")
    alice.makes(work / "input", "data\n")
    job = host.accepted(alice, work, "true\n", "--hold")
    for words in (
        ("follow", job, "file", EMPTY),
        ("list", job, EMPTY),
        ("choose", job, "all", "*"),
        ("content", job, "directory", "input"),
        ("put-begin", job),
        ("put-end", job, "keep", "input"),
    ):
        said = f"job {job} belongs to {alice.name}\n"
        assert bob.ask(host.site.home, *words) == (1, "", said), words
        assert alice.ask(host.site.home, *words)[0] == 0, words
    host.site.client.ask("cancel", job)


def test_the_owner_reads_with_its_own_rights_after_the_end(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    secret = bob.makes(commons / "secret", "bob's secret\n", 0o600)
    work = alice.makes(commons / "work")
    job = host.accepted(alice, work, "echo data > file; echo 2 > other\n")
    host.completed(job)
    code, data, told = alice.ask(host.site.home, "follow", job, "file", EMPTY)
    assert (code, data, json.loads(told)["over"]) == (0, "data\n", True)
    (work / "other").unlink()
    (work / "other").symlink_to(secret)
    for words in (("follow", job, "other", EMPTY), ("content", job, "directory", "other")):
        code, data, _ = alice.ask(host.site.home, *words)
        assert (code, data) == (1, "")
    (work / "closed").mkdir(mode=0o700)  # root's
    code, data, said = alice.ask(host.site.home, "content", job, "directory", "closed/file")
    assert (code, data) == (1, "")
    assert "Permission denied" in said


def test_root_brings_live_outputs_and_inputs_as_the_owner(host: Host, alice: Person, commons: Path) -> None:
    work = alice.makes(commons / "work", mode=0o700)
    end = commons / "end"
    wait = f"until [ -e {end} ]; do sleep 0.05; done"
    job = host.accepted(alice, work, f"mkdir new; echo 1 > new/live; touch begun; {wait}\n")
    begun(host, alice, job)
    host.site.cli("outputs", "--live", job, "live", cwd=Path("/"))
    assert (work / "new" / "live").read_text() == "1\n"
    assert {path.stat().st_uid for path in work.rglob("*")} == {alice.uid}
    end.touch()
    host.completed(job)

    held = host.accepted(alice, work, "cat extra > seen\n", "--hold")
    extra = commons / "extra"
    extra.write_text("of root\n")
    extra.chmod(0o600)
    host.site.cli("put", held, str(extra))
    assert (work / "extra").stat().st_uid == alice.uid
    assert alice.run(host.site.commands / "scontrol", "release", held, cwd=work).returncode == 0
    host.completed(held)
    assert (work / "seen").read_text() == "of root\n"


def test_a_link_to_elsewhere_does_not_lend_roots_rights(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    """The owner exchanges the working directory while root puts a file there."""
    work = alice.makes(commons / "work")
    job = host.accepted(alice, work, "true\n", "--hold")
    private = bob.makes(commons / "private", mode=0o755)
    work.rename(commons / "moved")
    work.symlink_to(private)
    extra = commons / "extra"
    extra.write_text("x\n")
    done = host.site.cli("put", job, str(extra), code=None)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert list(private.iterdir()) == []
    host.site.client.ask("cancel", job)
