"""What Mesos' fetcher does before a task starts (Mesos 1.9): URIs into the run directory, one after another.

HTTP(S), ``file://`` and absolute paths; the role's cache is not bounded. Only the standard library is used.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

STALL_SECONDS = 60.0
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


class Uri(NamedTuple):
    value: str
    output_file: str  # empty: the last part of the path
    extract: bool
    cache: bool
    executable: bool = False


class FetchFailed(Exception):
    """Says which address, and why."""


def fetch_all(uris: Sequence[Uri], directory: Path, cache: Path) -> None:
    """Put them into ``directory``. Raises FetchFailed; what came before stays."""
    for uri in uris:
        try:
            target = _fetch(uri, directory, cache)
            if uri.executable:
                target.chmod(0o755)
        except (OSError, ValueError, shutil.ReadError) as error:
            raise FetchFailed(f"Failed to fetch '{uri.value}': {error}") from error


def _fetch(uri: Uri, directory: Path, cache: Path) -> Path:
    name = uri.output_file or unquote(urlsplit(uri.value).path.rsplit("/", 1)[-1])
    target = directory / name
    if not name or name.startswith("/") or ".." in Path(name).parts:
        raise ValueError(f"'{name}' is no name for a file in the sandbox")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not uri.cache:
        _download(uri.value, target)
        if uri.extract:
            _extract(target, target.parent)
        return target
    # What ends the name decides about extracting, so the cached file keeps it.
    kept = cache / hashlib.sha256(uri.value.encode()).hexdigest() / target.name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f".{kept.name}.{os.getpid()}")
        _download(uri.value, part)
        part.replace(kept)
    if not (uri.extract and _extract(kept, target.parent)):
        shutil.copyfile(kept, target)
    return target


def _download(address: str, target: Path) -> None:
    if address.startswith(("/", "file://")):
        shutil.copyfile(address.removeprefix("file://"), target)
        return
    if not address.startswith(("http://", "https://")):
        raise ValueError("this minicluster has no Hadoop client")
    with urllib.request.urlopen(address, timeout=STALL_SECONDS) as answer, target.open("wb") as out:
        shutil.copyfileobj(answer, out, 1 << 20)


def _extract(path: Path, directory: Path) -> bool:
    """Whether the file is an archive by its name; then its content lies in ``directory``."""
    if path.name.endswith(_TARS):
        done = subprocess.run(["tar", "-C", str(directory), "-xf", str(path)], check=False)
        if done.returncode:
            raise ValueError(f"tar exited with status {done.returncode}")
    elif path.name.endswith(".zip"):
        shutil.unpack_archive(path, directory, "zip")
    elif path.name.endswith(".gz"):
        with gzip.open(path) as packed, (directory / path.name.removesuffix(".gz")).open("wb") as out:
            shutil.copyfileobj(packed, out)
    else:
        return False
    return True


def run(uris: Sequence[Sequence[object]], directory: str, cache: str) -> int:
    """`fetch_all`; the exit code of the fetcher's process. Troubles go to stderr, which is the sandbox's."""
    try:
        wanted = [
            Uri(str(value), str(name), *(bool(choice) for choice in choices))
            for value, name, *choices in uris
        ]
        fetch_all(wanted, Path(directory), Path(cache))
    except FetchFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
