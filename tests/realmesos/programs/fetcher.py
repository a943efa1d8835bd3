"""Stands in for mesos-fetcher: brings the URIs of a task into its sandbox."""

from __future__ import annotations

import gzip
import json
import os
import pwd
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_TAR = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
_REMOTE = ("http://", "https://", "ftp://")


def fetch(info: Json) -> None:
    """All items of a FetcherInfo message. Raises OSError or ValueError with what went wrong."""
    sandbox = Path(info["sandbox_directory"])
    cache = Path(info["cache_directory"]) if "cache_directory" in info else None
    stall = info.get("stall_timeout", {}).get("nanoseconds", 60e9) / 1e9
    for item in info.get("items", []):
        uri: Json = item["uri"]
        target = sandbox / (uri.get("output_file") or _base_name(uri["value"]))
        target.parent.mkdir(parents=True, exist_ok=True)
        sys.stderr.write(f"Fetching {uri['value']}\n")
        if item["action"] == "BYPASS_CACHE":
            _download(uri["value"], target, info.get("frameworks_home"), stall)
            if uri.get("executable"):
                target.chmod(0o755)
            elif uri.get("extract", True):
                _extract(target, sandbox)
            continue
        if cache is None:
            raise ValueError("a cached item without a cache directory")
        cache.mkdir(parents=True, exist_ok=True)
        kept = cache / item["cache_filename"]
        if item["action"] == "DOWNLOAD_AND_CACHE":
            _download(uri["value"], kept, info.get("frameworks_home"), stall)
        if uri.get("executable"):
            shutil.copyfile(kept, target)
            target.chmod(0o755)
        elif not (uri.get("extract", True) and _extract(kept, sandbox)):
            shutil.copyfile(kept, target)
    if info.get("user") and os.geteuid() == 0:
        _give(sandbox, info["user"])


def _base_name(uri: str) -> str:
    return uri.split("?")[0].rstrip("/").rpartition("/")[2]


def _local_path(uri: str, home: str | None) -> Path | None:
    if uri.startswith("file://"):
        return Path(uri[len("file://") :].removeprefix("localhost"))
    if "://" in uri:
        return None
    if uri.startswith("/"):
        return Path(uri)
    if not home:
        raise ValueError(f"relative path without a home: {uri}")
    return Path(home, uri)


def _download(uri: str, target: Path, home: str | None, stall: float) -> None:
    uri = uri.lstrip()
    path = _local_path(uri, home)
    if path is not None:
        shutil.copyfile(path, target)
        return
    if not uri.startswith(_REMOTE):
        raise ValueError(f"no way to fetch {uri}")
    with urllib.request.urlopen(uri, timeout=stall) as answer, target.open("wb") as file:
        shutil.copyfileobj(answer, file)


def _extract(archive: Path, where: Path) -> bool:
    """Unpack what is known by its name as an archive; False for anything else."""
    if archive.name.endswith(_TAR):
        with tarfile.open(archive) as tar:
            tar.extractall(where)
    elif archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as bundle:
            for member in bundle.infolist():
                out = Path(bundle.extract(member, where))
                mode = member.external_attr >> 16
                if mode and not member.is_dir():
                    out.chmod(mode & 0o7777)
    elif archive.name.endswith(".gz"):
        with gzip.open(archive) as packed, (where / archive.name.removesuffix(".gz")).open("wb") as file:
            shutil.copyfileobj(packed, file)
    else:
        return False
    return True


def _give(sandbox: Path, user: str) -> None:
    account = pwd.getpwnam(user)
    for base, directories, names in os.walk(sandbox):
        for name in [".", *directories, *names]:
            os.lchown(Path(base, name), account.pw_uid, account.pw_gid)


def main() -> None:
    try:
        fetch(json.loads(os.environ["MESOS_FETCHER_INFO"]))
    except (OSError, ValueError, KeyError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        sys.stderr.write(f"Failed to fetch: {error}\n")
        sys.exit(1)
