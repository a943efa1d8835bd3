"""Builds a real Mesos master and agent from the published binding: ``python -m tests.realmesos.build``.

The result lies in the user's cache directory under a name made from all sources, so runs and clones share
it. It is made beside that name and renamed, so what is there is whole; of two builds at the same time one
waits for the other. Nothing in it refers to the place where it lies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.realmesos.elf import SharedLibrary
from tests.realmesos.lookalike import assembly, interpreter_names, version_script
from tests.realmesos.published import SHA256, Unavailable, library

VERSION = os.environ.get("REALMESOS_VERSION", "1.11.0")
"""Release of Mesos; 1.9.0 and 1.10.0 can be had as well."""

UNUSED_SECONDS = 30 * 86400.0
"""A build that no test has used for so long makes room for another."""

_HERE = Path(__file__).parent
_PROGRAMS = {
    "docker": "docker",
    "mesos-executor": "command_executor",
    "mesos-default-executor": "default_executor",
    "mesos-docker-executor": "docker_executor",
    "mesos-fetcher": "fetcher",
}
_SERVERS = ("mesos-master", "mesos-agent", "mesos-containerizer", "mesos-io-switchboard", "mesos-docker")
_OPENSSL = {"ssl": ("libssl.so.1.0.0", "libssl.so.3"), "crypto": ("libcrypto.so.1.0.0", "libcrypto.so.3")}


class BuildFailed(Exception):
    """A step of the build failed; says which."""


def cache_directory() -> Path:
    """Where builds of all checkouts of this user lie.

    Those of root lie where other accounts can run them: executors run as the user of the task.
    """
    own = "/var/cache" if os.geteuid() == 0 else Path.home() / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or own) / "airavata-mesos-tests"


def build_directory() -> Path:
    """Where the build of these sources is, or will be."""
    digest = hashlib.sha256(f"{VERSION} {platform.machine()}".encode())
    sources = [_HERE / f"{module}.py" for module in ("build", "elf", "lookalike", "published")]
    for source in sorted([*_HERE.glob("native/*"), *_HERE.glob("programs/*.py"), *sources]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return cache_directory() / f"realmesos-{digest.hexdigest()[:16]}"


def build() -> Path:
    """Build unless that has been done; returns the directory. Raises BuildFailed or Unavailable."""
    if platform.machine() != "x86_64":
        raise Unavailable(f"Mesos is published for x86-64 only; this is {platform.machine()}")
    if VERSION not in SHA256:
        raise Unavailable(f"Mesos {VERSION} is not one of {', '.join(SHA256)}")
    target, cache = build_directory(), cache_directory()
    cache.mkdir(parents=True, exist_ok=True, mode=0o755)
    with _lock(cache / "realmesos.lock"):
        if not target.is_dir():
            _tidy(cache)
            beside = cache / f"{target.name}.unfinished"
            beside.mkdir()
            try:
                _make(beside, library(VERSION, cache))
                beside.rename(target)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
        os.utime(target)
    return target


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _tidy(cache: Path) -> None:
    """Remove what a killed build left, and builds that nobody uses; only under the lock."""
    for found in cache.glob("realmesos-*"):
        if found.suffix == ".unfinished" or time.time() - found.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(found, ignore_errors=True)


def _make(where: Path, published: bytes) -> None:
    _prepare_library(where, published)
    for name in _OPENSSL:
        soname = f"lib{name}.so.1.0.0"
        _run(
            where,
            *("gcc", "-O2", "-Wall", "-fPIC", "-shared", f"-Wl,-soname,{soname}"),
            *(f"-Wl,--version-script={name}.map", "-o", soname, f"{name}.S", _HERE / "native/openssl_shim.c"),
        )
    _run(where, "gcc", "-O2", "-Wall", "-c", "-o", "interpreter.o", "interpreter.c")
    _run(
        where,
        *("g++", "-std=c++17", "-O1", "-Wall", f"-DMESOS_MINOR={VERSION.split('.')[1]}", "-o", "mesosall"),
        *(
            _HERE / "native/mesosall.cpp",
            "interpreter.o",
            "-rdynamic",
            "-pthread",
            "-L.",
            "-l:libmesosall.so",
        ),
        *("-Wl,--allow-shlib-undefined", "-Wl,--disable-new-dtags,-rpath,$ORIGIN"),
    )
    (where / "gpus").mkdir()  # apart, or every agent would find it
    gpus = "gpus/libnvidia-ml.so.1"
    _run(where, *("gcc", "-O2", "-Wall", "-fPIC", "-shared", "-o", gpus, _HERE / "native/nvml.c"))
    for made in [*where.glob("*.S"), *where.glob("*.map"), *where.glob("interpreter.*")]:
        made.unlink()
    for server in _SERVERS:
        (where / server).symlink_to("mesosall")
    package = where / "realmesos_programs"
    package.mkdir()
    for source in _HERE.glob("programs/*.py"):
        shutil.copyfile(source, package / source.name)
    for program, module in _PROGRAMS.items():
        script = where / program
        script.write_text(f"#!/usr/bin/env python3\nfrom realmesos_programs.{module} import main\n\nmain()\n")
        script.chmod(0o755)
    _run(where, "./mesos-master", "--help")


def _prepare_library(where: Path, published: bytes) -> None:
    """The library with today's name of libcurl's version, and the sources of what else it wants."""
    shared = SharedLibrary(bytearray(published))
    shared.rename_version("CURL_OPENSSL_3", "CURL_OPENSSL_4")
    path = where / "libmesosall.so"
    path.write_bytes(shared.data)
    path.chmod(0o755)
    _run(where, "strip", "--strip-unneeded", path.name)
    wanted = shared.wanted()
    for name, (old, new) in _OPENSSL.items():
        names = {item.name: item.version for item in wanted if item.library == old}
        (where / f"{name}.S").write_text(assembly(names, new))
        (where / f"{name}.map").write_text(version_script(names))
    interpreter = [item.name for item in wanted if not item.library and item.name.startswith(("Py", "_Py"))]
    (where / "interpreter.c").write_text(interpreter_names(interpreter))


def _run(where: Path, *command: str | Path) -> None:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BuildFailed(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        line = " ".join(map(str, command))
        raise BuildFailed(f"{line}\nended with {done.returncode}:\n{done.stderr[-4000:]}")


def main() -> int:
    """For the Makefile: build, and say where."""
    try:
        target = build()
    except (BuildFailed, Unavailable, OSError) as error:
        sys.stderr.write(f"A real Mesos cannot be built: {error}\n")
        return 1
    sys.stdout.write(f"{target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
