"""A daemon's HTTP side with a ledger, and sandboxes in which the stage-in command runs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.service.parts import make_scheduler
from airavata_mesos_plugin.testing.settings import NOWHERE, provider_document
from airavata_mesos_plugin.testing.stage import ProviderStage
from tests.integration.inputs.road import Road

COREUTILS = ("dd", "head", "rm", "sha256sum", "tee")


class Site(ProviderStage):
    """Jobs whose inputs travel on a road with holes."""

    road: Road | None = None

    def stage_in(self, job_id: int) -> str:
        """The command that the job's agent runs first."""
        document: Any = self.provider.document(job_id)
        text: str = document["task"]["processes"][0]["cmdline"]
        return text.replace(self.parts.staging_url(), self.road.url) if self.road else text

    def address(self, job_id: int) -> str:
        """The signed address of the job's inputs."""
        (line,) = (line for line in self.stage_in(job_id).splitlines() if line.startswith("url="))
        return line.removeprefix("url=").strip("'")


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**changes: Any) -> Site:
        settings = ProviderSettings.model_validate(provider_document(NOWHERE, NOWHERE, changes))
        clock = SystemClock()
        schedulers = {cluster.name: make_scheduler(cluster, clock) for cluster in settings.clusters}
        site = Site(tmp_path / "daemon", settings, schedulers, clock)
        sites.append(site)
        site.start()
        return site

    yield make
    for site in sites:
        site.stop()
        if site.road:
            site.road.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    site = make_site()
    site.road = Road(site.parts.staging_url())
    return site


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    path = tmp_path / "sandbox"
    path.mkdir()
    return path


@pytest.fixture
def agent(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a sandbox, where only one download program is installed and pauses take no time."""

    def run(command: str, sandbox: Path, downloader: str = "curl") -> subprocess.CompletedProcess[str]:
        programs = tmp_path / f"bin-{downloader}"
        if not programs.exists():
            programs.mkdir()
            for name in ("tar", downloader, *COREUTILS):
                program = sys.executable if name == "python3" else shutil.which(name)
                if program is not None:
                    (programs / name).symlink_to(program)
            sleep = programs / "sleep"
            sleep.write_text('#!/bin/bash\necho "$1" >>"${0%/*}/pauses"\n')
            sleep.chmod(0o755)
        return subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=sandbox,
            env={"PATH": str(programs)},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            check=False,
        )

    return run


def tree(directory: Path) -> dict[bytes, tuple[object, ...]]:
    """All that a directory holds: kind, mode, time and content by name. Control files are left out."""
    found: dict[bytes, tuple[object, ...]] = {}
    for path in directory.rglob("*"):
        name = os.fsencode(path.relative_to(directory))
        if name.startswith(b".airavata-mesos"):
            continue
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            found[name] = kind, status.st_mode, status.st_mtime_ns, path.read_bytes()
        elif kind == stat.S_IFLNK:
            found[name] = kind, os.fsencode(path.readlink())
        else:
            found[name] = kind, status.st_mode
    return found
