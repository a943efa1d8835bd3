"""Becoming another account for good: no way leads back to root (Linux)."""

from __future__ import annotations

import ctypes
import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_NOTHING = "0000000000000000"


@dataclass(frozen=True)
class Identity:
    """An account as the kernel knows it."""

    uid: int
    gid: int
    groups: tuple[int, ...]  # the supplementary ones


class StillPrivileged(Exception):
    """Giving up root's rights did not work; the process must not go on."""


def become(identity: Identity) -> None:
    """Take on the identity, called by root in a process of its own. Not repeatable.

    Afterwards the process has no capability, can gain none by running a program, leaves no core file and
    cannot be traced by other processes of the account. Raises OSError, or StillPrivileged when a look
    afterwards finds anything of root left.
    """
    if identity.uid == 0:
        raise StillPrivileged("a helper never works as root")
    libc = ctypes.CDLL(None, use_errno=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)
    # Root's uid must not keep or regain capabilities through secure bits that we were started with.
    _prctl(libc, _PR_SET_SECUREBITS, 0)
    for number in range(_last_capability() + 1):
        _prctl(libc, _PR_CAPBSET_DROP, number)
    _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    _clear_capabilities(libc)
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _prctl(libc, _PR_SET_DUMPABLE, 0)
    verify(identity)


def verify(identity: Identity) -> None:
    """Raises StillPrivileged unless the process is the account and nothing else."""
    found: dict[str, tuple[object, object]] = {
        "user ids": (os.getresuid(), (identity.uid,) * 3),
        "group ids": (os.getresgid(), (identity.gid,) * 3),
        "groups": (sorted(set(os.getgroups())), sorted(set(identity.groups))),
    }
    status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        found[name] = (_field(status, name), _NOTHING)
    found["NoNewPrivs"] = (_field(status, "NoNewPrivs"), "1")
    for name, (is_now, expected) in found.items():
        if is_now != expected:
            raise StillPrivileged(f"{name}: {is_now} instead of {expected}")
    for what, way_back in (("uid", os.setuid), ("gid", os.setgid)):
        if what == "gid" and identity.gid == 0:
            continue  # root's group is the account's own
        try:
            way_back(0)
        except PermissionError:
            continue
        raise StillPrivileged(f"the {what} could be set to 0")


def _field(status: str, name: str) -> str:
    match = re.search(rf"^{name}:\s*(\S+)$", status, re.MULTILINE)
    return match[1] if match else ""


def _last_capability() -> int:
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))


def _prctl(libc: ctypes.CDLL, option: int, argument: int) -> None:
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def _clear_capabilities(libc: ctypes.CDLL) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing):
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
