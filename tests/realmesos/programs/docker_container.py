"""A container for the stand-in of docker: a root, processes and mounts of its own. It needs root."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_CLONE_NEWNS, _CLONE_NEWPID, _PR_SET_PDEATHSIG = 0x20000, 0x20000000, 1
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}


def say(text: str, *, error: bool = False) -> None:
    """A line on stdout or stderr."""
    stream = sys.stderr if error else sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


@dataclass(frozen=True)
class Inside:
    """What runs in which image; ``volumes`` and ``user`` as in docker's options."""

    image: Path
    volumes: Sequence[str]
    directory: str
    user: str | None
    command: Sequence[str]
    environment: Mapping[str, str]

    def start(self, place: Path) -> int:
        """Start it and return its process id. The caller is in its mount namespace from now on.

        ``place`` is an empty directory, or none yet; what is mounted there is seen in that namespace only.
        """
        place.mkdir(exist_ok=True)
        _unshare(_CLONE_NEWNS)
        self._mount_all(place)
        _unshare(_CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            self._first_process(place / "root")
        return pid

    def _mount_all(self, place: Path) -> None:
        _mount("--make-rprivate", "/")
        _mount("-t", "tmpfs", "tmpfs", str(place))
        root, layer, work = place / "root", place / "layer", place / "work"
        for directory in (root, layer, work):
            directory.mkdir()
        layers = f"lowerdir={self.image},upperdir={layer},workdir={work}"
        _mount("-t", "overlay", "-o", layers, "overlay", str(root))
        for name in _DEVICES:
            (root / "dev" / name).touch()
            _mount("--bind", f"/dev/{name}", str(root / "dev" / name))
        for name, target in _LINKS.items():
            (root / "dev" / name).symlink_to(target)
        for volume in self.volumes:
            source, target, *mode = volume.split(":")
            inside = root / target.lstrip("/")
            inside.mkdir(parents=True, exist_ok=True)
            _mount("--bind", source, str(inside))
            if mode == ["ro"]:
                _mount("-o", "remount,bind,ro", str(inside))

    def _first_process(self, root: Path) -> NoReturn:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            libc.mount(b"proc", str(root / "proc").encode(), b"proc", 0, None)
            os.chroot(root)
            os.chdir(self.directory)
            os.setsid()
            if self.user is not None:
                uid, _, gid = self.user.partition(":")
                os.setgroups([])
                os.setgid(int(gid or 0))
                os.setuid(int(uid))
            os.execvpe(self.command[0], list(self.command), {"HOME": "/root", **self.environment})
        except OSError as error:
            say(f"docker: Error response from daemon: {error}", error=True)
        os._exit(127)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
