"""One fetch through SFTP in a process of its own, so that its CPU time and memory are those of the fetch.

Takes a file of JSON: the settings of SFTP, the sandbox and the target. Prints one line of JSON; seconds,
MiB and bytes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings, SftpSettings
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.inputs.snapshot import take
from airavata_mesos_plugin.sandbox.origins import SFTP, sftp_details
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.sftp.source import SftpSources
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress

from .fetch_child import _cpu_seconds, _peak_mib


def main(order: Path) -> None:
    """Fetch a whole sandbox into an empty directory."""
    told = json.loads(order.read_text())
    clock, settings = SystemClock(), FetchSettings()
    client = FilesClient(settings)
    sources = SftpSources({"c": SftpSettings.model_validate(told["sftp"])}, clock, client, 60.0)
    fetcher = Fetcher(settings, clock, client, {SFTP: sources.open})
    origin = Origin(SFTP, SandboxAddress("http://127.0.0.1:1", told["sandbox"]), sftp_details("c", "", ""))
    before = _peak_mib()
    cpu, begin = _cpu_seconds(), time.perf_counter()
    report = fetcher.fetch(origin, told["target"], take(told["target"], clock.now()), job_id=1)
    seconds, cpu = time.perf_counter() - begin, _cpu_seconds() - cpu
    sources.close()
    figures = {"seconds": seconds, "cpu_seconds": cpu, "files": report.files, "bytes": report.bytes}
    print(json.dumps({**figures, "peak_mib": _peak_mib(), "peak_mib_before": before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
