"""The published binding that has all of Mesos in it: ``mesos.scheduler`` of the Python package index.

It is one shared library for Python 2, linked statically against master, agent, containerizer, allocator,
replicated log and ZooKeeper client. pip cannot install it, so it is looked up in the index that pip is
configured for.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import requests
from pypi_simple import PyPISimple

PROJECT = "mesos.scheduler"
SHA256 = {
    "1.9.0": "6829dc7ee6400b7a6d186e966a25d217638b365f5a9ba0b783222a5858f56dcf",
    "1.10.0": "76f111c32a0cd82fc23aff61a85215d4d9ceebb34654d93264d8e64a27483ff5",
    "1.11.0": "1d376f20bca6d05ee8b90c1c123a452b28753497ccc2f1c80ea3ac94c12e8f6e",
}
TIMEOUT_SECONDS = 180.0


class Unavailable(Exception):
    """The published file cannot be had, or is not what it was."""


def library(version: str, cache: Path) -> bytes:
    """The shared library of a release of Mesos; its archive is kept in ``cache``. Raises Unavailable."""
    archive = cache / f"{PROJECT}-{version}.linux-x86_64.tar.gz"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(f".{os.getpid()}.part")
        try:
            _download(archive.name, partial)
            _check(partial, version)
            partial.rename(archive)
        finally:
            partial.unlink(missing_ok=True)
    _check(archive, version)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith("/_scheduler.so"):
                file = tar.extractfile(member)
                assert file is not None
                return file.read()
    raise Unavailable(f"no library in {archive}")


def _check(archive: Path, version: str) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256[version]:
        archive.unlink()
        raise Unavailable(f"{archive.name} has unexpected contents: SHA-256 {digest}")


def _download(name: str, target: Path) -> None:
    settings = _pip_settings()
    endpoint = {"endpoint": settings["index-url"]} if "index-url" in settings else {}
    with requests.Session() as session:
        if "cert" in settings:
            session.verify = settings["cert"]
        try:
            client = PyPISimple(**endpoint, session=session)
            page = client.get_project_page(PROJECT, timeout=TIMEOUT_SECONDS)
            wanted = [package for package in page.packages if package.filename == name]
            if not wanted:
                raise Unavailable(f"{name} is not in the package index")
            client.download_package(wanted[0], target, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise Unavailable(f"cannot fetch {name}: {type(error).__name__}") from error


def _pip_settings() -> dict[str, str]:
    """pip's own options, from its files and its environment variables; the latter win, as in pip."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    ranked: list[tuple[int, str, str]] = []
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section)
        if rank is not None:
            ranked.append((rank, name, str(ast.literal_eval(value))))
    return {name: value for _, name, value in sorted(ranked)}
