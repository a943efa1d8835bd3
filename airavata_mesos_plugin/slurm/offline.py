"""sacct without the daemon: the same command, answered from the ledger.

Real SLURM's sacct asks the accounting database and works while the controller is down. Airavata takes the
absence of a line for the success of a job, so silence would be a wrong answer here.

``python -m airavata_mesos_plugin.slurm.offline SOCKET WHY ARGUMENTS...``: SOCKET is the command socket in
the home directory of the daemon, WHY says what became of the try to reach it.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings, embedded_settings, load
from airavata_mesos_plugin.errors import AiravataMesosError, ConfigurationError, ServiceUnavailable
from airavata_mesos_plugin.jobs import JobRecord, JobRequest, PastAttempt
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm import dispatch
from airavata_mesos_plugin.slurm.session import Invocation, JobControl, Result
from airavata_mesos_plugin.store import JobSelection, LedgerReader

LEDGER = "ledger.db"
"""Name of the ledger, beside the socket."""


class LedgerProvider:
    """What commands may ask of the ledger alone. Whatever would change something is refused."""

    def __init__(self, ledger: LedgerReader, settings: ProviderSettings) -> None:
        self._ledger = ledger
        self.settings = settings

    @property
    def control(self) -> JobControl:
        raise _no_daemon()

    def submit(self, request: JobRequest, script: str, *, environment: str = "") -> JobRecord:  # noqa: ARG002
        raise _no_daemon()

    def job(self, job_id: int) -> JobRecord:
        return self._ledger.job(job_id)

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        return self._ledger.jobs(selection)

    def script(self, job_id: int) -> str:
        return self._ledger.script(job_id)

    def past_attempts(self, job_ids: Iterable[int]) -> list[PastAttempt]:
        return self._ledger.past_attempts(job_ids)

    def request_cancel(self, job_id: int, by: str, uid: int) -> bool:  # noqa: ARG002
        raise _no_daemon()

    def nodes(self, cluster: str) -> list[Node]:  # noqa: ARG002
        return []


def _no_daemon() -> ServiceUnavailable:
    return ServiceUnavailable("the provider daemon does not answer", advice="start it: airavata-mesos serve")


def answer(socket: Path, why: str, argv: Sequence[str]) -> Result:
    """What ``sacct`` with these arguments prints."""
    try:
        ledger = LedgerReader(socket.parent / LEDGER)
    except AiravataMesosError as error:
        return Result(
            "",
            f"sacct: error: Problem talking to the database: {why}\n"
            f"sacct: error: {error}\n"
            f"sacct: error: the provider daemon does not answer at {socket} ({why});"
            " start it with: airavata-mesos serve\n",
            1,
        )
    try:
        settings, _ = load()
    except ConfigurationError:
        settings = embedded_settings()  # only the name of the resource is taken from them
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    invocation = Invocation("sacct", argv, "/", dict(os.environ), uid, user)
    try:
        return dispatch.run(invocation, LedgerProvider(ledger, settings), SystemClock())
    finally:
        ledger.close()


def main(argv: Sequence[str]) -> int:
    """Print the answer; the exit code."""
    if len(argv) < 2:
        sys.stderr.write("this is a part of sacct; call sacct\n")
        return 1
    result = answer(Path(argv[0]), argv[1], argv[2:])
    sys.stderr.buffer.write(result.stderr.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.write(result.stdout.encode("utf-8", "surrogateescape"))
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
