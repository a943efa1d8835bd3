"""The process that works as an account: what it is, what it has, and what its end means."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.integration.accounts.conftest import SHARED_GID, Host, Person, status
from tests.support.waiting import wait_for


def helper_of(host: Host, person: Person, commons: Path) -> int:
    host.completed(host.accepted(person, person.makes(commons / f"first-{person.name}"), "true\n"))
    (pid,) = host.helpers(person)
    return pid


def test_it_has_nothing_of_root(host: Host, alice: Person, commons: Path) -> None:
    found = status(helper_of(host, alice, commons))
    assert found["Uid"].split() == [str(alice.uid)] * 4
    assert found["Gid"].split() == [str(alice.uid)] * 4
    assert sorted(found["Groups"].split()) == sorted([str(alice.uid), str(SHARED_GID)])
    capabilities = {name: int(found[name], 16) for name in found if name.startswith("Cap")}
    assert capabilities == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0}
    assert found["NoNewPrivs"] == "1"
    assert found["Umask"] == "0022"


def test_it_inherits_nothing(host: Host, alice: Person, commons: Path) -> None:
    pid = helper_of(host, alice, commons)
    links = sorted(str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
    kinds = sorted({link.split(":")[0] for link in links})
    assert kinds == ["/dev/null", "/memfd", "socket"], links
    names = {
        entry.split(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if entry
    }
    assert names <= {b"PATH", b"LANG", b"LC_CTYPE"}
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0, "other processes of the account can look into it"
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]


def test_one_that_was_killed_is_replaced(host: Host, alice: Person, commons: Path) -> None:
    pid = helper_of(host, alice, commons)
    os.kill(pid, signal.SIGKILL)
    host.completed(host.accepted(alice, alice.makes(commons / "again"), "true\n"))
    (new,) = host.helpers(alice)
    assert new != pid


def test_a_fetch_that_lost_its_helper_is_done_again(host: Host, alice: Person, commons: Path) -> None:
    size = 400
    for number in range(8):
        work = alice.makes(commons / f"work-{number}")
        job = host.accepted(alice, work, f"head -c {size}M /dev/zero > big; echo x > small\n")
        wait_for(lambda: [*work.glob("*big*")], bool, "the fetch", pause=0.001)  # noqa: B023
        (pid,) = host.helpers(alice)
        os.kill(pid, signal.SIGKILL)
        if not (work / "big").exists():
            break
        host.completed(job)  # we were too late
        (work / "big").unlink()
    else:
        raise AssertionError("the fetch was over each time")
    host.completed(job)
    assert (work / "big").stat().st_size == size * 1024 * 1024
    assert [path.name for path in work.iterdir() if "airavata-part" in path.name] == []
    assert host.helpers(alice) != [pid]


def test_one_that_stands_still_holds_nobody_else_up(
    host: Host, alice: Person, bob: Person, commons: Path
) -> None:
    wait = "while ! [ -e {} ]; do sleep 0.05; done"
    for number in range(5):
        place = commons / f"try-{number}"
        place.mkdir()
        pid = helper_of(host, alice, place)
        work = alice.makes(place / "work")
        job = host.accepted(alice, work, f"{wait.format(place / 'go')}; echo x > out\n")
        other = host.accepted(bob, bob.makes(place / "bobs"), f"{wait.format(place / 'go-bob')}\n")
        host.in_phase(job, "running")
        host.in_phase(other, "running")
        os.kill(pid, signal.SIGSTOP)
        (place / "go").touch()
        try:
            host.in_phase(job, "fetching", "completed")
            (place / "go-bob").touch()
            host.completed(other)
            waits = host.show(job)["phase"] == "fetching"
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        host.completed(job)
        assert (work / "out").read_text() == "x\n"
        if waits:
            return
        # The machine was so slow that the helper was given up, and alice's files came with another one.
    raise AssertionError("alice's files came each time before bob's job was over")


def test_all_helpers_end_with_the_daemon(host: Host, alice: Person, commons: Path) -> None:
    pid = helper_of(host, alice, commons)
    host.site.kill()
    wait_for(lambda: Path(f"/proc/{pid}").exists(), lambda there: not there, "the end of the helper")
    host.site.start()
