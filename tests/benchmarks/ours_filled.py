"""Jobs for our side, put into a home directory before its daemon starts: quicker than a command for each."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import embedded_settings
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.service.home import Home
from airavata_mesos_plugin.service.parts import close_parts, make_parts
from airavata_mesos_plugin.slurm import dispatch
from airavata_mesos_plugin.slurm.session import Invocation

from .measure import BenchmarkFailed


def fill(home: Home, environment: Mapping[str, str], script: Path, count: int) -> None:
    """Submit a script ``count`` times, held, with all that sbatch does and one wait for the disk."""
    home.prepare()
    parts = make_parts(embedded_settings(), home, SystemClock(), lambda: "http://127.0.0.1:1")
    try:
        provider = Provider(parts)
        invocation = Invocation(
            command="sbatch",
            argv=("-H", str(script)),
            cwd=str(Path.cwd()),
            environ=environment,
            uid=os.getuid(),
            user=getpass.getuser(),
            home=str(Path.home()),
            host=socket.gethostname(),
            read_file=lambda path: Path(path or os.devnull).read_bytes(),
            rights=provider.files_of(os.getuid()),
        )
        with parts.ledger.together():
            for _ in range(count):
                result = dispatch.run(invocation, provider)
                if result.exit_code != 0:
                    raise BenchmarkFailed(f"our sbatch, called directly: {result.stderr!r}")
    finally:
        close_parts(parts)
