"""Our side of the commands: a daemon with an embedded minicluster and the installed command files."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from airavata_mesos_plugin.service.client import DaemonClient
from airavata_mesos_plugin.service.home import Home

from .measure import BenchmarkFailed, run_process, succeeded, wait_until
from .processes import Servers

_SETTLED = frozenset({"queued", "running"})


class OurDaemon:
    """Context manager: a daemon that takes jobs when entered, nothing left of it when left."""

    def __init__(self, fill: Callable[[OurDaemon], None] | None = None) -> None:
        """``fill`` puts jobs into the home directory before the daemon starts."""
        self._stack = ExitStack()
        self._fill = fill
        self.directory = Path()

    @property
    def home(self) -> Home:
        """The home directory of the daemon."""
        return Home(self.directory / "home")

    @property
    def environment(self) -> dict[str, str]:
        """What the commands get; they need none of it."""
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "HOME": str(self.directory), "LANG": "C.UTF-8"}

    def __enter__(self) -> OurDaemon:
        with ExitStack() as stack:
            self.directory = Path(tempfile.mkdtemp(prefix="bench-ours-"))
            stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            home = self.home
            if self._fill is not None:
                self._fill(self)
            cli = [sys.executable, "-m", "airavata_mesos_plugin.cli", "--home", str(home.directory)]
            servers = stack.enter_context(Servers(self.directory))
            servers.start(
                "daemon",
                [*cli, "serve", "--embedded", "--exit-with-parent"],
                os.environ,
                lambda: b'"socket"' in (self.directory / "daemon.log").read_bytes(),
            )
            succeeded(run_process([*cli, "install-commands", str(self.directory / "bin")], os.environ))
            self._client = DaemonClient(home.socket)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def command(self, name: str) -> str:
        """The path of a command file."""
        return str(self.directory / "bin" / name)

    def submit(self, script: Path) -> int:
        """Submit a script; its id."""
        run = run_process([self.command("sbatch"), str(script)], self.environment)
        found = re.fullmatch(rb"Submitted batch job (\d+)\n", run.stdout)
        if run.exit_code != 0 or found is None:
            raise BenchmarkFailed(f"our sbatch: {run.describe()}")
        return int(found[1])

    def wait_until_settled(self) -> None:
        """Until the scheduler has every job, so that the daemon has nothing left to send."""
        wait_until("all our jobs are with the scheduler", lambda: set(self.phases()) <= _SETTLED, 300, 0.5)

    def phases(self) -> Counter[str]:
        """How many of the newest 1,000 active jobs are in which phase."""
        return Counter(job["phase"] for job in self._client.ask("jobs"))
