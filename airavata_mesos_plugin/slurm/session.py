"""One call of a command: what the caller sent, what goes back, what is needed from the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobRecord, JobRequest
from airavata_mesos_plugin.sandbox.own_files import OwnPaths
from airavata_mesos_plugin.sandbox.user_files import PathRights
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.store import JobSelection

COMMANDS = ("sbatch", "squeue", "scancel", "sacct", "sinfo")

VERSION_TEXT = "slurm-wlm 22.05.8\n"
"""Answer to ``--version``: the version whose behaviour the commands copy."""


def _no_file(path: str | None) -> bytes:
    raise FileNotFoundError(2, "the caller offers no files", path)


@dataclass(frozen=True)
class Invocation:
    """A command as it was typed, with the identity of who typed it.

    Texts that came as bytes are decoded with ``surrogateescape``. ``read_file`` opens a file, or
    standard input for None, with the caller's own rights, relative to ``cwd``; it raises OSError. What a
    command does before it has its file is done again when the file is there, so it must change nothing.
    ``rights`` are those of the caller over paths.
    """

    command: str
    argv: Sequence[str]  # without the command itself
    cwd: str
    environ: Mapping[str, str]
    uid: int
    user: str
    home: str = ""
    host: str = ""  # where the command was typed
    read_file: Callable[[str | None], bytes] = field(default=_no_file, repr=False)
    rights: PathRights = field(default_factory=OwnPaths, repr=False)


@dataclass(frozen=True)
class Result:
    """What the command prints and returns."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0


class CommandFailed(Exception):
    """The command ends here: with this text on stderr (lines without a newline) and this exit code."""

    def __init__(self, *lines: str, exit_code: int = 1, stdout: str = "") -> None:
        super().__init__("\n".join(lines))
        self.result = Result(stdout, "".join(f"{line}\n" for line in lines), exit_code)


class JobProvider(Protocol):
    """The part of the provider that the commands use."""

    @property
    def settings(self) -> ProviderSettings:
        """The settings in force."""

    def submit(self, request: JobRequest, script: str) -> JobRecord:
        """Take a job; it is durable when this returns. NOT repeatable: each call is a new job.

        Raises InvalidRequest, UnsatisfiableRequest, Refused, QuotaExceeded or LedgerError.
        """

    def job(self, job_id: int) -> JobRecord:
        """One job. Raises NotFound."""

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        """The jobs of a selection, newest first."""

    def request_cancel(self, job_id: int, by: str, uid: int) -> bool:
        """Note durably that the job has to end; False when it is over already. Repeatable.

        Raises NotFound, and Refused when ``uid`` may not end the job.
        """

    def nodes(self, cluster: str) -> list[Node]:
        """The nodes as last seen, without any network access; empty when nothing is known."""
