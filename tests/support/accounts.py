"""Acting as another account of this machine, for tests that run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# The interpreter may lie where only root can go, so everything that a command imports is imported first.
_COMMAND = """
import _frozen_importlib_external, _socket, marshal, os, posix, sys, time
uid = int(sys.argv[1])
with open(sys.argv[2]) as file:
    source = file.read()
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
sys.argv = sys.argv[2:]
__file__ = sys.argv[0]
exec(compile(source, __file__, "exec"))
"""

# setpriv still has root's rights when it starts a program, so what counts is the program after that.
_PROBE = """
import subprocess, sys
import airavata_mesos_plugin.config
sys.exit(subprocess.run([sys.executable, "-c", "import airavata_mesos_plugin.config"]).returncode)
"""


def as_account(uid: int, command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the installed commands as ``uid``."""
    return subprocess.run(
        [sys.executable, "-IS", "-c", _COMMAND, str(uid), str(command), *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def prefix(uid: int) -> Sequence[str]:
    """What stands before a command line so that it runs as the ordinary account ``uid``.

    Where that account cannot reach our interpreter, it may read everything, which changes nothing about
    whom it serves and what it can write.
    """
    plain = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    reading = [*plain, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    for candidate in (plain, reading):
        done = subprocess.run(
            [*candidate, sys.executable, "-c", _PROBE], capture_output=True, timeout=30, check=False
        )
        if done.returncode == 0:
            return candidate
    raise AssertionError(f"account {uid} cannot run {sys.executable}")


@contextmanager
def common_directory(owner: int) -> Iterator[Path]:
    """A directory of ``owner`` that all accounts can pass through; the tests' own are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="accounts-"))
    try:
        path.chmod(0o711)
        os.chown(path, owner, owner)
        yield path
    finally:
        shutil.rmtree(path)


def name_of(uid: int) -> str:
    """The login name, or the number of a uid without one."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
