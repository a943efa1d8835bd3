"""A small image out of programs of this host, for Mesos' own containers and for the stand-in of docker."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PROGRAMS = (
    *("bash", "cat", "chmod", "cp", "date", "dd", "env", "head", "id", "ln", "ls", "mkdir", "mktemp", "mv"),
    *("rm", "rmdir", "setsid", "sha256sum", "sleep", "sort", "stat", "tail", "tar", "tee", "touch", "tr"),
    *("uname", "wget"),
)
"""What a job in an image needs, and what scripts of tests use; python3 is there too."""

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_OF_PYTHON = ("__pycache__", "config-*", "*-packages", "ensurepip", "idlelib", "lib2to3", "test")

DIRECTORIES = ("dev", "etc", "mnt", "proc", "root", "srv", "sys", "tmp", "var")
MARK = "etc/only-in-the-image"
WORDS = "words of the image\n"
CONFIG: Json = {
    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "OF_THE_IMAGE=yes"],
    # As images of applications have them; neither is for a job.
    "WorkingDir": "/srv",
    "Entrypoint": ["/bin/false"],
    "Cmd": None,
    "Labels": {"com.nvidia.volumes.needed": "nvidia_driver"},
}
_LAYER = "a" * 64


def make_rootfs(root: Path, programs: Sequence[str] = PROGRAMS) -> None:
    """The programs with their libraries, where Debian has them, and the file ``MARK``."""
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    sources = []
    for program in programs:
        found = shutil.which(program)
        assert found, f"{program} is not installed"
        sources.append(found)
        shutil.copy(Path(found).resolve(), root / "usr/bin" / program)
    (root / "usr/bin/sh").symlink_to("bash")
    sources += _add_python(root)
    linked = subprocess.run(["ldd", *sources], capture_output=True, text=True, check=False).stdout
    libraries = set(re.findall(r"(/\S+) \(0x", linked))
    # The C library loads it when a thread ends.
    libraries |= {
        re.sub(r"[^/]+$", "libgcc_s.so.1", path) for path in libraries if path.endswith("/libc.so.6")
    }
    for library in sorted(libraries):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(library).resolve(), target)
    (root / MARK).write_text(WORDS)


def _add_python(root: Path) -> list[str]:
    """The system's python3 with most of its library; returns what of it is linked with other libraries."""
    program = shutil.which("python3", path=_SYSTEM_PATH)
    assert program, "python3 is not installed"
    ask = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    answer = subprocess.run([program, "-I", "-c", ask], capture_output=True, text=True, check=True).stdout
    library = Path(answer.strip())
    shutil.copy(Path(program).resolve(), root / "usr/bin/python3")
    target = root / str(library).lstrip("/")
    shutil.copytree(library, target, ignore=shutil.ignore_patterns(*_NOT_OF_PYTHON), dirs_exist_ok=True)
    return [program, *map(str, (library / "lib-dynload").glob("*.so"))]


def save(root: Path, archive: Path, name: str) -> None:
    """What ``docker save`` makes of an image of one layer (Docker 24), in as far as Mesos 1.11 reads it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, ".")
    about = {
        "id": _LAYER,
        "architecture": "amd64",
        "os": "linux",
        "config": CONFIG,
        "container_config": CONFIG,
    }
    members = {
        f"{_LAYER}/VERSION": b"1.0",
        f"{_LAYER}/json": json.dumps(about).encode(),
        f"{_LAYER}/layer.tar": layer.getvalue(),
        "repositories": json.dumps({name: {"latest": _LAYER}}).encode(),
    }
    with tarfile.open(archive, "w") as tar:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
