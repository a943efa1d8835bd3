"""One call of a command: what the caller sent, what goes back, what is needed from the provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobRecord, JobRequest, PastAttempt
from airavata_mesos_plugin.sandbox.accounts.own_files import OwnPaths
from airavata_mesos_plugin.sandbox.user_files import PathRights
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm.options import Parsed
from airavata_mesos_plugin.store import JobSelection

COMMANDS = ("sbatch", "squeue", "scancel", "sacct", "sinfo", "scontrol", "srun")

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
class Again:
    """The command pauses for ``seconds`` and is then run once more, with these words for its own."""

    seconds: float
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Questions:
    """The command asks on its terminal, and is run with ``argv`` and the words of the questions answered
    with yes.
    """

    argv: tuple[str, ...]
    asked: tuple[tuple[str, str], ...]  # each a word and the question about it


@dataclass(frozen=True)
class SavedFile:
    """The command writes this file, with the rights of who typed it, before it prints anything."""

    name: str
    content: str


@dataclass(frozen=True)
class Result:
    """What the command prints and returns, and what it does then."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    then: Again | Questions | SavedFile | None = None


class CommandFailed(Exception):
    """The command ends here: with this text on stderr (lines without a newline) and this exit code."""

    def __init__(self, *lines: str, exit_code: int = 1, stdout: str = "") -> None:
        super().__init__("\n".join(lines))
        self.result = Result(stdout, "".join(f"{line}\n" for line in lines), exit_code)


def about(options: Parsed, usage: str) -> Result | None:
    """The answer to ``--version``, ``--help`` and ``--usage``; None without any of them."""
    if options.has("version"):
        return Result(VERSION_TEXT)
    return Result(usage) if options.has("help") or options.has("usage") else None


def check_refused(options: Parsed) -> None:
    """Raises CommandFailed for the first option that means nothing here."""
    for given in options.options:
        if given.option.refused:
            raise CommandFailed(*given.option.refused)


class JobControl(Protocol):
    """What an account may do with its jobs; see `provider.control.Control`.

    Every call raises NotFound, Refused for another account's job, and InvalidRequest when the job's phase
    does not allow it.
    """

    def hold(self, job_id: int, uid: int, *, as_admin: bool = False) -> None:
        """Keep a waiting job back. Repeatable."""

    def release(self, job_id: int, uid: int) -> None:
        """Let a held job go on. Repeatable."""

    def amend(self, job_id: int, uid: int, request: JobRequest, reason: str) -> None:
        """Change what a waiting job asks for. Repeatable."""

    def put_off(self, job_id: int, uid: int, begin_at: float | None) -> None:
        """Change the time that a job waits for. Repeatable."""

    def requeue(self, job_id: int, by: str, uid: int, *, hold: bool = False) -> None:
        """Start a job again. Repeatable until the new attempt has begun."""


class JobProvider(Protocol):
    """The part of the provider that the commands use."""

    @property
    def settings(self) -> ProviderSettings:
        """The settings in force."""

    @property
    def control(self) -> JobControl:
        """What holds, releases and changes jobs."""

    def submit(self, request: JobRequest, script: str, *, environment: str = "") -> JobRecord:
        """Take a job; it is durable when this returns. NOT repeatable: each call is a new job.

        An array is one job for each task; the one with the id of the array is given back. ``environment``
        holds the submitter's variables, as ``NAME=value``, each ended by a NUL character.
        Raises InvalidRequest, UnsatisfiableRequest, Refused, QuotaExceeded or LedgerError.
        """

    def job(self, job_id: int) -> JobRecord:
        """One job. Raises NotFound."""

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        """The jobs of a selection, newest first."""

    def script(self, job_id: int) -> str:
        """The job script as it was accepted. Raises NotFound."""

    def past_attempts(self, job_ids: Iterable[int]) -> list[PastAttempt]:
        """The attempts of these jobs that were followed by others, oldest first."""

    def request_cancel(self, job_id: int, by: str, uid: int) -> bool:
        """Note durably that the job has to end; False when it is over already. Repeatable.

        Raises NotFound, and Refused when ``uid`` may not end the job.
        """

    def nodes(self, cluster: str) -> list[Node]:
        """The nodes as last seen, without any network access; empty when nothing is known."""
