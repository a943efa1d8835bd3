"""Memory stays flat whatever the size of a file; measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.sandbox.conftest import Agent

GIB = 1024**3
CHILD = """
import json, resource, sys
from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot
from airavata_mesos_plugin.schedulers.base import SandboxAddress

url, path, working = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = Fetcher(FetchSettings(), SystemClock()).fetch(
    SandboxAddress(url, path), working, Snapshot(1.0), job_id=1
)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"bytes": report.bytes, "before": before, "after": after}))
"""


def test_two_gigabytes_need_no_memory(agent: Agent, sandbox: Path, working: Path) -> None:
    with (sandbox / "large").open("wb") as file:
        file.truncate(2 * GIB)
        file.seek(2 * GIB - 5)
        file.write(b"the e")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, agent.url, agent.address.path, str(working)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=100,
    )
    measured = json.loads(done.stdout)
    try:
        assert measured["bytes"] == (working / "large").stat().st_size == 2 * GIB
        with (working / "large").open("rb") as file:
            file.seek(-5, os.SEEK_END)
            assert file.read() == b"the e"
    finally:
        (working / "large").unlink()  # pytest keeps the directories of the last runs
    grown_kib = measured["after"] - measured["before"]
    assert grown_kib < 16 * 1024, f"{grown_kib} KiB more for 2 GiB"
