"""One fetch in a process of its own, so that its CPU time and memory are those of the fetch.

Prints one line of JSON; seconds, MiB and bytes.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.sandbox.fetch import Fetcher
from airavata_mesos_plugin.sandbox.snapshot import take
from airavata_mesos_plugin.schedulers.base import SandboxAddress


def _peak_mib() -> float:
    """Most memory of this process so far; getrusage would count the parent's, from before the exec, too."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("/proc/self/status has no VmHWM")
    return int(found[1]) / 1024


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(agent_url: str, path: str, directory: str) -> None:
    """Fetch a whole sandbox into an empty directory."""
    clock = SystemClock()
    fetcher = Fetcher(FetchSettings(), clock)
    before = _peak_mib()
    cpu, begin = _cpu_seconds(), time.perf_counter()
    report = fetcher.fetch(
        SandboxAddress(agent_url, path), Path(directory), take(directory, clock.now()), job_id=1
    )
    seconds, cpu = time.perf_counter() - begin, _cpu_seconds() - cpu
    fetcher.close()
    figures = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "files": report.files,
        "bytes": report.bytes,
        "peak_mib": _peak_mib(),
        "peak_mib_before": before,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
