"""Becoming an account for good, tried out in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.accounts.conftest import SHARED_GID, Person

_PROGRAM = """
import ctypes, os, sys
from airavata_mesos_plugin.sandbox.accounts.rights import Identity, StillPrivileged, become, verify
uid, gid, *groups = map(int, sys.argv[2:])
identity = Identity(uid, gid, tuple(groups))
become(identity)
{attempt}
"""


def run(attempt: str, uid: int, gid: int, *groups: int) -> subprocess.CompletedProcess[str]:
    numbers = [str(number) for number in (uid, gid, *groups)]
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM.replace("{attempt}", attempt), "-", *numbers],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "attempt",
    [
        "os.setuid(0)",
        "os.seteuid(0)",
        "os.setresuid(0, 0, 0)",
        "os.setreuid(-1, 0)",
        "os.setgid(0)",
        "os.setgroups([0])",
        "os.setgroups([])",
        "os.chown('/tmp', 0, 0)",
        "open('/etc/shadow').read()",
        "os.kill(os.getppid(), 0)",
        "os.chroot('/tmp')",
        "os.mknod('/tmp/am-device', 0o60600, os.makedev(1, 1))",
    ],
)
def test_there_is_no_way_back(alice: Person, attempt: str) -> None:
    done = run(attempt, alice.uid, alice.uid, SHARED_GID)
    assert done.stderr.splitlines()[-1].startswith("PermissionError"), done


def test_the_same_attempts_work_for_root(alice: Person) -> None:
    """Otherwise the test before this one says nothing."""
    program = (
        "import os; os.setuid(0); os.setgroups([0]); open('/etc/shadow').read(); os.kill(os.getppid(), 0)"
    )
    assert alice.uid
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_program_with_the_set_uid_bit_gives_nothing_back(alice: Person) -> None:
    """The kernel keeps the promise over a new program, so `su` starts and is nobody special."""
    reading = "os.execv('/bin/grep', ['grep', '-E', '^(NoNewPrivs|CapEff|CapBnd)', '/proc/self/status'])"
    done = run(reading, alice.uid, alice.uid)
    assert done.stdout.split() == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]
    done = run("os.execv('/bin/su', ['su', '-c', 'id -u'])", alice.uid, alice.uid)
    assert done.returncode != 0
    assert done.stdout.strip() != "0"


def test_what_is_left_of_root_is_found(alice: Person) -> None:
    """The look afterwards finds each thing that giving up may have missed."""
    for wrong in (
        "Identity(uid + 1, gid, tuple(groups))",
        "Identity(uid, gid + 1, tuple(groups))",
        "Identity(uid, gid, (*groups, 5))",
        "Identity(uid, gid, ())",
    ):
        done = run(f"verify({wrong})", alice.uid, alice.uid, SHARED_GID)
        assert "StillPrivileged" in done.stderr, (wrong, done)


def test_root_is_no_account_to_become(alice: Person) -> None:
    assert alice.uid
    assert "StillPrivileged: a helper never works as root" in run("", 0, 0).stderr
