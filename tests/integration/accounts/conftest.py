"""Two accounts of this host, made for the tests, and a daemon of root that serves both."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import as_account
from tests.support.site import Minicluster, Site
from tests.support.waiting import wait_for

SHARED_GID = 61_300
FETCH = {"retry_seconds": 0.1, "attempts": 3}

# The interpreter may lie where only root can go, so everything is imported before rights are given up.
_ASK = """
import json, os, sys
from pathlib import Path
from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.service.client import DaemonClient
import encodings.idna
uid = int(sys.argv[1])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
os.chdir("/")
client = DaemonClient(Path(sys.argv[2]))
try:
    answer = client.call("airavata-mesos", sys.argv[3:])
    print(json.dumps([answer.exit_code, answer.stdout.decode(), answer.stderr.decode()]))
except AiravataMesosError as error:
    print(json.dumps([-1, "", str(error)]))
"""


@dataclass(frozen=True)
class Person:
    """An account with a group of its own that has the same number."""

    name: str
    uid: int

    def run(self, command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run an installed command."""
        done = as_account(self.uid, command, *arguments, cwd=cwd)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def ask(self, home: Path, *argv: str) -> tuple[int, str, str]:
        """Ask the daemon what `airavata-mesos` would ask: exit code, standard output and error."""
        done = subprocess.run(
            [sys.executable, "-c", _ASK, str(self.uid), str(home / "command.sock"), *argv],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        code, stdout, stderr = json.loads(done.stdout)
        return code, stdout, stderr

    def makes(self, path: Path, content: str | None = None, mode: int = 0o755) -> Path:
        """A directory, or a file with content, of this person."""
        if content is None:
            path.mkdir()
        else:
            path.write_text(content)
        os.chown(path, self.uid, self.uid)
        path.chmod(mode)
        return path


ALICE = Person("am-test-alice", 61_201)
BOB = Person("am-test-bob", 61_202)


@pytest.fixture(scope="module")
def people() -> Iterator[tuple[Person, Person]]:
    """Alice and Bob; Alice is a member of a further group."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("these tests need root, which CI has")
        pytest.skip("only root can act as several accounts")
    with ExitStack() as stack:
        # The accounts are the host's: two runs of these tests take turns.
        turn = stack.enter_context((Path(tempfile.gettempdir()) / "am-test-accounts.lock").open("w"))
        fcntl.flock(turn, fcntl.LOCK_EX)
        _remove_leftovers()
        for person in (ALICE, BOB):
            stack.enter_context(_made("groupadd", "groupdel", "-g", str(person.uid), person.name))
        stack.enter_context(_made("groupadd", "groupdel", "-g", str(SHARED_GID), "am-test-shared"))
        for person, more in ((ALICE, ("-G", "am-test-shared")), (BOB, ())):
            options = ("-M", "-N", "-u", str(person.uid), "-g", str(person.uid), *more, "-d", "/nonexistent")
            stack.enter_context(_made("useradd", "userdel", *options, person.name))
        yield ALICE, BOB


def _remove_leftovers() -> None:
    """What a run that was killed has left; an account goes before its group."""
    for name in (ALICE.name, BOB.name):
        subprocess.run(["/usr/sbin/userdel", name], capture_output=True, check=False)
    for name in (ALICE.name, BOB.name, "am-test-shared"):
        subprocess.run(["/usr/sbin/groupdel", name], capture_output=True, check=False)


@contextmanager
def _made(make: str, remove: str, *arguments: str) -> Iterator[None]:
    subprocess.run([f"/usr/sbin/{make}", *arguments], capture_output=True, check=True, text=True)
    try:
        yield
    finally:
        # userdel takes a group of the same name along.
        subprocess.run([f"/usr/sbin/{remove}", arguments[-1]], capture_output=True, check=False)


@pytest.fixture
def alice(people: tuple[Person, Person]) -> Person:
    return people[0]


@pytest.fixture
def bob(people: tuple[Person, Person]) -> Person:
    return people[1]


@pytest.fixture
def commons(people: tuple[Person, Person]) -> Iterator[Path]:
    """A directory that everybody can pass through; those of the test runner are root's alone."""
    assert people
    path = Path(tempfile.mkdtemp(prefix="am-commons-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Host:
    """A site whose daemon is root's."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def sbatch(
        self, person: Person, work: Path, script: str, *options: str
    ) -> subprocess.CompletedProcess[str]:
        """Submit a script as the person."""
        place = work if work.is_dir() else work.parent
        person.makes(place / "job.sh", f"#!/bin/sh\n{script}", 0o644)
        return person.run(self.site.commands / "sbatch", *options, "job.sh", cwd=place)

    def accepted(self, person: Person, work: Path, script: str, *options: str) -> str:
        """Submit a script that must be accepted; the job's id."""
        done = self.sbatch(person, work, script, *options)
        assert done.returncode == 0, done
        return done.stdout.split()[-1]

    def show(self, job: str) -> dict[str, Any]:
        """All that the daemon knows of a job."""
        document: dict[str, Any] = self.site.client.ask("show", job)
        return document

    def in_phase(self, job: str, *phases: str) -> dict[str, Any]:
        """Wait until the job is in one of the phases."""
        return wait_for(lambda: self.show(job), lambda d: d["phase"] in phases, f"{phases}", pause=0.02)

    def ended(self, job: str) -> dict[str, Any]:
        """Wait until the job is over."""
        return wait_for(
            lambda: self.show(job),
            lambda document: bool(document["final"]),
            f"the end of job {job}",
            context=lambda: self.site.daemon.log,
        )

    def completed(self, job: str) -> None:
        """Wait until the job is over; it must have gone well."""
        document = self.ended(job)
        assert document["state"] == "COMPLETED", document

    def helpers(self, person: Person) -> list[int]:
        """The processes of the daemon that run as the person."""
        found = []
        for pid in children(self.site.daemon.pid):
            with suppress(OSError):  # it has ended meanwhile
                if status(pid)["Uid"].split()[0] == str(person.uid):
                    found.append(pid)
        return found


def status(pid: int) -> dict[str, str]:
    """What Linux tells of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def children(pid: int) -> list[int]:
    """The processes that a process, with all of its threads, started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


HostFactory = Callable[..., Host]


@contextmanager
def running_host(prefix: Sequence[str] = (), **settings: object) -> Iterator[Host]:
    directory = Path(tempfile.mkdtemp(prefix="am-host-"))
    directory.chmod(0o755)
    minicluster = Minicluster(directory, cpus=8)
    site = Site(directory, minicluster, {"fetch": FETCH, **settings}, prefix)
    try:
        minicluster.start()
        try:
            site.start()
            site.install()
            yield Host(site)
        finally:
            site.stop()
            minicluster.stop()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def host(people: tuple[Person, Person]) -> Iterator[Host]:
    """A host that the tests of a module share."""
    assert people
    with running_host() as running:
        yield running


@pytest.fixture
def own_host(people: tuple[Person, Person]) -> Iterator[HostFactory]:
    """Makes hosts with settings of their own."""
    assert people
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running_host(**settings))


def helpers() -> list[int]:
    """The helpers of this process. It may have other children: clusters that a whole test run shares."""
    found = []
    for pid in children(os.getpid()):
        with suppress(OSError):  # it has ended meanwhile
            if b"sandbox.accounts.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found
