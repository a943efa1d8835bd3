"""A compute resource as Airavata finds it: commands, the daemon behind them and a cluster behind that."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from airavata_mesos_plugin.service.client import DaemonClient
from airavata_mesos_plugin.slurm.install import install
from airavata_mesos_plugin.testing.airavata_caller import FINAL_STATES, Airavata, Submission
from airavata_mesos_plugin.testing.airavata_script import JobScript
from airavata_mesos_plugin.testing.programs import Program, own_environment
from airavata_mesos_plugin.testing.settings import provider_document
from airavata_mesos_plugin.testing.waiting import wait_for

Document = dict[str, Any]
CLI = (sys.executable, "-m", "airavata_mesos_plugin.cli")


class ClusterAddresses(Protocol):
    """Where a cluster listens, as `EmbeddedCluster` and `MiniclusterProcess` tell it."""

    @property
    def scheduler_url(self) -> str: ...

    @property
    def master_url(self) -> str: ...


class ComputeResource:
    """One home directory, its daemon, the SLURM commands, and Airavata that types them.

    The daemon is a process; scripts run with the rights of the account that runs the tests.
    """

    def __init__(
        self,
        directory: Path,
        cluster: ClusterAddresses | None,
        settings: Mapping[str, object],
        prefix: Sequence[str] = (),
        home: Path | None = None,
    ) -> None:
        """Nothing is started. Without a ``cluster`` the daemon starts its own embedded one.

        ``settings`` goes over those of the provider; its members ``clusters`` and ``queues`` hold what is
        changed in the one cluster, ``testing``, and the one queue, ``default``. ``prefix`` stands before the
        daemon's command line. The daemon's own files lie in ``home``, whose path has to be short because of
        its sockets; without one they lie in ``directory``.
        """
        self._prefix = prefix
        self.directory = directory
        self.home = home or directory / "home"
        self.commands = directory / "bin"
        self.cluster = cluster
        self.config = directory / "provider.yaml" if cluster else None
        self._settings = settings
        self._program: Program | None = None
        self.client = DaemonClient(self.home / "command.sock")
        self.user = getpass.getuser()
        self.airavata = Airavata(self.commands, self.user)

    @property
    def daemon(self) -> Program:
        assert self._program is not None
        return self._program

    def start(self) -> Document:
        """Start the daemon; its ready line."""
        if self.cluster is not None:
            self._configure(self.cluster)
        self._program = Program(
            [
                *self._prefix,
                *self.cli_command(),
                *("serve", "--exit-with-parent"),
                *([] if self.config else ["--embedded"]),
            ],
            self.directory / "daemon.log",
            own_environment(),
        )
        return self._program.ready()

    def stop(self) -> None:
        """End the daemon in order. Repeatable."""
        if self._program is not None and self._program.running():
            assert self._program.terminate() == 0, self._program.log

    def kill(self) -> None:
        """End the daemon as a power cut does."""
        self.daemon.kill()

    def _configure(self, addresses: ClusterAddresses) -> None:
        assert self.config is not None
        document = provider_document(addresses.scheduler_url, addresses.master_url, self._settings)
        self.config.write_text(json.dumps(document))  # JSON is YAML too

    def cli_command(self) -> list[str]:
        """The beginning of every command line of `airavata-mesos` for this home."""
        config = ["--config", str(self.config)] if self.config else []
        return [*CLI, *config, "--home", str(self.home)]

    def cli(
        self, *arguments: str, cwd: Path | None = None, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run `airavata-mesos`; ``code`` is the exit code that it must have, None for any."""
        done = subprocess.run(
            [*self.cli_command(), *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            env=own_environment(),
            check=False,
        )
        assert code is None or done.returncode == code, (arguments, done)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def install(self) -> None:
        """Write the SLURM commands."""
        install(self.commands, self.home / "command.sock")

    def work(self, name: str | None = None) -> Path:
        """A new working directory, as Airavata makes it."""
        path = self.directory / "scratch" / (name or f"PROCESS_{uuid.uuid4()}")
        path.mkdir(parents=True)
        return path

    def submit(self, body: str | JobScript, directory: Path | None = None) -> Submission:
        """Submit a script, or a body in Airavata's usual script, as Airavata does."""
        if isinstance(body, str):
            body = JobScript(directory=directory or self.work(), command=body)
        return self.airavata.submit(body)

    def accepted(self, body: str | JobScript, directory: Path | None = None) -> Submission:
        """Submit a job that must be accepted."""
        submission = self.submit(body, directory)
        assert submission.job_id.isdecimal(), submission
        return submission

    def finished(self, job: Submission, state: str, *, seconds: float = 100.0) -> Document:
        """Wait until Airavata takes the job for over; it must then be ``state``. The job's document."""
        found = wait_for(
            lambda: self.airavata.state(job.job_id),
            FINAL_STATES.__contains__,
            f"the end of job {job.job_id}",
            seconds=seconds,
            context=lambda: json.dumps(self.show(job), indent=1) + self.daemon.log,
        )
        document = self.show(job)
        assert found == state, document
        return document

    def run(self, body: str | JobScript, state: str = "COMPLETE", directory: Path | None = None) -> Path:
        """Submit and wait; the working directory afterwards."""
        job = self.accepted(body, directory)
        self.finished(job, state)
        return job.directory

    def show(self, job: Submission) -> Document:
        """All that the daemon knows of a job."""
        document: Document = self.client.ask("show", job.job_id)
        return document

    def wait_for_phase(self, job: Submission, *phases: str, seconds: float = 60.0) -> Document:
        """Wait until the job is in one of the phases (`JobPhase`'s words); its document."""
        return wait_for(
            lambda: self.show(job),
            lambda document: document["phase"] in phases,
            f"{' or '.join(phases)}",
            seconds=seconds,
            pause=0.01,
        )

    def count(self) -> int:
        """How many jobs the ledger has."""
        return len(self.client.ask("jobs", "--all"))
