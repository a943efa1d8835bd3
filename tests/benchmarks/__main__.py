"""python -m tests.benchmarks [NAME ...]: run all benchmarks, or those that are named."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from types import FrameType
from typing import NoReturn

from . import aurora, commands, crowd, fetch, mesos, monitoring, mpi, sftp, upload
from .measure import BenchmarkFailed

BENCHMARKS = {
    "commands": commands.run,
    "crowd": crowd.run,
    "monitoring": monitoring.run,
    "fetch": fetch.run,
    "sftp": sftp.run,
    "upload": upload.run,
    "aurora": aurora.run,
    "mesos": mesos.run,
    "mpi": mpi.run,
}


def main() -> int:
    """Exit code 1 when something does not work; a missed goal is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark is called {name!r}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load at the start {load}\n")
    failed = False
    for name in names:
        try:
            BENCHMARKS[name]()
        except BenchmarkFailed as failure:
            print(f"benchmark {name} failed: {failure}", file=sys.stderr)
            failed = True
        except KeyboardInterrupt:
            print("interrupted; everything that was started has been ended", file=sys.stderr)
            return 130
    return 1 if failed else 0


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End the benchmark with its servers, in order: a second signal must not leave some of them running."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
